"""A payment or refund terminated at every point and recovered, and one reset to an earlier task: no money moves twice."""

from __future__ import annotations

import asyncio
from itertools import permutations

import pytest
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError

from domain.payments.payment import CaptureMethod, Payment, PaymentKind
from domain.payments.refund import RefundStatus
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentHandle, PaymentWorld, card_payment, wallet_payment
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
from workflows.payments.messages import CancelPayment, CapturePayment, ConfirmPayment, PaymentOrder
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow

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


async def capture(handle: PaymentHandle, command_id: str, amount: int) -> Payment | str:
    """Send a capture under an id, as a client does under its key; return the payment, or the code of the refusal."""
    try:
        return await handle.execute_update(PaymentWorkflow.capture, CapturePayment(amount, final=False), id=command_id)
    except WorkflowUpdateFailedError as refused:
        return str(refused.cause.type) if isinstance(refused.cause, ApplicationError) else str(refused.cause)


@pytest.fixture(params=[PaymentKind.CARD, PaymentKind.WALLET])
async def authorized(world: PaymentWorld, request: pytest.FixtureRequest) -> PaymentHandle:
    """A payment of 29.33 that waits for its captures."""
    if request.param is PaymentKind.CARD:
        return (await world.authorized())[1]
    world.book.funds["payer"] = 5000
    return world.handle((await world.pay(wallet_payment(capture_method=CaptureMethod.MANUAL))).id)


@pytest.mark.parametrize("order", [*permutations(["one", "two", "three", "new"])])
async def test_captures_lost_with_their_commands_are_made_once_each_in_whatever_order_they_come_again(
    world: PaymentWorld, authorized: PaymentHandle, order: tuple[str, ...]
) -> None:
    """All three were done, and then Temporal forgot them: each is known by its id, and a new one is a capture of its own."""
    amounts = {"one": 500, "two": 500, "three": 700, "new": 500}
    for command_id in ("one", "two", "three"):
        await capture(authorized, command_id, amounts[command_id])
    again = await reset(world, authorized.id, 0, updates_again=False)
    for command_id in order:
        answer = await capture(again, command_id, amounts[command_id])
        assert isinstance(answer, Payment)
        assert answer == world.book.payments[authorized.id]
    row = world.book.payments[authorized.id]
    assert row.amount_captured_minor == world.book.posted["merchant"] == sum(amounts.values())
    await again.execute_update(PaymentWorkflow.cancel, CancelPayment())
    assert world.book.held == 0
    assert world.book.posted["merchant"] == sum(amounts.values())
    if row.kind is PaymentKind.CARD:
        world.assert_books_agree()


async def test_a_capture_of_more_than_a_lost_one_left_is_refused(
    world: PaymentWorld, authorized: PaymentHandle
) -> None:
    await capture(authorized, "one", 1000)
    again = await reset(world, authorized.id, 0, updates_again=False)
    assert await capture(again, "two", 2000) == "invalid_amount"
    assert world.book.posted["merchant"] == 1000
    assert isinstance(await capture(again, "one", 1000), Payment)
    assert world.book.posted["merchant"] == 1000


async def test_captures_are_made_once_each_when_a_reset_sends_them_again(
    world: PaymentWorld, authorized: PaymentHandle
) -> None:
    for number, amount in enumerate((1000, 500, 500)):
        await capture(authorized, f"capture-{number}", amount)
    again = await reset(world, authorized.id, 0)
    await again.execute_update(PaymentWorkflow.cancel, CancelPayment())
    await ended(again)
    row = world.book.payments[authorized.id]
    assert row.amount_captured_minor == world.book.posted["merchant"] == 2000
    assert row.status is S.PARTIALLY_CAPTURED


@pytest.mark.parametrize("lost", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
async def test_a_capture_under_way_when_its_command_was_lost_is_brought_to_its_end_before_the_next(
    world: PaymentWorld, lost: Fault
) -> None:
    payment, handle = await world.authorized()
    world.gateway.faults["capture"].append(Fault.HANGS_BEFORE if lost is Fault.LOST_BEFORE else Fault.HANGS_AFTER)
    world.gateway.reached.clear()
    under_way = CapturePayment(1000, final=False)
    await handle.start_update(PaymentWorkflow.capture, under_way, id="one", wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    await reached(world)
    again = await reset(world, payment.id, 0, updates_again=False)
    assert isinstance(await capture(again, "two", 500), Payment)
    assert isinstance(await capture(again, "one", 1000), Payment)
    await again.execute_update(PaymentWorkflow.cancel, CancelPayment())
    assert world.book.payments[payment.id].amount_captured_minor == 1500
    world.assert_books_agree()


@pytest.mark.parametrize("declined", [False, True])
async def test_a_confirmation_that_was_lost_with_its_command_counts(world: PaymentWorld, declined: bool) -> None:
    """Another one that follows is refused when the lost one paid, and tried when it was declined."""
    world.gateway.declines["tok_bad"] = "card_declined"
    payment = await world.pay(card_payment(attempts_allowed=2), confirm=False)
    first = ConfirmPayment("tok_bad" if declined else "tok_one")
    await world.handle(payment.id).execute_update(PaymentWorkflow.confirm, first, id="one")
    again = await reset(world, payment.id, 0, updates_again=False)
    other = again.execute_update(PaymentWorkflow.confirm, ConfirmPayment("tok_another"), id="two")
    if declined:
        assert (await other).status is S.SUCCEEDED
    else:
        with pytest.raises(WorkflowUpdateFailedError):
            await other
    await ended(again)
    assert world.book.payments[payment.id].status is S.SUCCEEDED
    assert world.gateway.calls.count("authorize") == (2 if declined else 1)
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
