"""A cancellation in Temporal at the worst moment: while something is undone, written, or not yet begun."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from domain.payments.payment import CaptureMethod, Payment
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentWorld, card_payment
from tests.workflow.meanwhile import OPERATOR, ended, reached, recover, reset, serving, stumbled, under_review
from workflows.payments.messages import CancelPayment, CapturePayment, PaymentTimers
from workflows.payments.payment import PaymentWorkflow

S = PaymentStatus


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
        ("hold", CaptureMethod.AUTOMATIC, S.SUCCEEDED),  # charged within the same workflow task, before Temporal tells
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


@pytest.mark.parametrize("final", [False, True])
async def test_canceling_in_temporal_while_a_capture_is_noted_takes_it_whole_or_not_at_all(
    world: PaymentWorld, final: bool
) -> None:
    payment, handle = await world.authorized()
    world.book.fail_times["capture_requested"] = 3
    capture = asyncio.ensure_future(handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=final)))
    await stumbled(world, "capture_requested", left=1)
    await handle.cancel()
    (outcome,) = await asyncio.gather(capture, return_exceptions=True)
    assert isinstance(
        outcome, Payment | RPCError
    )  # a workflow that could not close at once breaks the update's call off
    await ended(handle)
    row = world.book.payments[payment.id]
    assert row.status is S.PARTIALLY_CAPTURED
    assert row.amount_captured_minor == world.gateway.net_captured == 1000
    assert row.pending_capture_minor == 0
    world.assert_books_agree()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"capture_method": CaptureMethod.MANUAL}, S.CANCELED),
        ({"capture_method": CaptureMethod.AUTOMATIC}, S.SUCCEEDED),
        ({"payment_method": "challenge"}, S.CANCELED),
    ],
)
async def test_canceling_in_temporal_after_a_workflow_task_was_lost_undoes_what_it_had_done(
    client: Client, changes: dict[str, Any], status: PaymentStatus
) -> None:
    """A reset to the first task is as if that task's work had been lost after its calls were made."""
    world = PaymentWorld(client, f"test-{uuid.uuid4().hex}")
    async with serving(world):
        payment = await world.pay(card_payment(**changes))
    again = await reset(world, payment.id, 0)
    await again.cancel()
    async with serving(world):
        await ended(again)
    assert world.book.payments[payment.id].status is status
    world.assert_books_agree()


async def test_canceling_in_temporal_after_a_lost_capture_gives_nothing_back_that_is_booked(client: Client) -> None:
    world = PaymentWorld(client, f"test-{uuid.uuid4().hex}")
    async with serving(world):
        payment, handle = await world.authorized()
        await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    again = await reset(world, payment.id, 0)
    await again.cancel()
    async with serving(world):
        await ended(again)
    row = world.book.payments[payment.id]
    assert row.status is S.PARTIALLY_CAPTURED
    assert row.amount_captured_minor == world.gateway.net_captured == 1000
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
