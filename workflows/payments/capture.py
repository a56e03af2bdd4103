"""Capturing part or all of an authorization: noted first, then asked of the gateway, then booked.

Invariants
- The compensation is registered before the request is noted, and dropped once gateway and ledger agree.
- A capture that a lost run had begun is brought to its end before another begins, so the row never forgets one under way.
"""

from __future__ import annotations

from temporalio.exceptions import ApplicationError

from activities.gateway import GatewayActivities
from activities.gateway_port import CaptureRequest, GatewayOutcome
from activities.payment_book import PaymentBookActivities
from domain.payments import booking, explain
from domain.payments.payment import Payment, PaymentKind
from domain.payments.record import Operation, capture_of
from domain.payments.status import OperationAction
from workflows.payments.gateway import PaymentGateway
from workflows.payments.journal import PaymentJournal, require_booked
from workflows.payments.undo import PaymentUndo

CAPTURE_DECLINED = "CaptureDeclined"
"""Failure type: the gateway will not capture what it authorized. What is not captured is undone."""


class PaymentCapture:
    """The captures of one payment."""

    def __init__(self, journal: PaymentJournal, undo: PaymentUndo, gateway: PaymentGateway) -> None:
        self._journal = journal
        self._undo = undo
        self._gateway = gateway

    async def begin(self, amount_minor: int | None, *, final: bool, command_id: str) -> None:
        """Capture part or all (None) of the authorization: at the gateway first, then in the ledger."""
        before = self._journal.payment
        asked_minor = before.amount_capturable_minor if amount_minor is None else amount_minor
        payment = before.begin_capture(asked_minor, final=final).taking(command_id)
        if payment.kind is PaymentKind.WALLET:
            await self._book_capture(payment, operations=(), reference=None)
            return
        amount = explain.amount(payment.pending_capture_minor, payment.currency)
        self._journal.step = f"capturing {amount} at {payment.gateway}"
        self._undo.expect_capture()
        noted = await self._journal.write(
            PaymentBookActivities.note_progress,
            payment,
            "capture_requested",
            f"Capture of {amount} requested",
            operations=(capture_of(payment),),
            amount_minor=payment.pending_capture_minor,
        )
        if not await self._undo.was_overtaken(noted):
            await self._capture_pending(first=noted.is_new)

    async def finish(self) -> None:
        """Bring the capture to its end that a lost run had begun."""
        await self._capture_pending(first=False)

    async def _capture_pending(self, *, first: bool) -> None:
        """Get the capture that is noted from the gateway, and book it."""
        payment, operation = self._journal.payment, capture_of(self._journal.payment)
        amount = explain.amount(operation.amount_minor, payment.currency)
        self._journal.stop_if_cancelled()
        self._gateway.show(f"capturing {amount} at {payment.gateway}")
        request = CaptureRequest(
            operation.key,
            payment.id,
            payment.gateway_reference or "",
            operation.amount_minor,
            payment.currency,
            payment.pending_capture_final,
        )
        result = await self._gateway.send(
            GatewayActivities.capture, request, f"Capture {amount}", operation, first=first
        )
        if result.outcome is not GatewayOutcome.APPROVED:
            raise ApplicationError(
                f"{payment.gateway} declined the capture: {result.decline_code}.",
                type=CAPTURE_DECLINED,
                non_retryable=True,
            )
        done = operation.after(OperationAction.SUCCEED, result.operation_reference)
        await self._book_capture(self._journal.payment, operations=(done,), reference=result.operation_reference)

    async def _book_capture(
        self, payment: Payment, *, operations: tuple[Operation, ...], reference: str | None
    ) -> None:
        closes = payment.pending_capture_final
        amount = explain.amount(payment.pending_capture_minor, payment.currency)
        self._journal.step = f"booking {amount}"
        outcome = await self._journal.write(
            PaymentBookActivities.book_payment,
            payment.captured(payment.pending_capture_minor, final=closes),
            "captured",
            f"{amount} captured; book it",
            entry=booking.book_capture(payment, payment.pending_capture_minor, final=closes),
            operations=operations,
            amount_minor=payment.pending_capture_minor,
            reference=reference,
        )
        if not await self._undo.was_overtaken(outcome):
            require_booked(outcome)
            self._undo.capture_is_booked()
