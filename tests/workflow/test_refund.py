"""Refunds on a real Temporal server: whole, partial, repeated, refused, lost, and reviewed."""

from __future__ import annotations

import pytest

from domain.payments.payment import Payment
from domain.payments.refund import RefundStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentWorld, card_payment, wallet_payment
from workflows.payments.messages import ResolveRefund, RetryReview
from workflows.payments.refund import RefundWorkflow


async def paid(world: PaymentWorld) -> Payment:
    """Return a captured card payment of 29.33 USD."""
    return await world.pay(card_payment())


async def test_a_payment_is_refunded_in_parts_up_to_what_was_captured(world: PaymentWorld) -> None:
    payment = await paid(world)
    assert (await world.refund(payment, 1000)).status is RefundStatus.SUCCEEDED
    assert (await world.refund(payment, 1933)).status is RefundStatus.SUCCEEDED
    refused = await world.refund(payment, 1)
    assert refused.status is RefundStatus.FAILED
    assert refused.failure_code == "refund_exceeds_captured"
    assert world.gateway.net_captured == 0
    world.assert_books_agree()


async def test_a_refund_of_money_that_was_spent_fails(world: PaymentWorld) -> None:
    payment = await paid(world)
    world.book.refuse["refund_hold"] = "exceeds_credits"
    failed = await world.refund(payment, 1000)
    assert failed.failure_code == "insufficient_funds"
    assert world.gateway.calls == ["authorize"]


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.UNAVAILABLE])
async def test_a_lost_refund_is_asked_about_and_given_once(world: PaymentWorld, fault: Fault) -> None:
    payment = await paid(world)
    world.gateway.faults["refund"].append(fault)
    assert (await world.refund(payment, 1000)).status is RefundStatus.SUCCEEDED
    assert world.gateway.net_captured == 1933
    world.assert_books_agree()


async def test_a_refund_that_the_gateway_rejects_is_released(world: PaymentWorld) -> None:
    payment = await paid(world)
    world.gateway.faults["refund"].append(Fault.REJECTED)
    failed = await world.refund(payment, 1000)
    assert failed.status is RefundStatus.FAILED
    assert failed.failure_code == "gateway_rejected"
    world.assert_books_agree()


@pytest.mark.parametrize(("succeeded", "left"), [(True, 1933), (False, 2933)])
async def test_a_refund_that_cannot_be_booked_waits_for_a_person(
    world: PaymentWorld, succeeded: bool, left: int
) -> None:
    payment = await paid(world)
    world.book.refuse["refund_capture"] = "pending_transfer_expired"
    reviewed = await world.refund(payment, 1000)
    assert reviewed.status is RefundStatus.NEEDS_REVIEW
    del world.book.refuse["refund_capture"]
    handle = world.client.get_workflow_handle_for(RefundWorkflow.run, reviewed.id)
    ended = await handle.execute_update(RefundWorkflow.resolve, ResolveRefund("operator-1", succeeded, "as found"))
    assert ended.status is (RefundStatus.SUCCEEDED if succeeded else RefundStatus.FAILED)
    assert world.book.posted["merchant"] == left
    assert world.book.held == 0


async def test_a_reviewed_refund_is_tried_again(world: PaymentWorld) -> None:
    payment = await paid(world)
    world.book.refuse["refund_capture"] = "pending_transfer_expired"
    reviewed = await world.refund(payment, 1000)
    del world.book.refuse["refund_capture"]
    handle = world.client.get_workflow_handle_for(RefundWorkflow.run, reviewed.id)
    ended = await handle.execute_update(RefundWorkflow.retry, RetryReview("operator-1"))
    assert ended.status is RefundStatus.SUCCEEDED
    assert world.gateway.net_captured == 1933
    world.assert_books_agree()


async def test_a_canceled_refund_goes_on_since_the_money_may_have_left(world: PaymentWorld) -> None:
    payment = await paid(world)
    world.book.refuse["refund_capture"] = "pending_transfer_expired"
    reviewed = await world.refund(payment, 1000)
    handle = world.client.get_workflow_handle_for(RefundWorkflow.run, reviewed.id)
    await handle.cancel()
    del world.book.refuse["refund_capture"]
    ended = await handle.execute_update(RefundWorkflow.retry, RetryReview("operator-1"))
    assert ended.status is RefundStatus.SUCCEEDED
    assert (await handle.result()).status is RefundStatus.SUCCEEDED


async def test_a_wallet_payment_is_refunded_inside_the_ledger(world: PaymentWorld) -> None:
    world.book.funds["payer"] = 5000
    payment = await world.pay(wallet_payment())
    assert (await world.refund(payment, 2933)).status is RefundStatus.SUCCEEDED
    assert world.book.posted["payer"] == 0
    assert world.gateway.calls == []
