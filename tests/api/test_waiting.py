"""`Prefer: wait=N`, and what a client is told when nobody serves payments."""

from __future__ import annotations

import asyncio
import time

from tests.support.api_world import ApiWorld, new_key
from tests.support.fake_gateway import Fault


async def test_a_wait_that_runs_out_is_answered_202_and_the_work_goes_on(world: ApiWorld) -> None:
    key = new_key()
    world.gateway.faults["authorize"].append(Fault.HANGS_BEFORE)
    began = time.monotonic()
    answer = await world.pay(key=key, headers={"Prefer": "wait=1"})
    assert 1 <= time.monotonic() - began < 6
    assert answer.status_code == 202, answer.text
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.json()["status"] == "processing"
    assert (await world.get(answer.headers["location"])).json()["status"] == "processing"


async def test_a_call_that_will_not_wait_hands_the_work_over(world: ApiWorld) -> None:
    key = new_key()
    answer = await world.pay(key=key, headers={"Prefer": "wait=0"})
    assert answer.status_code == 202
    await world.until_status(answer.headers["location"], "succeeded")
    again = await world.pay(key=key)
    assert (again.status_code, again.json()["status"]) == (201, "succeeded")
    assert "idempotent-replayed" not in again.headers
    assert (await world.pay(key=key)).headers["idempotent-replayed"] == "true"
    assert await world.balance("merchant") == 2933


async def test_a_call_whose_turn_does_not_come_within_its_wait_hands_the_work_over(world: ApiWorld) -> None:
    """Only so many are at Temporal at once; whoever waits for a turn waits no longer than it said."""
    turns = world.services.engine._turns
    for _ in range(world.settings.api_starts_max):
        await turns.acquire()
    began = time.monotonic()
    late, patient = asyncio.create_task(world.pay(headers={"Prefer": "wait=1"})), asyncio.create_task(world.pay())
    assert (await late).status_code == 202
    assert 1 <= time.monotonic() - began < 6
    await world.until_status((await late).headers["location"], "succeeded")
    assert not patient.done()
    turns.release()
    assert ((await patient).status_code, (await patient).json()["status"]) == (201, "succeeded")
    assert (await world.pay()).status_code == 201, "the turn was given back"
    assert await world.balance("merchant") == 3 * 2933


async def test_without_a_worker_a_payment_is_taken_and_can_be_read_and_is_made_later(idle_world: ApiWorld) -> None:
    world, key = idle_world, new_key()
    answer = await world.pay(key=key, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202, answer.text
    path = answer.headers["location"]
    assert answer.json()["status"] == "requires_confirmation"
    assert await world.count("payments") == 0
    assert (await world.get(path)).json() == answer.json()
    other = {"Authorization": f"Bearer {world.other_token}"}
    assert (await world.get(path, headers=other)).status_code == 404
    assert (await world.pay(key=key, headers={"Prefer": "wait=1"})).status_code == 202
    await world.start_worker()
    await world.until_status(path, "succeeded")
    assert (await world.pay(key=key)).status_code == 201
    assert await world.count("payments") == 1
    assert world.gateway.calls == ["authorize"]


async def test_without_a_worker_a_command_is_not_called_accepted(world: ApiWorld) -> None:
    payment, key = await world.authorized(), new_key()
    await world.stop_worker()
    path = f"/v1/payments/{payment['id']}/capture"
    for wait in ("wait=1", "wait=0"):
        answer = await world.post(path, key=key, headers={"Prefer": wait})
        assert (answer.status_code, answer.json()["code"]) == (503, "no_worker")
        assert answer.headers["retry-after"]
    await world.start_worker()
    done = await world.post(path, key=key)
    assert (done.status_code, done.json()["amount_captured"]) == (200, 2933)
    assert await world.balance("merchant") == 2933


async def test_a_command_whose_wait_runs_out_after_it_was_accepted_is_answered_202(world: ApiWorld) -> None:
    payment, key = await world.authorized(), new_key()
    path = f"/v1/payments/{payment['id']}"
    world.gateway.faults["capture"].append(Fault.HANGS_BEFORE)
    answer = await world.post(f"{path}/capture", key=key, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == path
    assert answer.json()["id"] == payment["id"]


async def test_reads_work_while_nobody_serves_payments(world: ApiWorld) -> None:
    payment = await world.paid()
    await world.stop_worker()
    path = f"/v1/payments/{payment['id']}"
    for suffix in ("", "/timeline", "/refunds", "/live"):
        assert (await world.get(f"{path}{suffix}")).status_code == 200, suffix
    assert (await world.get("/v1/payments")).json()["data"][0] == payment


async def test_the_live_state_of_an_open_payment_needs_a_worker_and_says_so(world: ApiWorld) -> None:
    payment = await world.authorized()
    await world.stop_worker()
    began = time.monotonic()
    answer = await world.get(f"/v1/payments/{payment['id']}/live")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_worker")
    assert time.monotonic() - began < 10


async def test_a_wait_beyond_the_bound_is_cut_and_one_that_cannot_be_read_is_ignored(world: ApiWorld) -> None:
    for prefer in ("wait=999999999", "wait=soon", "respond-async, wait=5", 'wait="3"', "handling=lenient;wait=x"):
        assert (await world.pay(headers={"Prefer": prefer})).status_code == 201, prefer
