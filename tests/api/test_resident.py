"""The worker within the API's process: what it takes, what it leaves to others, and what happens without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from activities.gateway_port import CardGateway
from api import engine
from domain.payments.payment import Payment
from infra.local.temporal import LocalTemporal
from infra.settings import Settings
from infra.temporal_converter import data_converter
from tests.support.api_world import ApiWorld, api_world, card, new_key
from tests.support.database import Database
from tests.support.fake_gateway import FakeGateway, Fault
from workers.registry import WORKFLOWS, sandbox
from workers.resident import ResidentWorker

WAIT_S = 30.0


def resident_of(settings: Settings, gateway: CardGateway) -> ResidentWorker:
    return ResidentWorker(settings, {"sandbox": gateway})


@pytest.fixture
async def lodging(database: Database, temporal_server: LocalTemporal, client: Client) -> AsyncIterator[ApiWorld]:
    """An API with a worker within it, and none beside it."""
    async with api_world(database, temporal_server, client, worker=False, resident=resident_of) as made:
        await until_it_serves(made)
        yield made


async def until_it_serves(world: ApiWorld) -> None:
    async with asyncio.timeout(WAIT_S):
        while not world.services.engine._resident.takes_starts:
            await asyncio.sleep(0.02)


async def history_of(world: ApiWorld, payment_id: str) -> WorkflowHistory:
    return await world.temporal.get_workflow_handle(payment_id).fetch_history()


def was_started_here(history: WorkflowHistory) -> bool:
    return history.events[0].workflow_execution_started_event_attributes.eager_execution_accepted


def has_update(history: WorkflowHistory) -> bool:
    accepted = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    return any(event.event_type == accepted for event in history.events)


async def test_a_payment_is_answered_by_what_this_process_wrote_without_an_update(lodging: ApiWorld) -> None:
    payment = await lodging.paid()
    assert payment["status"] == "succeeded"
    assert (await lodging.get(f"/v1/payments/{payment['id']}")).json() == payment
    await lodging.temporal.get_workflow_handle(payment["id"]).result()
    history = await history_of(lodging, payment["id"])
    assert was_started_here(history)
    assert not has_update(history)
    assert await lodging.balance("merchant") == 2933
    await Replayer(workflows=WORKFLOWS, workflow_runner=sandbox(), data_converter=data_converter).replay_workflow(
        history
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"payment_method": card("declined")}, "failed"),
        ({"payment_method": card("declined"), "attempts_allowed": 2}, "requires_payment_method"),
        ({"payment_method": card("challenge")}, "requires_action"),
        ({"capture_method": "manual"}, "requires_capture"),
        ({"payment_method": None}, "requires_payment_method"),
        ({"confirm": False}, "requires_confirmation"),
        ({"payment_method": {"type": "wallet", "account": "guest"}}, "succeeded"),
        ({"payment_method": {"type": "wallet", "account": "guest"}, "amount": 999_999}, "failed"),
    ],
)
async def test_whatever_a_first_step_comes_to_is_answered_as_it_is_written(
    lodging: ApiWorld, body: dict[str, Any], status: str
) -> None:
    lodging.gateway.declines["declined"] = "insufficient_funds"
    await lodging.fund("guest", 10_000)
    payment = await lodging.paid(**body)
    assert payment["status"] == status, payment
    assert (await lodging.get(f"/v1/payments/{payment['id']}")).json() == payment
    history = await history_of(lodging, payment["id"])
    assert was_started_here(history)
    assert not has_update(history)


async def test_commands_right_after_the_answer_find_the_payment_as_it_was_answered(lodging: ApiWorld) -> None:
    payment = await lodging.authorized()
    captured = await lodging.post(f"/v1/payments/{payment['id']}/capture", {"amount": 1000})
    assert (captured.status_code, captured.json()["amount_captured"]) == (200, 1000), captured.text
    assert await lodging.balance("merchant") == 1000


async def test_a_key_whose_memory_is_lost_finds_the_payment_open_or_ended(lodging: ApiWorld) -> None:
    for body, status in (({}, "succeeded"), ({"capture_method": "manual"}, "requires_capture")):
        key = new_key()
        first = await lodging.pay(key=key, **body)
        await lodging.execute("DELETE FROM idempotency_keys")
        again = await lodging.pay(key=key, **body)
        assert (again.status_code, again.json()["status"]) == (201, status), again.text
        assert again.json()["id"] == first.json()["id"]
        await lodging.execute("DELETE FROM idempotency_keys")
        other = await lodging.pay(key=key, **(body | {"amount": 1}))
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert lodging.gateway.calls == ["authorize", "authorize"]


async def test_a_burst_is_taken_whole_each_payment_once(lodging: ApiWorld) -> None:
    answers = await asyncio.gather(*(lodging.pay() for _ in range(100)))
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(201, "succeeded")] * 100
    assert await lodging.balance("merchant") == 100 * 2933
    assert lodging.gateway.net_captured == 100 * 2933
    histories = [await history_of(lodging, answer.json()["id"]) for answer in answers]
    assert all(was_started_here(history) for history in histories), "there is a place for each that is let in"


async def test_a_call_that_will_not_wait_is_taken_here_too(lodging: ApiWorld) -> None:
    answer = await lodging.pay(headers={"Prefer": "wait=0"})
    assert answer.status_code == 202
    await lodging.until_status(answer.headers["location"], "succeeded")


async def test_a_slow_gateway_is_left_to_the_workers(lodging: ApiWorld) -> None:
    """What may take long is an ordinary activity, which nobody within the API takes."""
    lodging.gateway.faults["authorize"].append(Fault.HANGS_BEFORE)
    answer = await lodging.pay(headers={"Prefer": "wait=4"})
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")
    assert has_update(await history_of(lodging, answer.json()["id"])), "the workflow was asked after the patience"
    await lodging.start_worker()
    await lodging.until_status(answer.headers["location"], "succeeded")
    assert await lodging.balance("merchant") == lodging.gateway.net_captured == 2933


class Absent:
    """A worker within the API that says it takes starts and takes none: its places are all in use."""

    takes_starts = True

    @contextmanager
    def expect(self, payment_id: str) -> Iterator[asyncio.Future[Payment]]:
        yield asyncio.get_running_loop().create_future()

    async def serve(self, client: Client) -> None:
        await asyncio.Event().wait()


async def test_a_start_that_finds_no_place_here_is_taken_elsewhere_and_asked_for(
    database: Database, temporal_server: LocalTemporal, client: Client
) -> None:
    def absent(_settings: Settings, _gateway: FakeGateway) -> Absent:
        return Absent()

    async with api_world(database, temporal_server, client, resident=absent) as world:
        payment = await world.paid()
        history = await history_of(world, payment["id"])
        assert (payment["status"], was_started_here(history)) == ("succeeded", False)


class Failing(ResidentWorker):
    """Fails once before it serves."""

    failed = False

    async def serve(self, client: Client) -> None:
        if not self.failed:
            self.failed = True
            raise RuntimeError("the worker cannot start")
        await super().serve(client)


async def test_while_it_fails_payments_go_to_the_workers_and_it_comes_back(
    database: Database, temporal_server: LocalTemporal, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.resident.RESTART_INTERVAL_S", 1.0)

    def failing(settings: Settings, gateway: FakeGateway) -> Failing:
        return Failing(settings, {"sandbox": gateway})

    async with api_world(database, temporal_server, client, resident=failing) as world:
        payment = await world.paid()
        assert has_update(await history_of(world, payment["id"]))
        await until_it_serves(world)
        payment = await world.paid()
        assert not has_update(await history_of(world, payment["id"]))


async def test_what_another_process_wrote_is_asked_for_after_the_patience(
    lodging: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the first workflow task was lost here and done again elsewhere: nothing is told, the workflow knows."""
    monkeypatch.setattr(engine, "PATIENCE_S", 0.2)
    monkeypatch.setattr(lodging.services.engine._resident._watch, "tell", lambda _payment: None)
    answer: httpx.Response = await lodging.pay()
    assert (answer.status_code, answer.json()["status"]) == (201, "succeeded")
    await lodging.temporal.get_workflow_handle(answer.json()["id"]).result()


async def test_a_ready_api_says_how_many_workers_serve_beside_it(lodging: ApiWorld) -> None:
    ready = (await lodging.http.get("/readyz")).json()
    assert ready["workers"]["status"] == "down", ready
    await lodging.start_worker()
    async with asyncio.timeout(WAIT_S):
        while (await lodging.http.get("/readyz")).json()["workers"]["status"] != "up":
            await asyncio.sleep(0.2)
