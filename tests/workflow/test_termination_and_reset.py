"""A payment or refund terminated at every point and recovered, and one reset to an earlier task: no money moves twice."""

from __future__ import annotations

import asyncio

import pytest

from domain.payments.refund import RefundStatus
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentWorld, card_payment
from tests.workflow.meanwhile import (
    OPERATOR,
    WAIT_S,
    begin_capture,
    ended,
    reached,
    recover,
    reset,
    start_refund,
    under_review,
    until_status,
)
from workflows.messages import CancelPayment, CapturePayment, ConfirmPayment, PaymentOrder
from workflows.payment import PaymentWorkflow
from workflows.refund import RefundWorkflow

S = PaymentStatus


# Termination at every point, and recovery


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.HANGS_AFTER])
@pytest.mark.parametrize("captured", [0, 1000])
async def test_a_payment_terminated_during_a_capture_keeps_only_what_was_booked(
    world: PaymentWorld, fault: Fault, captured: int
) -> None:
    payment, handle = await world.authorized()
    if captured:
        await handle.execute_update(PaymentWorkflow.capture, CapturePayment(captured, final=False))
    await begin_capture(world, handle, fault)
    await handle.terminate("by hand")
    recovered = await (await recover(world, payment.id)).result()
    assert recovered.status is (S.PARTIALLY_CAPTURED if captured else S.FAILED)
    assert world.gateway.net_captured == recovered.amount_captured_minor == captured
    world.assert_books_agree()


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.HANGS_AFTER])
async def test_canceling_in_temporal_during_a_second_capture_keeps_the_first(world: PaymentWorld, fault: Fault) -> None:
    payment, handle = await world.authorized()
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    await begin_capture(world, handle, fault)
    await handle.cancel()
    await ended(handle)
    row = world.book.payments[payment.id]
    assert row.status is S.PARTIALLY_CAPTURED
    assert world.gateway.net_captured == row.amount_captured_minor == 1000
    world.assert_books_agree()


async def test_a_payment_terminated_while_it_is_undone_is_undone_by_its_recovery(world: PaymentWorld) -> None:
    payment, handle = await world.authorized()
    world.gateway.faults["reverse"].append(Fault.HANGS_AFTER)
    world.gateway.reached.clear()
    await handle.cancel()
    await reached(world)
    await handle.terminate("by hand")
    assert (await (await recover(world, payment.id)).result()).status is S.FAILED
    world.assert_books_agree()


@pytest.mark.parametrize("stage", [S.REQUIRES_CONFIRMATION, S.REQUIRES_ACTION, S.REQUIRES_PAYMENT_METHOD])
async def test_a_payment_terminated_while_it_waits_for_its_client_fails_without_money_moving(
    world: PaymentWorld, stage: PaymentStatus
) -> None:
    world.gateway.declines["tok_bad"] = "card_declined"
    token = {S.REQUIRES_ACTION: "challenge", S.REQUIRES_PAYMENT_METHOD: "tok_bad"}.get(stage, "tok_good")
    payment = card_payment(payment_method=token, attempts_allowed=2)
    waiting = await world.pay(payment, confirm=stage is not S.REQUIRES_CONFIRMATION)
    assert waiting.status is stage
    await world.handle(payment.id).terminate("by hand")
    assert (await (await recover(world, payment.id)).result()).status is S.FAILED
    assert world.gateway.net_captured == 0
    world.assert_books_agree()


async def test_a_review_that_was_terminated_comes_back_and_can_be_retried(world: PaymentWorld) -> None:
    handle = await under_review(world)
    await handle.terminate("by hand")
    recovery = await recover(world, handle.id)
    progress = await recovery.query(PaymentWorkflow.progress)
    assert progress.payment.status is S.NEEDS_REVIEW
    assert progress.compensations
    closed = await recovery.execute_update(PaymentWorkflow.retry, OPERATOR)
    assert closed.status is S.FAILED
    world.assert_books_agree()


async def test_a_recovery_from_a_row_that_is_out_of_date_leaves_what_was_booked_meanwhile(world: PaymentWorld) -> None:
    payment, handle = await world.authorized()
    stale = world.book.payments[payment.id]
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment())
    await ended(handle)
    recovery = await world.client.start_workflow(
        PaymentWorkflow.run, PaymentOrder(stale, recover=True), id=payment.id, task_queue=world.task_queue
    )
    assert (await recovery.result()).status is S.SUCCEEDED
    assert world.gateway.net_captured == 2933
    world.assert_books_agree()


async def test_a_row_that_went_to_review_meanwhile_is_taken_over_as_it_is(world: PaymentWorld) -> None:
    """A recovery from a row that is out of date: the run before it had sent the payment to a person, then was terminated."""
    payment, handle = await world.authorized()
    stale = world.book.payments[payment.id]
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    await handle.terminate("by hand")
    recovery = await world.client.start_workflow(
        PaymentWorkflow.run, PaymentOrder(stale, recover=True), id=payment.id, task_queue=world.task_queue
    )
    await until_status(recovery, {S.NEEDS_REVIEW, S.FAILED})
    async with asyncio.timeout(WAIT_S):
        await recovery.execute_update(PaymentWorkflow.retry, OPERATOR)
    await ended(recovery)
    world.assert_books_agree()


