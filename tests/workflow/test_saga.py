"""Failures at, during and after every step of a payment: whatever happens, gateway and ledger agree at the end."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError

from domain.payments.payment import CaptureMethod
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentHandle, PaymentWorld, card_payment, wallet_payment
from workflows.payments.messages import CapturePayment, PaymentOrder, ResolveReview, RetryReview
from workflows.payments.payment import PaymentWorkflow

MANUAL = {"capture_method": CaptureMethod.MANUAL}


async def until_status(handle: PaymentHandle, status: PaymentStatus) -> None:
    """Wait, at most ten seconds, until the payment's workflow says that status."""
    async with asyncio.timeout(10):
        while (await handle.query(PaymentWorkflow.progress)).payment.status is not status:
            await asyncio.sleep(0.02)


async def reached_gateway(world: PaymentWorld) -> None:
    """Wait, at most ten seconds, until a request reached the gateway."""
    async with asyncio.timeout(10):
        await world.gateway.reached.wait()


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.UNAVAILABLE])
async def test_a_lost_authorization_is_asked_about_and_charged_once(world: PaymentWorld, fault: Fault) -> None:
    world.gateway.faults["authorize"].append(fault)
    paid = await world.pay(card_payment())
    assert paid.status is PaymentStatus.SUCCEEDED
    assert world.gateway.net_captured == 2933
    if fault is not Fault.UNAVAILABLE:
        assert world.gateway.calls[:2] == ["authorize", "inquire"]
        assert "outcome_unknown" in world.book.story
    world.assert_books_agree()


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.UNAVAILABLE])
async def test_a_lost_capture_is_asked_about_and_taken_once(world: PaymentWorld, fault: Fault) -> None:
    _, handle = await world.authorized()
    world.gateway.faults["capture"].append(fault)
    paid = await handle.execute_update(PaymentWorkflow.capture, CapturePayment())
    assert paid.status is PaymentStatus.SUCCEEDED
    world.assert_books_agree()


async def test_an_authorization_that_the_gateway_rejects_for_good_is_undone(world: PaymentWorld) -> None:
    world.gateway.faults["authorize"].append(Fault.REJECTED)
    failed = await world.pay(card_payment())
    assert failed.status is PaymentStatus.FAILED
    assert failed.failure_code == "gateway_rejected"
    assert world.gateway.calls == ["authorize", "reverse"]
    world.assert_books_agree()


async def test_a_sale_that_the_ledger_will_not_book_is_reversed_at_the_gateway(world: PaymentWorld) -> None:
    world.book.refuse["capture"] = "pending_transfer_expired"
    failed = await world.pay(card_payment())
    assert failed.status is PaymentStatus.FAILED
    assert failed.failure_code == "ledger_refused"
    assert world.gateway.net_captured == 0
    world.assert_books_agree()


async def test_a_capture_that_the_ledger_will_not_book_is_reversed_with_the_authorization(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    world.book.refuse["capture"] = "pending_transfer_expired"
    failed = await handle.execute_update(PaymentWorkflow.capture, CapturePayment())
    assert failed.status is PaymentStatus.FAILED
    assert world.gateway.calls == ["authorize", "capture", "reverse", "reverse"]
    world.assert_books_agree()


async def test_a_capture_that_the_gateway_refuses_ends_the_payment_and_keeps_earlier_captures(
    world: PaymentWorld,
) -> None:
    _, handle = await world.authorized()
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    world.gateway.faults["capture"].append(Fault.REJECTED)
    ended = await handle.execute_update(PaymentWorkflow.capture, CapturePayment(500, final=False))
    assert ended.status is PaymentStatus.PARTIALLY_CAPTURED
    assert ended.amount_captured_minor == 1000
    world.assert_books_agree()


@pytest.mark.parametrize("step", ["hold", "capture"])
async def test_a_database_that_fails_for_a_while_only_delays_a_payment(world: PaymentWorld, step: str) -> None:
    world.book.fail_times[step] = 3
    paid = await world.pay(card_payment())
    assert paid.status is PaymentStatus.SUCCEEDED
    world.assert_books_agree()


@pytest.mark.parametrize("event", ["funds_reserved", "captured"])
async def test_a_record_written_without_an_answer_is_written_once(world: PaymentWorld, event: str) -> None:
    world.book.lose_answer.add(event)
    paid = await world.pay(card_payment())
    assert paid.status is PaymentStatus.SUCCEEDED
    assert world.book.story.count(event) == 1
    world.assert_books_agree()


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.HANGS_AFTER])
@pytest.mark.parametrize("capture_method", list(CaptureMethod))
async def test_canceling_in_temporal_during_the_authorization_undoes_it(
    world: PaymentWorld, fault: Fault, capture_method: CaptureMethod
) -> None:
    world.gateway.faults["authorize"].append(fault)
    payment = card_payment(capture_method=capture_method)
    handle = await world.start(payment)
    await reached_gateway(world)
    await handle.cancel()
    await _expect_canceled(handle)
    assert world.book.payments[payment.id].status is PaymentStatus.CANCELED
    world.assert_books_agree()


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.HANGS_AFTER])
async def test_canceling_in_temporal_during_a_capture_undoes_it(world: PaymentWorld, fault: Fault) -> None:
    payment, handle = await world.authorized()
    world.gateway.faults["capture"].append(fault)
    world.gateway.reached.clear()
    capture = asyncio.ensure_future(handle.execute_update(PaymentWorkflow.capture, CapturePayment()))
    await reached_gateway(world)
    await handle.cancel()
    assert (await capture).status is PaymentStatus.CANCELED
    await _expect_canceled(handle)
    assert world.book.payments[payment.id].amount_captured_minor == 0
    world.assert_books_agree()


