"""A hostile reading of the saga: what happens when two things go wrong at once, or at the worst moment."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from domain.payments.payment import CaptureMethod, Payment
from domain.payments.refund import Refund, RefundStatus
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentHandle, PaymentWorld, card_payment, wallet_payment
from workers.registry import WORKFLOWS, payment_activities, sandbox
from workflows.messages import (
    CancelPayment,
    CapturePayment,
    PaymentOrder,
    PaymentTimers,
    RefundOrder,
    ResolveReview,
    RetryReview,
)
from workflows.payment import PaymentWorkflow
from workflows.refund import RefundWorkflow

S = PaymentStatus
WAIT_S = 12.0
MANUAL = {"capture_method": CaptureMethod.MANUAL}
OPERATOR = RetryReview("operator-1")

RefundHandle = WorkflowHandle[RefundWorkflow, Refund]


async def reached(world: PaymentWorld) -> None:
    """Wait until the next request reached the gateway."""
    async with asyncio.timeout(WAIT_S):
        await world.gateway.reached.wait()
    world.gateway.reached.clear()


async def stumbled(world: PaymentWorld, step: str, left: int) -> None:
    """Wait until the database has failed that step and `left` failures are left."""
    async with asyncio.timeout(WAIT_S):
        while world.book.fail_times[step] > left:
            await asyncio.sleep(0.01)


async def ended(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until a workflow has ended in whatever way."""
    async with asyncio.timeout(WAIT_S):
        with suppress(WorkflowFailureError):  # a cancelled workflow fails to its caller; its row says how it ended
            await handle.result()
    described = await handle.describe()
    assert described.status in (WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.CANCELED)


async def recover(world: PaymentWorld, payment_id: str) -> PaymentHandle:
    """Start the recovery of a terminated payment from its row, as reconciliation does."""
    order = PaymentOrder(world.book.payments[payment_id], recover=True)
    return await world.client.start_workflow(PaymentWorkflow.run, order, id=payment_id, task_queue=world.task_queue)


async def under_review(world: PaymentWorld) -> PaymentHandle:
    """Return an authorized payment whose reversal the gateway rejected."""
    _, handle = await world.authorized()
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    reviewed = await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    assert reviewed.status is S.NEEDS_REVIEW
    return handle


# A cancellation in Temporal while something is being undone


async def test_canceling_in_temporal_while_a_client_cancels_does_not_stop_the_compensation(world: PaymentWorld) -> None:
    payment, handle = await world.authorized()
    world.gateway.faults["reverse"].extend([Fault.UNAVAILABLE, Fault.UNAVAILABLE])
    world.gateway.reached.clear()
    canceling = asyncio.ensure_future(handle.execute_update(PaymentWorkflow.cancel, CancelPayment()))
    await reached(world)
    await handle.cancel()
    assert (await canceling).status is S.CANCELED
    await ended(handle)
    assert world.book.payments[payment.id].review_reason is None
    world.assert_books_agree()


async def test_canceling_in_temporal_while_an_authorization_expires_does_not_stop_the_compensation(
    world: PaymentWorld,
) -> None:
    payment, handle = await world.authorized(timers=PaymentTimers(authorization_lifetime_s=0.5))
    world.gateway.faults["reverse"].extend([Fault.UNAVAILABLE, Fault.UNAVAILABLE])
    world.gateway.reached.clear()
    await reached(world)
    await handle.cancel()
    await ended(handle)
    assert world.book.payments[payment.id].status is S.EXPIRED
    world.assert_books_agree()


async def test_canceling_a_recovery_in_temporal_does_not_stop_the_compensation(world: PaymentWorld) -> None:
    payment, handle = await world.authorized()
    await handle.terminate("by hand")
    world.gateway.faults["reverse"].extend([Fault.UNAVAILABLE, Fault.UNAVAILABLE])
    world.gateway.reached.clear()
    recovery = await recover(world, payment.id)
    await reached(world)
    await recovery.cancel()
    await ended(recovery)
    assert world.book.payments[payment.id].status is S.FAILED
    world.assert_books_agree()


async def test_canceling_in_temporal_while_an_operator_retries_does_not_stop_the_compensation(
    world: PaymentWorld,
) -> None:
    handle = await under_review(world)
    world.gateway.faults["reverse"].extend([Fault.UNAVAILABLE, Fault.UNAVAILABLE])
    world.gateway.reached.clear()
    retrying = asyncio.ensure_future(handle.execute_update(PaymentWorkflow.retry, OPERATOR))
    await reached(world)
    await handle.cancel()
    assert (await retrying).status is S.CANCELED
    await ended(handle)
    world.assert_books_agree()


