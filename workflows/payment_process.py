"""The steps of a payment, forward.

Invariants
- A compensation is registered before its step runs, and dropped once gateway and ledger agree on the money.
- Each step ends in one database record: booking, row, operations and timeline together.
- `check` is pure and says no before anything happened; after it, a step completes or raises one of SAGA_FAILURES.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.gateway import GatewayActivities
from activities.gateway_port import AuthorizeRequest, CaptureMode, CaptureRequest, GatewayOutcome, GatewayResult
from activities.payment_book import PaymentBookActivities
from domain.ids import effect_key
from domain.payments import booking, explain
from domain.payments.payment import MAX_ATTEMPTS, CaptureMethod, Payment, PaymentKind
from domain.payments.record import Operation, RecordOutcome
from domain.payments.status import OperationAction, OperationKind, PaymentAction, PaymentStatus
from workflows.gateway_call import GatewayCall, GatewayMethod
from workflows.messages import (
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    ElapsedDeadline,
    PaymentCommand,
    PaymentOrder,
    ResolveReview,
    RetryReview,
)
from workflows.payment_journal import PaymentJournal
from workflows.payment_undo import PaymentUndo
from workflows.policies import HOLD_GRACE

CAPTURE_DECLINED = "CaptureDeclined"
"""Failure type: the gateway will not capture what it authorized. What is not captured is undone."""


class PaymentProcess:
    """A payment under way."""

    def __init__(self, order: PaymentOrder) -> None:
        self.journal = PaymentJournal(order.payment)
        self.undo = PaymentUndo(self.journal)
        self._lifetime = order.timers.authorization_lifetime
        self._patience = max(order.timers.abandon_after, order.timers.challenge_timeout)

    @property
    def payment(self) -> Payment:
        """The payment as last written."""
        return self.journal.payment

    # What clients and operators ask for

    def check(self, command: PaymentCommand) -> None:
        """Raise a DomainError when the command is not allowed now. Pure."""
        payment = self.payment
        match command:
            case ConfirmPayment(payment_method=None):
                payment.require(PaymentAction.CONFIRM)
            case ConfirmPayment():
                payment.require(PaymentAction.ATTACH_PAYMENT_METHOD)
            case CapturePayment(amount_minor=amount):
                payment.begin_capture(payment.amount_capturable_minor if amount is None else amount)
            case CancelPayment():
                payment.require(PaymentAction.CANCEL)
            case RetryReview():
                payment.require(PaymentAction.RETRY)
            case ResolveReview(outcome=outcome, note=note):
                payment.resolved(outcome, note)

    async def act_on(self, command: PaymentCommand) -> None:
        """Carry out a command that `check` let pass."""
        match command:
            case ConfirmPayment(payment_method=method):
                await self.attempt(self.payment if method is None else self.payment.attach(method))
            case CapturePayment(amount_minor=amount, final=final):
                await self.capture(self.payment.amount_capturable_minor if amount is None else amount, final=final)
            case CancelPayment(reason=reason):
                await self.undo.close(lambda payment: payment.canceled(reason))
            case ElapsedDeadline():
                await self._give_up_waiting()
            case RetryReview():
                await self.undo.retry(command)
            case ResolveReview():
                await self.undo.resolve(command)

    # Steps

    async def open(self, *, confirm: bool) -> None:
        """Register the payment and, when it is confirmed already, make the first attempt in the same step."""
        if confirm and self.payment.status is PaymentStatus.REQUIRES_CONFIRMATION:
            await self.attempt(self.payment)
            return
        self.journal.step = "registering the payment"
        received = f"Received: {explain.summary(self.payment)}"
        outcome = await self.journal.write(
            PaymentBookActivities.open_payment,
            self.payment,
            "received",
            received,
            amount_minor=self.payment.amount_minor,
        )
        if not outcome.booked:
            await self._refuse(self.payment, outcome)

    async def attempt(self, payment: Payment) -> None:
        """Try once to get the money: from a card through its gateway, or from another wallet inside the ledger."""
        trying = payment.confirm()
        if trying.kind is PaymentKind.CARD:
            await self._charge_card(trying)
        elif trying.capture_method is CaptureMethod.AUTOMATIC:
            await self._transfer(trying)
        else:
            await self._reserve(trying, trying.authorized(None, workflow.now() + self._lifetime), ())

    async def _transfer(self, payment: Payment) -> None:
        self.journal.step = f"moving {payment.money} between wallets"
        outcome = await self.journal.write(
            PaymentBookActivities.book_payment,
            payment.captured(payment.amount_minor, final=True),
            "transferred",
            f"Move {payment.money} from {payment.debit_account} to {payment.credit_account}",
            entry=booking.transfer(payment),
            amount_minor=payment.amount_minor,
        )
        if not outcome.booked:
            await self._refuse(payment, outcome)

    async def _charge_card(self, payment: Payment) -> None:
        key = effect_key(payment.id, "authorize", payment.attempt)
        operation = Operation(key, payment.id, OperationKind.AUTHORIZE, payment.amount_minor)
        reserved = await self._reserve(payment, payment, (operation,))
        if not reserved.booked:
            return
        if not reserved.is_new:
            await self.undo.take_over()
            payment = self.payment
            if payment.status is not PaymentStatus.PROCESSING:  # the lost run had come to the end of this attempt
                return
            self.undo.expect_authorization()  # it may have been sent, also when this run stops here

        automatic = payment.capture_method is CaptureMethod.AUTOMATIC
        what = f"{'Authorize and capture' if automatic else 'Authorize'} {payment.money}"
        self.journal.stop_if_cancelled()
        self.undo.expect_authorization()
        self._show(f"{what} at {payment.gateway}")
        request = AuthorizeRequest(
            key,
            payment.id,
            payment.amount_minor,
            payment.currency,
            payment.payment_method or "",
            CaptureMode.AUTOMATIC if automatic else CaptureMode.MANUAL,
            payment.challenge_id,
        )
        result = await self._call(GatewayActivities.authorize, request, what, operation).send(first=reserved.is_new)
        if result.outcome is not GatewayOutcome.APPROVED:
            await self._end_attempt(operation, result)
        elif automatic:
            await self._book_sale(operation, result)
        else:
            await self._note_authorized(operation, result)

    async def _reserve(self, payment: Payment, after: Payment, operations: tuple[Operation, ...]) -> RecordOutcome:
        self.journal.step = f"reserving {payment.money} in the ledger"
        self.undo.expect_hold()
        outcome = await self.journal.write(
            PaymentBookActivities.reserve_funds,
            after,
            "funds_reserved",
            f"Check limits and reserve {payment.money}",
            entry=booking.reserve(payment, self._hold_expiry(payment)),
            operations=operations,
            amount_minor=payment.amount_minor,
        )
        if not outcome.booked:
            self.undo.saga.forget()
            await self._refuse(payment, outcome)
        return outcome

    def _hold_expiry(self, payment: Payment) -> datetime:
        """Return when an attempt's hold expires: later than its authorization can.

        Not counted from now: a workflow task that is lost after its record was written is done again at another time, and
        must write the same entry under the same key.
        """
        return payment.created_at + payment.attempt * (self._patience + HOLD_GRACE) + self._lifetime

    async def _note_authorized(self, operation: Operation, result: GatewayResult) -> None:
        payment = self.payment
        self.journal.step = "noting the authorization"
        await self.journal.write(
            PaymentBookActivities.note_progress,
            payment.authorized(result.gateway_reference, workflow.now() + self._lifetime),
            "authorized",
            f"{payment.gateway} authorized {payment.money}",
            operations=(operation.after(OperationAction.SUCCEED, result.gateway_reference),),
            amount_minor=payment.amount_minor,
            reference=result.gateway_reference,
        )

    async def _book_sale(self, operation: Operation, result: GatewayResult) -> None:
        payment = self.payment
        self.journal.step = f"booking {payment.money}"
        await self.journal.write_or_fail(
            PaymentBookActivities.book_payment,
            payment.captured(payment.amount_minor, final=True, gateway_reference=result.gateway_reference),
            "captured",
            f"{payment.gateway} authorized and captured {payment.money}; book it",
            entry=booking.book_capture(payment, payment.amount_minor, final=True),
            operations=(operation.after(OperationAction.SUCCEED, result.gateway_reference),),
            amount_minor=payment.amount_minor,
            reference=result.gateway_reference,
        )
        self.undo.capture_is_booked()

    async def _end_attempt(self, operation: Operation, result: GatewayResult) -> None:
        """The issuer declined, or wants a challenge answered first: either way this attempt's hold is released."""
        payment, code = self.payment, result.decline_code or "card_declined"
        if result.outcome is GatewayOutcome.REQUIRES_ACTION and payment.attempt < MAX_ATTEMPTS:
            code = "challenge_required"
            after = payment.challenged(result.challenge_id or "")
            text = "The card's issuer wants the cardholder to authenticate; release the reserve meanwhile"
        else:
            after = payment.declined(code, explain.decline(code))
            text = f"{payment.gateway} declined ({code}); release the reserve"
        self.journal.step = "releasing the reserve"
        await self.journal.write_or_fail(
            PaymentBookActivities.release_funds,
            after,
            "challenge_required" if after.status is PaymentStatus.REQUIRES_ACTION else "declined",
            text,
            entry=booking.release(payment),
            operations=(operation.after(OperationAction.FAIL, result.gateway_reference, code),),
            reference=result.gateway_reference,
        )
        self.undo.saga.forget()

    async def capture(self, amount_minor: int, *, final: bool) -> None:
        """Capture part or all of the authorization: at the gateway first, then in the ledger."""
        captured_before = self.payment.amount_captured_minor
        payment = self.payment.begin_capture(amount_minor)
        closes = final or amount_minor == self.payment.amount_capturable_minor
        if payment.kind is PaymentKind.WALLET:
            await self._book_capture(payment, closes=closes, operations=(), reference=None)
            return
        amount = explain.amount(amount_minor, payment.currency)
        key = effect_key(payment.id, "capture", payment.captures)
        operation = Operation(key, payment.id, OperationKind.CAPTURE, amount_minor)
        self.journal.step = f"capturing {amount} at {payment.gateway}"
        self.undo.expect_capture()
        noted = await self.journal.write(
            PaymentBookActivities.note_progress,
            payment,
            "capture_requested",
            f"Capture of {amount} requested",
            operations=(operation,),
            amount_minor=amount_minor,
        )
        if not noted.is_new and await self.undo.take_over() and not self.payment.pending_capture_minor:
            await self._capture_what_is_left(self.payment.amount_captured_minor - captured_before, amount_minor, final)
            return
        self.journal.stop_if_cancelled()
        self._show(self.journal.step)
        request = CaptureRequest(
            key, payment.id, payment.gateway_reference or "", amount_minor, payment.currency, closes
        )
        call = self._call(GatewayActivities.capture, request, f"Capture {amount}", operation)
        result = await call.send(first=noted.is_new)
        if result.outcome is not GatewayOutcome.APPROVED:
            raise ApplicationError(
                f"{payment.gateway} declined the capture: {result.decline_code}.",
                type=CAPTURE_DECLINED,
                non_retryable=True,
            )
        done = operation.after(OperationAction.SUCCEED, result.operation_reference)
        await self._book_capture(self.payment, closes=closes, operations=(done,), reference=result.operation_reference)

    async def _capture_what_is_left(self, done_minor: int, amount_minor: int, final: bool) -> None:
        """A lost run had made a capture. If it was another than this one, whose client never came back, this one follows."""
        if done_minor != amount_minor and amount_minor <= self.payment.amount_capturable_minor:
            await self.capture(amount_minor, final=final)

    async def _book_capture(
        self, payment: Payment, *, closes: bool, operations: tuple[Operation, ...], reference: str | None
    ) -> None:
        amount = explain.amount(payment.pending_capture_minor, payment.currency)
        self.journal.step = f"booking {amount}"
        await self.journal.write_or_fail(
            PaymentBookActivities.book_payment,
            payment.captured(payment.pending_capture_minor, final=closes),
            "captured",
            f"{amount} captured; book it",
            entry=booking.book_capture(payment, payment.pending_capture_minor, final=closes),
            operations=operations,
            amount_minor=payment.pending_capture_minor,
            reference=reference,
        )
        self.undo.capture_is_booked()

    def _call(self, method: GatewayMethod, request: Any, summary: str, operation: Operation) -> GatewayCall:
        return GatewayCall(
            method,
            self.payment.gateway,
            request,
            summary,
            on_unknown=lambda reason: self._note_unknown(operation, reason),
            on_wait=self.journal.publish,
        )

    async def _note_unknown(self, operation: Operation, reason: str) -> None:
        await self.journal.write_unknown(operation, reason)
        self._show(self.journal.step)

    def _show(self, step: str) -> None:
        self.journal.step = step
        self.journal.show("", None, self.undo.saga.names)

    async def _give_up_waiting(self) -> None:
        match self.payment.status:
            case PaymentStatus.REQUIRES_CAPTURE:
                await self.undo.close(Payment.expired)
            case PaymentStatus.REQUIRES_ACTION:
                unanswered = "The cardholder did not answer the challenge in time."
                await self.undo.close(lambda payment: payment.failed("authentication_timeout", unanswered))
            case _:
                await self.undo.close(lambda payment: payment.canceled("abandoned"))

    async def _refuse(self, payment: Payment, outcome: RecordOutcome) -> None:
        """The ledger or a limit said no before any money moved: like a decline when other money could do, else the end."""
        code = explain.refusal_code(outcome)
        message = outcome.detail or explain.decline(code)
        declined = explain.is_funds_refusal(outcome)
        after = payment.declined(code, message) if declined else payment.failed(code, message)
        await self.journal.write(PaymentBookActivities.note_progress, after, "refused", f"Refused: {message}")