async def test_canceling_in_temporal_while_waiting_for_a_capture_undoes_the_authorization(world: PaymentWorld) -> None:
    payment, handle = await world.authorized()
    await handle.cancel()
    await _expect_canceled(handle)
    assert world.book.payments[payment.id].status is PaymentStatus.CANCELED
    assert world.gateway.calls == ["authorize", "reverse"]
    world.assert_books_agree()


async def test_canceling_in_temporal_while_waiting_for_a_confirmation_needs_no_gateway(world: PaymentWorld) -> None:
    payment = await world.pay(card_payment(), confirm=False)
    handle = world.handle(payment.id)
    await handle.cancel()
    await _expect_canceled(handle)
    assert world.gateway.calls == []


async def test_canceling_twice_does_not_stop_the_compensation(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    world.gateway.faults["reverse"].append(Fault.UNAVAILABLE)
    world.gateway.reached.clear()
    await handle.cancel()
    await reached_gateway(world)
    await handle.cancel()
    await _expect_canceled(handle)
    world.assert_books_agree()


async def test_a_booking_that_won_the_race_against_a_cancellation_stands(world: PaymentWorld) -> None:
    """A workflow task that was lost had booked the sale; the cancellation that follows must not reverse it."""
    payment = card_payment()
    world.gateway.faults["authorize"].append(Fault.HANGS_AFTER)
    handle = await world.start(payment)
    await reached_gateway(world)
    trying = payment.confirm()
    hold = f"{payment.id}:hold:1"
    world.book._settle(hold, kind=_capture(), amount=2933, final=True)
    world.book.payments[payment.id] = trying.captured(2933, final=True)
    await handle.cancel()
    await _expect_canceled(handle)
    assert "reverse" not in world.gateway.calls
    assert world.book.payments[payment.id].status is PaymentStatus.SUCCEEDED
    world.assert_books_agree()


async def test_a_compensation_that_fails_for_good_does_not_stop_the_others_and_goes_to_a_person(
    world: PaymentWorld,
) -> None:
    payment, handle = await world.authorized()
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    await handle.cancel()
    await until_status(handle, PaymentStatus.NEEDS_REVIEW)
    assert world.book.held == 0
    progress = await handle.query(PaymentWorkflow.progress)
    assert progress.compensations == ["reverse the authorization at the gateway"]
    assert "could not reverse the authorization" in (progress.payment.review_reason or "")
    assert world.book.payments[payment.id].status is PaymentStatus.NEEDS_REVIEW

    ended = await handle.execute_update(PaymentWorkflow.retry, RetryReview("operator-1"))
    assert ended.status is PaymentStatus.CANCELED
    world.assert_books_agree()


async def test_a_retry_that_fails_again_comes_back_to_review(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    world.gateway.faults["reverse"].extend([Fault.REJECTED, Fault.REJECTED])
    await handle.cancel()
    await until_status(handle, PaymentStatus.NEEDS_REVIEW)
    again = await handle.execute_update(PaymentWorkflow.retry, RetryReview("operator-1"))
    assert again.status is PaymentStatus.NEEDS_REVIEW
    ended = await handle.execute_update(PaymentWorkflow.retry, RetryReview("operator-1"))
    assert ended.status is PaymentStatus.CANCELED
    world.assert_books_agree()


@pytest.mark.parametrize(
    ("outcome", "booked"), [(PaymentStatus.SUCCEEDED, 2933), (PaymentStatus.FAILED, 0), (PaymentStatus.CANCELED, 0)]
)
async def test_an_operator_resolves_a_review_as_found_at_the_gateway(
    world: PaymentWorld, outcome: PaymentStatus, booked: int
) -> None:
    _, handle = await world.authorized()
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    await handle.cancel()
    await until_status(handle, PaymentStatus.NEEDS_REVIEW)
    ended = await handle.execute_update(PaymentWorkflow.resolve, ResolveReview("operator-1", outcome, "as settled"))
    assert ended.status is outcome
    assert ended.amount_captured_minor == booked
    assert world.book.posted["merchant"] == booked
    assert world.book.held == 0


async def test_a_review_survives_a_cancellation(world: PaymentWorld) -> None:
    world.gateway.faults["authorize"].append(Fault.REJECTED)
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    reviewed = await world.pay(card_payment())
    assert reviewed.status is PaymentStatus.NEEDS_REVIEW
    handle = world.handle(reviewed.id)
    await handle.cancel()
    resolved = await handle.execute_update(
        PaymentWorkflow.resolve, ResolveReview("operator-1", PaymentStatus.FAILED, "nothing at the bank")
    )
    assert resolved.status is PaymentStatus.FAILED


async def test_a_review_is_resolved_only_with_a_final_outcome(world: PaymentWorld) -> None:
    world.gateway.faults["authorize"].append(Fault.REJECTED)
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    reviewed = await world.pay(card_payment())
    handle = world.handle(reviewed.id)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(
            PaymentWorkflow.resolve, ResolveReview("operator-1", PaymentStatus.PROCESSING, "back to work")
        )
    await handle.execute_update(PaymentWorkflow.retry, RetryReview("operator-1"))


@pytest.mark.parametrize("captured", [0, 1000])
async def test_a_terminated_payment_is_recovered_by_a_new_run(world: PaymentWorld, captured: int) -> None:
    payment, handle = await world.authorized()
    if captured:
        await handle.execute_update(PaymentWorkflow.capture, CapturePayment(captured, final=False))
    await handle.terminate("by hand")
    recovered = await _recover(world, payment.id)
    assert recovered.status is (PaymentStatus.PARTIALLY_CAPTURED if captured else PaymentStatus.FAILED)
    assert world.gateway.net_captured == captured
    world.assert_books_agree()


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.HANGS_AFTER])
async def test_a_payment_terminated_during_its_authorization_is_recovered(world: PaymentWorld, fault: Fault) -> None:
    world.gateway.faults["authorize"].append(fault)
    payment = card_payment()
    handle = await world.start(payment)
    await reached_gateway(world)
    await handle.terminate("by hand")
    assert (await _recover(world, payment.id)).status is PaymentStatus.FAILED
    world.assert_books_agree()


