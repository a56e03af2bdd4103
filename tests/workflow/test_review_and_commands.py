"""Commands that meet a payment under review, one that is busy, and a ledger that refuses."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.payments.payment import CaptureMethod, Payment
from domain.payments.refund import RefundStatus
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentWorld, card_payment, wallet_payment
from tests.workflow.meanwhile import OPERATOR, WAIT_S, start_refund, stumbled, under_review
from workflows.payments.messages import CancelPayment, CapturePayment, ResolveReview
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow

S = PaymentStatus


# Review


async def test_a_review_is_resolved_only_as_the_captured_amount_allows(world: PaymentWorld) -> None:
    """What was captured before stays captured, so the payment cannot count as canceled."""
    _, handle = await world.authorized()
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    world.gateway.faults["void"].append(Fault.REJECTED)
    reviewed = await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    assert reviewed.status is S.NEEDS_REVIEW
    for outcome in (S.CANCELED, S.FAILED, S.EXPIRED):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(PaymentWorkflow.resolve, ResolveReview("operator-1", outcome, "void by hand"))
    found = ResolveReview("operator-1", S.PARTIALLY_CAPTURED, "void by hand")
    closed = await handle.execute_update(PaymentWorkflow.resolve, found)
    assert closed.amount_captured_minor == world.book.posted["merchant"] == 1000


async def test_a_review_of_nothing_captured_is_not_resolved_as_partially_captured(world: PaymentWorld) -> None:
    handle = await under_review(world)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(
            PaymentWorkflow.resolve, ResolveReview("operator-1", S.PARTIALLY_CAPTURED, "some of it")
        )
    await handle.execute_update(PaymentWorkflow.retry, OPERATOR)


async def test_a_resolution_that_the_ledger_refuses_leaves_the_payment_in_review(world: PaymentWorld) -> None:
    handle = await under_review(world)
    world.book.refuse["settle"] = "debit_account_closed"
    found = ResolveReview("operator-1", S.SUCCEEDED, "settled at the bank")
    assert (await handle.execute_update(PaymentWorkflow.resolve, found)).status is S.NEEDS_REVIEW
    del world.book.refuse["settle"]
    assert (await handle.execute_update(PaymentWorkflow.resolve, found)).status is S.SUCCEEDED
    assert world.book.posted["merchant"] == 2933


# Commands


async def test_a_cancellation_that_waited_behind_a_capture_is_refused_when_nothing_is_left_to_cancel(
    world: PaymentWorld,
) -> None:
    _, handle = await world.authorized()
    world.book.fail_times["capture_requested"] = 3
    capture = asyncio.ensure_future(handle.execute_update(PaymentWorkflow.capture, CapturePayment()))
    await stumbled(world, "capture_requested", left=1)
    with pytest.raises((WorkflowUpdateFailedError, RPCError)) as refused:
        await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    match refused.value:
        case WorkflowUpdateFailedError(cause=ApplicationError(type=code)):
            assert code == "illegal_transition"
        case RPCError(status=status):  # it came while the task ran that ended the workflow
            assert status is RPCStatusCode.NOT_FOUND
    assert (await capture).status is S.SUCCEEDED
    world.assert_books_agree()


async def test_more_commands_than_may_wait_are_refused_and_the_others_are_answered(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    world.book.fail_times["capture_requested"] = 4
    part = CapturePayment(100, final=False)

    async def send(number: int) -> Payment | None:
        """Send one command until its outcome is known, under one id, as a client repeats a call under one key."""
        while True:
            try:
                return await handle.execute_update(PaymentWorkflow.capture, part, id=f"capture-{number}")
            except WorkflowUpdateFailedError:
                return None
            except RPCError as lost:  # Temporal's own limit of updates in flight, or a task that it lost
                if lost.status not in (RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.NOT_FOUND):
                    raise
                await asyncio.sleep(0.02)

    async with asyncio.timeout(WAIT_S):
        outcomes = await asyncio.gather(*(send(number) for number in range(12)))
    done = [outcome for outcome in outcomes if outcome is not None]
    assert 8 <= len(done) <= 12
    assert world.gateway.net_captured == 100 * len(done)
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    world.assert_books_agree()


async def test_a_wallet_capture_that_the_ledger_will_not_book_releases_what_was_reserved(world: PaymentWorld) -> None:
    world.book.funds["payer"] = 5000
    payment = await world.pay(wallet_payment(capture_method=CaptureMethod.MANUAL))
    world.book.refuse["capture"] = "debit_account_closed"
    failed = await world.handle(payment.id).execute_update(PaymentWorkflow.capture, CapturePayment(1000))
    assert failed.status is S.FAILED
    assert world.book.held == 0
    assert world.book.posted["payer"] == 0


# Refunds


async def test_a_declined_refund_whose_release_the_ledger_refuses_goes_to_a_person(world: PaymentWorld) -> None:
    payment = await world.pay(card_payment())
    (charge,) = world.gateway.charges.values()
    charge.refunded = charge.captured
    world.book.refuse["refund_release"] = "pending_transfer_already_voided"
    handle = await start_refund(world, payment)
    async with asyncio.timeout(WAIT_S):
        while (await handle.query(RefundWorkflow.progress)).refund.status is not RefundStatus.NEEDS_REVIEW:
            await asyncio.sleep(0.02)
            assert world.gateway.calls.count("refund") < 5, "the refund is asked for over and over"
    del world.book.refuse["refund_release"]
    await handle.execute_update(RefundWorkflow.retry, OPERATOR)
