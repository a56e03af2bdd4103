"""The card payment as a saga on DBOS: three durable steps with the database work and the bank call of our own workflow.

Invariant: the steps write the same records through the same payment book and send the same request through the same gateway
adapter as `workflows.payments.process` does; only what makes them durable differs. It is a reference to measure against, so it
has the happy path and the decline, and neither timers nor captures by hand.
"""

from __future__ import annotations

from datetime import timedelta

from dbos import DBOS

from activities.gateway_port import AuthorizeRequest, CaptureMode, CardGateway, GatewayOutcome, GatewayResult
from activities.payment_book_port import PaymentBook
from domain.ids import effect_key
from domain.payments import booking
from domain.payments.payment import Payment
from domain.payments.record import PaymentRecord, RecordOutcome, TimelineEvent, authorization_of
from domain.payments.status import OperationAction

HOLD_LIFETIME = timedelta(days=10)


class Adapters:
    """What the steps work with. DBOS steps are functions of a module, so this is set once before it is launched."""

    book: PaymentBook
    gateway: CardGateway


def _event(payment: Payment, name: str, text: str, entry_key: str, reference: str | None = None) -> TimelineEvent:
    key = effect_key(payment.id, name, payment.version)
    return TimelineEvent(key, name, text, payment.created_at, payment.id, payment.amount_minor, entry_key, reference)


@DBOS.step()
async def reserve_funds(payment: Payment) -> RecordOutcome:
    """Register the payment, check its limits and hold the amount."""
    entry = booking.reserve(payment, payment.created_at + HOLD_LIFETIME)
    event = _event(payment, "funds_reserved", f"Check limits and reserve {payment.money}", entry.key)
    operations = (authorization_of(payment),)
    return await Adapters.book.record(PaymentRecord(payment, (event,), entry, operations, check_limits=True))


@DBOS.step()
async def authorize(payment: Payment) -> GatewayResult:
    """Authorize and capture at the gateway."""
    return await Adapters.gateway.authorize(
        AuthorizeRequest(
            authorization_of(payment).key,
            payment.id,
            payment.amount_minor,
            payment.currency,
            payment.payment_method or "",
            CaptureMode.AUTOMATIC,
        )
    )


@DBOS.step()
async def book_payment(payment: Payment, result: GatewayResult) -> Payment:
    """Post what was captured, or release the hold of what was declined."""
    if result.outcome is GatewayOutcome.APPROVED:
        after = payment.captured(payment.amount_minor, final=True, gateway_reference=result.gateway_reference)
        entry = booking.book_capture(payment, payment.amount_minor, final=True)
        name, text = "captured", f"{payment.gateway} authorized and captured {payment.money}; book it"
        done = authorization_of(payment).after(OperationAction.SUCCEED, result.gateway_reference)
    else:
        code = result.decline_code or "card_declined"
        after, entry = payment.declined(code, code), booking.release(payment)
        name, text = "declined", f"{payment.gateway} declined ({code}); release the reserve"
        done = authorization_of(payment).after(OperationAction.FAIL, result.gateway_reference, code)
    event = _event(after, name, text, entry.key, result.gateway_reference)
    outcome = await Adapters.book.record(PaymentRecord(after, (event,), entry, (done,)))
    if not outcome.booked:
        raise RuntimeError(f"the ledger refused the booking: {outcome.result} {outcome.detail}")
    return after


@DBOS.workflow()
async def pay(payment: Payment) -> Payment:
    """Carry a confirmed payment to its end."""
    outcome = await reserve_funds(payment)
    if not outcome.booked:
        return payment.failed(outcome.result, outcome.detail)
    return await book_payment(payment, await authorize(payment))
