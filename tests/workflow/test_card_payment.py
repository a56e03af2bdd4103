"""A card payment, from the call to its end, on a real Temporal server."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.payments.status import PaymentStatus
from tests.support.payment_world import PaymentWorld, card_payment
from workflows.payments.messages import CancelPayment, CapturePayment, ConfirmPayment, PaymentTimers
from workflows.payments.payment import PaymentWorkflow


async def test_a_good_card_is_charged_and_booked_in_one_call(world: PaymentWorld) -> None:
    paid = await world.pay(card_payment())
    assert paid.status is PaymentStatus.SUCCEEDED
    assert paid.amount_captured_minor == 2933
    assert world.book.posted["merchant"] == 2933
    assert world.gateway.calls == ["authorize"]
    assert world.book.story == ["funds_reserved", "captured"]
    world.assert_books_agree()


async def test_the_same_call_twice_charges_once(world: PaymentWorld) -> None:
    payment = card_payment()
    first, second = await world.pay(payment), await world.pay(payment)
    assert first == second
    assert world.gateway.net_captured == 2933


async def test_a_declined_card_ends_the_payment_and_releases_the_reserve(world: PaymentWorld) -> None:
    world.gateway.declines["tok_bad"] = "insufficient_funds"
    failed = await world.pay(card_payment(payment_method="tok_bad"))
    assert failed.status is PaymentStatus.FAILED
    assert failed.failure_code == "insufficient_funds"
    world.assert_books_agree()


async def test_a_declined_card_may_be_replaced_while_attempts_are_left(world: PaymentWorld) -> None:
    world.gateway.declines["tok_bad"] = "card_declined"
    declined = await world.pay(card_payment(payment_method="tok_bad", attempts_allowed=2))
    assert declined.status is PaymentStatus.REQUIRES_PAYMENT_METHOD
    paid = await world.handle(declined.id).execute_update(PaymentWorkflow.confirm, ConfirmPayment("tok_good"))
    assert paid.status is PaymentStatus.SUCCEEDED
    assert paid.failure_code is None
    world.assert_books_agree()


async def test_a_payment_can_be_confirmed_later(world: PaymentWorld) -> None:
    waiting = await world.pay(card_payment(), confirm=False)
    assert waiting.status is PaymentStatus.REQUIRES_CONFIRMATION
    assert world.gateway.calls == []
    paid = await world.handle(waiting.id).execute_update(PaymentWorkflow.confirm, ConfirmPayment())
    assert paid.status is PaymentStatus.SUCCEEDED


async def test_a_payment_without_a_method_waits_for_one(world: PaymentWorld) -> None:
    waiting = await world.pay(card_payment(payment_method=None, status=PaymentStatus.REQUIRES_PAYMENT_METHOD))
    assert waiting.status is PaymentStatus.REQUIRES_PAYMENT_METHOD
    paid = await world.handle(waiting.id).execute_update(PaymentWorkflow.confirm, ConfirmPayment("tok_good"))
    assert paid.status is PaymentStatus.SUCCEEDED


async def test_an_abandoned_payment_is_canceled(world: PaymentWorld) -> None:
    waiting = await world.pay(card_payment(), confirm=False, timers=PaymentTimers(abandon_after_s=0.2))
    ended = await world.handle(waiting.id).result()
    assert ended.status is PaymentStatus.CANCELED
    assert ended.failure_message == "abandoned"


async def test_an_authorized_payment_is_captured_in_parts(world: PaymentWorld) -> None:
    payment, handle = await world.authorized()
    assert payment.amount_capturable_minor == 2933
    part = await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    assert part.status is PaymentStatus.REQUIRES_CAPTURE
    assert part.amount_capturable_minor == 1933
    rest = await handle.execute_update(PaymentWorkflow.capture, CapturePayment())
    assert rest.status is PaymentStatus.SUCCEEDED
    assert (await handle.result()).amount_captured_minor == 2933
    world.assert_books_agree()


async def test_a_final_partial_capture_releases_the_rest(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    ended = await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000))
    assert ended.status is PaymentStatus.PARTIALLY_CAPTURED
    assert world.book.posted["merchant"] == 1000
    world.assert_books_agree()


async def test_no_more_than_the_authorization_can_be_captured(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(PaymentWorkflow.capture, CapturePayment(2934))
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "invalid_amount"
    assert world.gateway.calls == ["authorize"]


async def test_canceling_releases_the_authorization(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    ended = await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    assert ended.status is PaymentStatus.CANCELED
    assert world.gateway.calls == ["authorize", "reverse"]
    world.assert_books_agree()


async def test_canceling_after_a_partial_capture_keeps_what_was_captured(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    ended = await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    assert ended.status is PaymentStatus.PARTIALLY_CAPTURED
    assert ended.amount_captured_minor == 1000
    assert world.gateway.net_captured == 1000
    world.assert_books_agree()


async def test_an_authorization_expires_when_nobody_captures_it(world: PaymentWorld) -> None:
    _, handle = await world.authorized(timers=PaymentTimers(authorization_lifetime_s=0.5))
    ended = await handle.result()
    assert ended.status is PaymentStatus.EXPIRED
    world.assert_books_agree()


async def test_a_challenge_is_answered_and_the_payment_goes_on(world: PaymentWorld) -> None:
    challenged = await world.pay(card_payment(payment_method="challenge"))
    assert challenged.status is PaymentStatus.REQUIRES_ACTION
    assert challenged.challenge_id == "ch_1"
    assert world.book.held == 0
    paid = await world.handle(challenged.id).execute_update(PaymentWorkflow.confirm, ConfirmPayment())
    assert paid.status is PaymentStatus.SUCCEEDED
    world.assert_books_agree()


async def test_an_unanswered_challenge_fails_the_payment(world: PaymentWorld) -> None:
    challenged = await world.pay(
        card_payment(payment_method="challenge"), timers=PaymentTimers(challenge_timeout_s=0.2)
    )
    ended = await world.handle(challenged.id).result()
    assert ended.status is PaymentStatus.FAILED
    assert ended.failure_code == "authentication_timeout"
    world.assert_books_agree()


async def test_a_payment_over_the_limit_fails_before_any_money_moves(world: PaymentWorld) -> None:
    world.book.max_amount_minor = 1000
    failed = await world.pay(card_payment())
    assert failed.status is PaymentStatus.FAILED
    assert failed.failure_code == "limit_exceeded"
    assert world.gateway.calls == []


async def test_a_payment_tells_what_it_waits_for_and_what_it_would_undo(world: PaymentWorld) -> None:
    payment, handle = await world.authorized()
    progress = await handle.query(PaymentWorkflow.progress)
    assert progress.payment.id == payment.id
    assert progress.waits_for == "the client to capture or cancel"
    assert progress.compensations == [
        "reverse the authorization at the gateway",
        "release the reserved funds in the ledger",
    ]
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())


async def test_a_command_that_the_state_forbids_is_refused_and_changes_nothing(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(PaymentWorkflow.confirm, ConfirmPayment())
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "illegal_transition"
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    world.assert_books_agree()


async def test_commands_at_once_take_turns(world: PaymentWorld) -> None:
    _, handle = await world.authorized()
    outcomes = await asyncio.gather(
        *(handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False)) for _ in range(4)),
        return_exceptions=True,
    )
    done = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(done) == 2
    assert world.gateway.net_captured == 2000
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    world.assert_books_agree()
