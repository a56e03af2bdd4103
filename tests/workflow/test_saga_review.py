"""A hostile reading of the saga: what happens when two things go wrong at once, or at the worst moment."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowFailureError, WorkflowHandle
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, CancelledError

from domain.payments.payment import CaptureMethod, Payment
from domain.payments.refund import Refund, RefundStatus
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentHandle, PaymentWorld, card_payment, payment_world, wallet_payment
from workflows.messages import (
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    PaymentOrder,
    PaymentTimers,
    RefundOrder,
    ResolveReview,
    RetryReview,
)
from workflows.payment import PaymentWorkflow
from workflows.refund import RefundWorkflow

S = PaymentStatus
WAIT_S = 10.0
MANUAL = {"capture_method": CaptureMethod.MANUAL}
OPERATOR = RetryReview("operator-1")


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


async def ended(handle: WorkflowHandle) -> None:  # type: ignore[type-arg]
    """Wait until a workflow has ended in whatever way."""
    async with asyncio.timeout(WAIT_S):
        try:
            await handle.result()
        except WorkflowFailureError as failure:
            assert isinstance(failure.cause, CancelledError), failure.cause


async def recover(world: PaymentWorld, payment_id: str) -> PaymentHandle:
    """Start the recovery of a terminated payment from its row, as reconciliation does."""
    order = PaymentOrder(world.book.payments[payment_id], recover=True)
    return await world.client.start_workflow(
        PaymentWorkflow.run, order, id=payment_id, task_queue=world.task_queue
    )


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
    ("step", "capture_method", "status", "calls"),
    [
        ("hold", CaptureMethod.AUTOMATIC, S.CANCELED, ["reverse"]),
        ("hold", CaptureMethod.MANUAL, S.CANCELED, ["reverse"]),
        ("authorized", CaptureMethod.MANUAL, S.CANCELED, ["authorize", "reverse"]),
        ("capture", CaptureMethod.AUTOMATIC, S.SUCCEEDED, ["authorize"]),
    ],
)
async def test_canceling_in_temporal_while_a_step_is_written_lets_the_record_stand_and_stops_after_it(
    world: PaymentWorld, step: str, capture_method: CaptureMethod, status: PaymentStatus, calls: list[str]
) -> None:
    world.book.fail_times[step] = 3
    payment = card_payment(capture_method=capture_method)
    handle = await world.start(payment)
    await stumbled(world, step, left=1)
    await handle.cancel()
    await ended(handle)
    assert world.book.payments[payment.id].status is status
    assert world.gateway.calls in (calls, [call for call in calls if call != "reverse"])
    world.assert_books_agree()


async def test_canceling_in_temporal_before_a_capture_is_sent_never_sends_it(world: PaymentWorld) -> None:
    payment, handle = await world.authorized()
    world.book.fail_times["capture_requested"] = 3
    capture = asyncio.ensure_future(handle.execute_update(PaymentWorkflow.capture, CapturePayment()))
    await stumbled(world, "capture_requested", left=1)
    await handle.cancel()
    assert (await capture).status is S.CANCELED
    await ended(handle)
    assert "capture" not in world.gateway.calls
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
    async with payment_world(client) as world:
        payment, handle = await world.authorized()
    update = asyncio.ensure_future(
        handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    )
    await handle.cancel()
    async with payment_world(client) as other:
        other.book, other.gateway = world.book, world.gateway
    async with _served_again(world):
        outcome = (await asyncio.gather(update, return_exceptions=True))[0]
        await ended(handle)
    assert not isinstance(outcome, BaseException) or isinstance(outcome, WorkflowUpdateFailedError)
    row = world.book.payments[payment.id]
    assert row.status in (S.CANCELED, S.PARTIALLY_CAPTURED)
    assert row.amount_captured_minor == world.gateway.net_captured
    world.assert_books_agree()