# A cancellation in Temporal while the ledger is written


@pytest.mark.parametrize(
    ("step", "capture_method", "status"),
    [
        ("hold", CaptureMethod.AUTOMATIC, S.CANCELED),
        ("hold", CaptureMethod.MANUAL, S.CANCELED),
        ("authorized", CaptureMethod.MANUAL, S.CANCELED),
        ("capture", CaptureMethod.AUTOMATIC, S.SUCCEEDED),
    ],
)
async def test_canceling_in_temporal_while_a_step_is_written_lets_the_record_stand_and_stops_after_it(
    world: PaymentWorld, step: str, capture_method: CaptureMethod, status: PaymentStatus
) -> None:
    world.book.fail_times[step] = 3
    payment = card_payment(capture_method=capture_method)
    handle = await world.start(payment)
    await stumbled(world, step, left=1)
    await handle.cancel()
    await ended(handle)
    assert world.book.payments[payment.id].status is status
    world.assert_books_agree()


async def test_canceling_in_temporal_while_a_capture_is_noted_takes_nothing(world: PaymentWorld) -> None:
    payment, handle = await world.authorized()
    world.book.fail_times["capture_requested"] = 3
    capture = asyncio.ensure_future(handle.execute_update(PaymentWorkflow.capture, CapturePayment()))
    await stumbled(world, "capture_requested", left=1)
    await handle.cancel()
    assert (await capture).status is S.CANCELED
    await ended(handle)
    assert world.gateway.net_captured == 0
    assert world.book.payments[payment.id].pending_capture_minor == 0
    world.assert_books_agree()


async def test_canceling_in_temporal_while_an_unknown_outcome_is_noted_does_not_wait_for_the_inquiry(
    world: PaymentWorld,
) -> None:
    """The gateway answers no inquiry for long; the reversal bars the request whatever became of it."""
    world.book.fail_times["outcome_unknown"] = 3
    world.gateway.faults["authorize"].append(Fault.LOST_AFTER)
    world.gateway.faults["inquire"].extend([Fault.LOST_BEFORE] * 100)
    payment = card_payment()
    handle = await world.start(payment)
    await stumbled(world, "outcome_unknown", left=1)
    await handle.cancel()
    await ended(handle)
    assert world.book.payments[payment.id].status is S.CANCELED
    world.assert_books_agree()


async def test_a_command_and_a_cancellation_in_one_workflow_task_lose_neither(client: Client) -> None:
    """Both arrive while no worker runs, so the next one finds them together."""
    world = PaymentWorld(client, f"test-{uuid.uuid4().hex}")
    async with serving(world):
        payment, handle = await world.authorized()
    capture = asyncio.ensure_future(handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False)))
    await handle.cancel()
    async with serving(world):
        (outcome,) = await asyncio.gather(capture, return_exceptions=True)
        await ended(handle)
    row = world.book.payments[payment.id]
    assert isinstance(outcome, WorkflowUpdateFailedError | Payment)
    assert row.status in (S.CANCELED, S.PARTIALLY_CAPTURED)
    assert row.amount_captured_minor == world.gateway.net_captured
    world.assert_books_agree()


async def test_a_payment_canceled_in_temporal_before_it_began_moves_nothing(client: Client) -> None:
    world = PaymentWorld(client, f"test-{uuid.uuid4().hex}")
    handle = await world.start(card_payment())
    await handle.cancel()
    async with serving(world):
        await ended(handle)
    assert "authorize" not in world.gateway.calls
    world.assert_books_agree()


# Termination at every point, and recovery


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.HANGS_AFTER])
@pytest.mark.parametrize("captured", [0, 1000])
async def test_a_payment_terminated_during_a_capture_keeps_only_what_was_booked(
    world: PaymentWorld, fault: Fault, captured: int
) -> None:
    payment, handle = await world.authorized()
    if captured:
        await handle.execute_update(PaymentWorkflow.capture, CapturePayment(captured, final=False))
    await _begin_capture(world, handle, fault)
    await handle.terminate("by hand")
    recovered = await (await recover(world, payment.id)).result()
    assert recovered.status is (S.PARTIALLY_CAPTURED if captured else S.FAILED)
    assert world.gateway.net_captured == recovered.amount_captured_minor == captured
    world.assert_books_agree()


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.HANGS_AFTER])
async def test_canceling_in_temporal_during_a_second_capture_keeps_the_first(world: PaymentWorld, fault: Fault) -> None:
    payment, handle = await world.authorized()
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    await _begin_capture(world, handle, fault)
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
    await _at_rest(recovery, {S.NEEDS_REVIEW, S.FAILED})
    async with asyncio.timeout(WAIT_S):
        await recovery.execute_update(PaymentWorkflow.retry, OPERATOR)
    await ended(recovery)
    world.assert_books_agree()


