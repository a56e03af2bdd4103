"""Refunds through the API."""

from __future__ import annotations

import asyncio

from tests.support.api_world import ApiWorld, wallet
from tests.support.fake_gateway import Fault

OPERATOR = {"Clearhold-Actor": "ops-17"}


async def test_a_payment_is_refunded_in_parts_up_to_what_was_captured(world: ApiWorld) -> None:
    path = f"/v1/payments/{(await world.paid())['id']}"
    first = await world.post(f"{path}/refunds", {"amount": 933, "reason": "damaged"})
    assert first.status_code == 201, first.text
    assert (first.json()["status"], first.json()["amount"], first.json()["reason"]) == ("succeeded", 933, "damaged")
    rest = await world.post(f"{path}/refunds")
    assert rest.json()["amount"] == 2000
    over = await world.post(f"{path}/refunds", {"amount": 1})
    assert (over.status_code, over.json()["code"]) == (422, "refund_exceeds_captured")
    payment = (await world.get(path)).json()
    assert (payment["status"], payment["amount_refunded"], payment["amount_refunding"]) == ("succeeded", 2933, 0)
    assert await world.balance("merchant") == 0
    listed = (await world.get(f"{path}/refunds")).json()["data"]
    assert [refund["id"] for refund in listed] == [first.json()["id"], rest.json()["id"]]
    assert (await world.get(f"/v1/refunds/{first.json()['id']}")).json() == first.json()
    assert first.headers["location"] == first.json()["links"]["self"] == f"/v1/refunds/{first.json()['id']}"


async def test_a_payment_of_which_nothing_is_captured_is_not_refunded(world: ApiWorld) -> None:
    payment = await world.authorized()
    for body in ({}, {"amount": 1}):
        answer = await world.post(f"/v1/payments/{payment['id']}/refunds", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "refund_exceeds_captured")
    assert await world.count("refunds") == 0


async def test_refunds_at_once_never_give_back_more_than_was_captured(world: ApiWorld) -> None:
    payment = await world.paid()
    path = f"/v1/payments/{payment['id']}/refunds"
    answers = await asyncio.gather(*(world.post(path, {"amount": 1000}) for _ in range(6)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201, 201, 422, 422, 422, 422]
    assert await world.balance("merchant") == 933
    assert world.gateway.net_captured == 933


async def test_a_refund_for_which_the_account_has_too_little_is_answered_as_failed(world: ApiWorld) -> None:
    payment = await world.paid()
    await world.paid(payment_method=wallet("merchant"), account="guest", amount=2000)
    answer = await world.post(f"/v1/payments/{payment['id']}/refunds")
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "failed"
    assert answer.json()["failure"]["code"] == "insufficient_funds"
    assert await world.balance("merchant") == 933


async def test_a_refused_refund_is_refused_the_same_way_when_the_call_is_repeated(world: ApiWorld) -> None:
    payment = await world.paid()
    path = f"/v1/payments/{payment['id']}/refunds"
    await world.post(path, {"amount": 2000})
    answers = [await world.post(path, {"amount": 2000}, key="refund-twice") for _ in range(2)]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "refund_exceeds_captured")] * 2


async def test_a_wallet_payment_is_refunded_inside_the_ledger(world: ApiWorld) -> None:
    await world.fund("guest", 1000)
    payment = await world.paid(payment_method=wallet("guest"), amount=1000)
    answer = await world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 400})
    assert answer.json()["status"] == "succeeded"
    assert (await world.balance("guest"), await world.balance("merchant")) == (400, 600)


async def test_a_refund_the_gateway_rejects_fails_and_frees_the_money(world: ApiWorld) -> None:
    payment = await world.paid()
    world.gateway.faults["refund"].append(Fault.REJECTED)
    answer = await world.post(f"/v1/payments/{payment['id']}/refunds")
    assert (answer.status_code, answer.json()["status"]) == (201, "failed")
    assert answer.json()["failure"]["code"] == "gateway_rejected"
    assert await world.balance("merchant") == 2933


async def test_a_refund_that_has_ended_takes_no_review(world: ApiWorld) -> None:
    payment = await world.paid()
    refund = (await world.post(f"/v1/payments/{payment['id']}/refunds")).json()
    path = f"/v1/refunds/{refund['id']}/review"
    for body in ({"action": "retry"}, {"action": "resolve", "succeeded": True, "note": "seen"}):
        answer = await world.post(path, body, headers=OPERATOR)
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