async def test_a_wallet_payment_is_one_booking(world: PaymentWorld) -> None:
    world.book.funds["payer"] = 5000
    paid = await world.pay(wallet_payment())
    assert paid.status is PaymentStatus.SUCCEEDED
    assert world.book.posted["payer"] == -2933
    assert world.gateway.calls == []


async def test_a_wallet_without_enough_money_pays_nothing(world: PaymentWorld) -> None:
    world.book.funds["payer"] = 100
    failed = await world.pay(wallet_payment())
    assert failed.status is PaymentStatus.FAILED
    assert failed.failure_code == "insufficient_funds"
    assert world.book.posted["merchant"] == 0


async def test_a_reserved_wallet_payment_is_captured_in_parts_or_canceled(world: PaymentWorld) -> None:
    world.book.funds["payer"] = 5000
    payment = await world.pay(wallet_payment(**MANUAL))
    assert payment.status is PaymentStatus.REQUIRES_CAPTURE
    handle = world.handle(payment.id)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    await handle.cancel()
    await _expect_canceled(handle)
    assert world.book.posted["merchant"] == 1000
    assert world.book.held == 0


async def _expect_canceled(handle: PaymentHandle) -> None:
    with pytest.raises(WorkflowFailureError) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, CancelledError)


async def _recover(world: PaymentWorld, payment_id: str):  # type: ignore[no-untyped-def]
    row = world.book.payments[payment_id]
    handle = await world.client.start_workflow(
        PaymentWorkflow.run, PaymentOrder(row, recover=True), id=payment_id, task_queue=world.task_queue
    )
    return await handle.result()


def _capture():  # type: ignore[no-untyped-def]
    from domain.ledger.entries import TransferKind

    return TransferKind.CAPTURE