# A reset: the run starts again from an earlier task, with the same keys


@pytest.mark.parametrize("task", [0, 1])
async def test_a_payment_that_is_reset_moves_no_money_twice(world: PaymentWorld, task: int) -> None:
    payment, handle = await world.authorized()
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment())
    await ended(handle)
    again = await reset(world, payment.id, task)
    await ended(again)  # the capture is applied again by the server
    assert world.book.payments[payment.id].status is S.SUCCEEDED
    assert world.gateway.net_captured == 2933
    world.assert_books_agree()


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.HANGS_AFTER])
async def test_a_capture_whose_first_run_was_lost_after_it_was_booked_is_booked_once(
    world: PaymentWorld, fault: Fault
) -> None:
    """The lost run had heard nothing from the gateway and asked; the new one is answered at once, and writes other steps."""
    payment, handle = await world.authorized()
    world.gateway.faults["capture"].append(fault)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    again = await reset(world, payment.id, 0)
    ended_ = await again.execute_update(PaymentWorkflow.capture, CapturePayment())
    assert ended_.status is world.book.payments[payment.id].status is S.SUCCEEDED
    assert world.book.payments[payment.id].amount_captured_minor == world.gateway.net_captured == 2933
    world.assert_books_agree()


@pytest.mark.parametrize(("amount", "total"), [(1000, 1000), (500, 1500), (2000, 1000)])
async def test_a_capture_that_was_lost_with_its_command_is_taken_over_by_the_next(
    world: PaymentWorld, amount: int, total: int
) -> None:
    """Its client got no answer and never came back. The same amount counts as the same capture; another one follows it."""
    payment, handle = await world.authorized()
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    again = await reset(world, payment.id, 1, updates_again=False)
    captured = await again.execute_update(PaymentWorkflow.capture, CapturePayment(amount, final=False))
    assert captured == world.book.payments[payment.id]
    assert captured.status is S.REQUIRES_CAPTURE
    assert captured.amount_captured_minor == world.gateway.net_captured == world.book.posted["merchant"] == total
    await again.execute_update(PaymentWorkflow.cancel, CancelPayment())
    assert world.book.payments[payment.id].amount_captured_minor == total
    world.assert_books_agree()


async def test_a_confirmation_that_was_lost_with_its_command_is_taken_over_by_the_next(world: PaymentWorld) -> None:
    payment = await world.pay(card_payment(), confirm=False)
    await world.handle(payment.id).execute_update(PaymentWorkflow.confirm, ConfirmPayment("tok_one"))
    again = await reset(world, payment.id, 1, updates_again=False)
    paid = await again.execute_update(PaymentWorkflow.confirm, ConfirmPayment("tok_another"))
    await ended(again)
    assert paid.status is world.book.payments[payment.id].status is S.SUCCEEDED
    assert world.gateway.calls.count("authorize") == 1
    world.assert_books_agree()


async def test_a_declined_payment_that_is_reset_is_declined_again_without_a_second_request(world: PaymentWorld) -> None:
    world.gateway.declines["tok_bad"] = "card_declined"
    failed = await world.pay(card_payment(payment_method="tok_bad"))
    world.gateway.declines.clear()
    await ended(await reset(world, failed.id, 0))
    assert world.book.payments[failed.id].status is S.FAILED
    assert world.gateway.net_captured == 0
    world.assert_books_agree()


# Refunds


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.HANGS_AFTER])
async def test_a_refund_that_was_terminated_is_carried_on_and_given_once(world: PaymentWorld, fault: Fault) -> None:
    payment = await world.pay(card_payment())
    world.gateway.faults["refund"].append(fault)
    world.gateway.reached.clear()
    handle = await start_refund(world, payment)
    await reached(world)
    await handle.terminate("by hand")
    again = await start_refund(world, payment, world.book.refunds[handle.id])
    assert (await again.result()).status is RefundStatus.SUCCEEDED
    assert world.gateway.net_captured == 1933
    world.assert_books_agree()


async def test_a_reviewed_refund_that_was_terminated_comes_back_to_review(world: PaymentWorld) -> None:
    payment = await world.pay(card_payment())
    world.book.refuse["refund_capture"] = "pending_transfer_expired"
    handle = await start_refund(world, payment)
    await handle.execute_update(RefundWorkflow.submit)
    await handle.terminate("by hand")
    assert world.book.refunds[handle.id].status is RefundStatus.NEEDS_REVIEW
    again = await start_refund(world, payment, world.book.refunds[handle.id])
    async with asyncio.timeout(WAIT_S):
        assert (await again.execute_update(RefundWorkflow.submit)).status is RefundStatus.NEEDS_REVIEW
    del world.book.refuse["refund_capture"]
    assert (await again.execute_update(RefundWorkflow.retry, OPERATOR)).status is RefundStatus.SUCCEEDED
    world.assert_books_agree()


async def test_a_refund_that_is_reset_is_given_once(world: PaymentWorld) -> None:
    payment = await world.pay(card_payment())
    handle = await start_refund(world, payment)
    await handle.result()
    await ended(await reset(world, handle.id, 0))
    assert world.gateway.net_captured == 1933
    world.assert_books_agree()
