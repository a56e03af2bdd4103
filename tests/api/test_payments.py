"""Payments through the API, from the call to the ledger."""

from __future__ import annotations

from tests.support.api_world import ApiWorld


async def test_a_card_payment_is_answered_with_its_outcome_in_the_same_call(world: ApiWorld) -> None:
    answer = await world.pay(description="Order A-1001", metadata={"order": "A-1001"}, customer="cus_1")
    payment = answer.json()
    assert answer.status_code == 201, payment
    assert payment["status"] == "succeeded"
    assert payment["amount_captured"] == 2933
    assert payment["metadata"] == {"order": "A-1001"}
    assert payment["trace_id"] == answer.headers["trace-id"]
    assert answer.headers["location"] == f"/v1/payments/{payment['id']}" == payment["links"]["self"]
    assert await world.balance("merchant") == 2933
    assert world.gateway.net_captured == 2933


async def test_what_is_read_is_what_was_answered(world: ApiWorld) -> None:
    payment = await world.paid()
    assert (await world.get(f"/v1/payments/{payment['id']}")).json() == payment
