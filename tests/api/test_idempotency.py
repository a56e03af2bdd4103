"""The same call, however often it is sent, moves money once and is answered the same."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest

from domain import ids
from domain.ledger.accounts import AccountResult
from tests.support.api_world import TENANT, ApiWorld, card, new_key
from tests.support.fake_gateway import Fault


async def test_a_repeated_call_gets_the_stored_answer(world: ApiWorld) -> None:
    key = new_key()
    first, second = await world.pay(key=key), await world.pay(key=key)
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["location"] == first.headers["location"]
    assert second.headers["trace-id"] != first.headers["trace-id"]
    assert await world.balance("merchant") == 2933


async def test_the_stored_answer_stands_even_when_the_payment_has_moved_on(world: ApiWorld) -> None:
    key = new_key()
    first = await world.pay(key=key, capture_method="manual")
    await world.post(f"/v1/payments/{first.json()['id']}/capture")
    again = await world.pay(key=key, capture_method="manual")
    assert again.json()["status"] == "requires_capture"


async def test_the_stored_answer_stands_even_when_the_account_is_closed_since(world: ApiWorld) -> None:
    key = new_key()
    first = await world.pay(key=key)
    assert await world.services.ledger.close_account("default", "merchant") is AccountResult.CLOSED
    assert (await world.pay(key=key)).content == first.content


async def test_the_order_of_fields_does_not_make_another_request(world: ApiWorld) -> None:
    key = new_key()
    body = {"amount": 100, "currency": "USD", "account": "merchant", "payment_method": card()}
    first = await world.post("/v1/payments", body, key=key)
    second = await world.post("/v1/payments", dict(reversed(body.items())), key=key)
    assert second.headers["idempotent-replayed"] == "true"
    assert second.content == first.content


async def test_a_key_with_another_body_or_path_is_refused(world: ApiWorld) -> None:
    key = new_key()
    payment = (await world.pay(key=key)).json()
    for answer in (
        await world.pay(key=key, amount=2934),
        await world.post(f"/v1/payments/{payment['id']}/cancel", key=key),
        await world.post(f"/v1/payments/{payment['id']}/refunds", key=key),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await world.balance("merchant") == 2933


async def test_every_post_that_moves_money_needs_a_key(world: ApiWorld) -> None:
    path = f"/v1/payments/{(await world.paid())['id']}"
    for target in (
        "/v1/payments",
        *(f"{path}/{command}" for command in ("confirm", "capture", "cancel", "refunds", "review")),
        "/v1/refunds/re_x/review",
    ):
        answer = await world.http.post(target, json={})
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing"), target


@pytest.mark.parametrize("key", ["x" * 256, "with space", "tab\there", "ü"])
async def test_a_malformed_key_is_refused(world: ApiWorld, key: str) -> None:
    headers = [(b"idempotency-key", key.encode()), (b"content-type", b"application/json")]
    answer = await world.http.post("/v1/payments", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


async def test_two_keys_in_one_call_are_refused(world: ApiWorld) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("Content-Type", "application/json")]
    answer = await world.http.post("/v1/payments", content=b"{}", headers=headers)
    assert answer.status_code == 400


async def test_a_hundred_equal_calls_at_once_make_one_payment(world: ApiWorld) -> None:
    key = new_key()
    answers = await asyncio.gather(*(world.pay(key=key) for _ in range(100)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert made
    assert {answer.content for answer in made} == {made[0].content}
    for answer in answers:
        if answer.status_code != 201:
            assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_flight")
            assert int(answer.headers["retry-after"]) >= 1
    assert await world.count("payments") == 1
    assert await world.balance("merchant") == 2933
    assert world.gateway.calls == ["authorize"]
    assert (await world.pay(key=key)).content == made[0].content


async def test_a_hundred_equal_captures_at_once_capture_once(world: ApiWorld) -> None:
    payment, key = await world.authorized(), new_key()
    path = f"/v1/payments/{payment['id']}/capture"
    answers = await asyncio.gather(*(world.post(path, {"amount": 100, "final": False}, key=key) for _ in range(100)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert {answer.json()["amount_captured"] for answer in answers if answer.status_code == 200} == {100}
    assert await world.balance("merchant") == 100


async def test_different_calls_at_once_all_go_through(world: ApiWorld) -> None:
    answers = await asyncio.gather(*(world.pay(amount=n) for n in range(1, 41)))
    assert {answer.status_code for answer in answers} <= {201, 202}  # a busy machine may take longer than a call waits
    async with asyncio.timeout(60):
        while await world.balance("merchant") != sum(range(1, 41)):
            await asyncio.sleep(0.05)


async def _forget_answers(world: ApiWorld) -> None:
    """What a crash of the API between the payment and its answer leaves behind, once the lease ran out."""
    await world.execute(
        "UPDATE idempotency_keys SET answer_status = NULL, answer_body = NULL, answer_location = NULL, "
        "lease_expires_at = now() - interval '1 second'"
    )


async def test_after_a_crash_before_the_answer_the_next_call_finds_the_payment(world: ApiWorld) -> None:
    key = new_key()
    first = await world.pay(key=key)
    await _forget_answers(world)
    again = await world.pay(key=key)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert await world.count("payments") == 1
    assert world.gateway.calls == ["authorize"]


async def test_after_a_crash_before_the_answer_a_capture_is_not_made_twice(world: ApiWorld) -> None:
    payment, key = await world.authorized(), new_key()
    path = f"/v1/payments/{payment['id']}/capture"
    first = await world.post(path, {"amount": 1000, "final": False}, key=key)
    await _forget_answers(world)
    again = await world.post(path, {"amount": 1000, "final": False}, key=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert await world.balance("merchant") == 1000


async def test_after_a_crash_before_the_answer_the_last_capture_is_answered_though_the_payment_ended(
    world: ApiWorld,
) -> None:
    payment, key = await world.authorized(), new_key()
    path = f"/v1/payments/{payment['id']}/capture"
    first = await world.post(path, key=key)
    await _forget_answers(world)
    again = await world.post(path, key=key)
    assert (again.status_code, again.json()) == (200, first.json())


async def test_after_a_crash_before_the_answer_a_refund_is_not_made_twice(world: ApiWorld) -> None:
    payment, key = await world.paid(), new_key()
    path = f"/v1/payments/{payment['id']}/refunds"
    first = await world.post(path, key=key)
    await _forget_answers(world)
    again = await world.post(path, key=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert await world.count("refunds") == 1
    assert world.gateway.net_captured == 0


async def test_a_call_in_flight_blocks_its_equals_until_its_lease_ends(world: ApiWorld) -> None:
    key, keys = new_key(), world.services.keys
    world.gateway.faults["authorize"].append(Fault.HANGS_BEFORE)
    under_way = asyncio.create_task(world.pay(key=key))
    await asyncio.wait_for(world.gateway.reached.wait(), 30)
    answer = await world.pay(key=key)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_flight")
    other = await world.pay(key=key, amount=1)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    under_way.cancel()
    await asyncio.wait({under_way})
    assert await keys.prune(timedelta(0)) == 0  # its lease has not run out


async def test_nothing_of_a_lost_idempotency_table_makes_money_move_twice(world: ApiWorld) -> None:
    key = new_key()
    first = await world.pay(key=key)
    await world.execute("DELETE FROM idempotency_keys")
    assert (await world.pay(key=key)).json() == first.json()
    await world.execute("DELETE FROM idempotency_keys")
    other = await world.pay(key=key, amount=1)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await world.count("payments") == 1
    assert await world.balance("merchant") == 2933


async def test_a_refused_request_leaves_its_key_free_for_the_corrected_one(world: ApiWorld) -> None:
    key = new_key()
    refused = await world.pay(key=key, account="nobody")
    assert refused.status_code == 422
    assert await world.count("idempotency_keys") == 0
    assert (await world.pay(key=key)).status_code == 201


async def test_a_command_refused_by_the_state_may_be_tried_again_with_its_key(world: ApiWorld) -> None:
    payment, key = await world.paid(confirm=False), new_key()
    path = f"/v1/payments/{payment['id']}"
    early = await world.post(f"{path}/capture", key=key)
    assert early.status_code == 409
    assert "retry-after" not in early.headers
    again: httpx.Response = await world.post(f"{path}/capture", key=key)
    assert (again.status_code, again.json()["code"]) == (409, "illegal_transition")


async def test_the_payment_id_follows_from_tenant_and_key_alone(world: ApiWorld) -> None:
    key = new_key()
    assert (await world.pay(key=key)).json()["id"] == ids.payment_id(TENANT, key)