# A reset: the run starts again from an earlier task, with the same keys


@pytest.mark.parametrize("task", [0, 1, 2])
async def test_a_payment_that_is_reset_moves_no_money_twice(world: PaymentWorld, task: int) -> None:
    payment, handle = await world.authorized()
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment())
    await ended(handle)
    again = await reset(world, payment.id, task)
    await ended(again)  # the capture is applied again by the server
    assert world.book.payments[payment.id].status is S.SUCCEEDED
    assert world.gateway.net_captured == 2933
    world.assert_books_agree()


async def test_a_declined_payment_that_is_reset_is_declined_again_without_a_second_request(world: PaymentWorld) -> None:
    world.gateway.declines["tok_bad"] = "card_declined"
    failed = await world.pay(card_payment(payment_method="tok_bad"))
    world.gateway.declines.clear()
    await ended(await reset(world, failed.id, 0))
    assert world.book.payments[failed.id].status is S.FAILED
    assert world.gateway.net_captured == 0
    world.assert_books_agree()


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
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "illegal_transition"
    assert (await capture).status is S.SUCCEEDED


async def test_more_commands_than_may_wait_are_refused_and_the_others_are_answered(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    world.book.fail_times["capture_requested"] = 4
    part = CapturePayment(100, final=False)
    commands = [asyncio.ensure_future(handle.execute_update(PaymentWorkflow.capture, part)) for _ in range(12)]
    outcomes = await asyncio.gather(*commands, return_exceptions=True)
    done = [outcome for outcome in outcomes if isinstance(outcome, Payment)]
    assert 8 <= len(done) <= 12
    assert world.gateway.net_captured == 100 * len(done)
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    world.assert_books_agree()


async def test_a_wallet_capture_that_the_ledger_will_not_book_releases_what_was_reserved(world: PaymentWorld) -> None:
    world.book.funds["payer"] = 5000
    payment = await world.pay(wallet_payment(**MANUAL))
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


# Helpers


@asynccontextmanager
async def serving(world: PaymentWorld) -> AsyncIterator[None]:
    """Run a worker for that world while the block runs."""
    async with Worker(
        world.client,
        task_queue=world.task_queue,
        workflows=WORKFLOWS,
        activities=payment_activities(world.book, {"sandbox": world.gateway}),
        workflow_runner=sandbox(),
    ):
        yield


async def start_refund(world: PaymentWorld, payment: Payment, refund: Refund | None = None) -> RefundHandle:
    """Start a refund of ten, or start one again from its row as reconciliation does."""
    made = refund or Refund("default", f"re_{uuid.uuid4().hex}", payment.id, 1000, "USD", datetime.now(UTC))
    return await world.client.start_workflow(
        RefundWorkflow.run, RefundOrder(made, payment), id=made.id, task_queue=world.task_queue
    )


async def reset(world: PaymentWorld, workflow_id: str, task: int) -> WorkflowHandle[Any, Any]:
    """Reset a workflow to one of its completed tasks, and return the new run."""
    history = await world.client.get_workflow_handle(workflow_id).fetch_history()
    tasks = [e.event_id for e in history.events if e.HasField("workflow_task_completed_event_attributes")]
    answer = await world.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=world.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=history.run_id),
            reason="by hand",
            workflow_task_finish_event_id=tasks[task],
            request_id=uuid.uuid4().hex,
        )
    )
    return world.client.get_workflow_handle(workflow_id, run_id=answer.run_id)


async def _begin_capture(world: PaymentWorld, handle: PaymentHandle, fault: Fault) -> None:
    world.gateway.faults["capture"].append(fault)
    world.gateway.reached.clear()
    await handle.start_update(
        PaymentWorkflow.capture,
        CapturePayment(500, final=False),
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
    )
    await reached(world)


async def _at_rest(handle: WorkflowHandle[Any, Any], statuses: set[PaymentStatus]) -> None:
    """Wait until the payment's workflow says one of the statuses."""
    async with asyncio.timeout(WAIT_S):
        while (await handle.query(PaymentWorkflow.progress)).payment.status not in statuses:
            await asyncio.sleep(0.02)
