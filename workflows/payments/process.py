"""The steps of a payment, forward.

Invariants
- A compensation is registered before its step runs, and dropped once gateway and ledger agree on the money.
- Each step ends in one database record: booking, row, operations and timeline together.
- `check` is pure and says no before anything happened; after it, a step completes or raises one of SAGA_FAILURES.
"""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow

from activities.gateway import GatewayActivities
from activities.gateway_port import AuthorizeRequest, CaptureMode, GatewayOutcome, GatewayResult
from activities.payment_book import PaymentBookActivities
from domain.errors import DomainError
from domain.payments import booking, explain
from domain.payments.payment import MAX_ATTEMPTS, CaptureMethod, Payment, PaymentKind
from domain.payments.record import Operation, RecordOutcome, authorization_of
from domain.payments.status import OperationAction, PaymentAction, PaymentStatus
from workflows.payments.capture import PaymentCapture
from workflows.payments.gateway import PaymentGateway
from workflows.payments.journal import PaymentJournal
from workflows.payments.messages import (
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    ElapsedDeadline,
    PaymentCommand,
    PaymentOrder,
    ResolveReview,
    RetryReview,
)
from workflows.payments.undo import PaymentUndo
from workflows.policies import HOLD_GRACE


class PaymentProcess:
    """A payment under way."""

    def __init__(self, order: PaymentOrder) -> None:
        self.journal = PaymentJournal(order.payment)
        self.undo = PaymentUndo(self.journal)
        self._gateway = PaymentGateway(self.journal, self.undo.saga)
        self._capture = PaymentCapture(self.journal, self.undo, self._gateway)
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

    def has_carried_out(self, command_id: str) -> bool:
        """Tell whether the payment as written is where this command brought it, in this run or in one that was lost."""
        return command_id in self.payment.commands

    async def carry_out(self, command: PaymentCommand, command_id: str) -> DomainError | None:
        """Carry out a command, once; or return why it is not allowed now, before anything of it happened.

        A step that meets what a lost run had written in its place takes over that run's row and does nothing of its own: then
        what that run was doing is brought to its end and the command, unless it was that run's, is looked at again.
        """
        while True:
            if (
                self.payment.status is PaymentStatus.PROCESSING
            ):  # as between commands only a review is that was tried again
                await self.undo.close_again()
            if isinstance(command, CapturePayment) and self.payment.is_being_captured:
                await self._capture.finish()
            if self.has_carried_out(command_id):
                return None
            try:
                self.check(command)
            except DomainError as refusal:
                return refusal
            if await self._act_on(command, command_id):
                return None

    async def _act_on(self, command: PaymentCommand, command_id: str) -> bool:
        """Do what a command asks for; tell whether it is done, or was overtaken."""
        match command:
            case ConfirmPayment(payment_method=method):
                payment = self.payment if method is None else self.payment.attach(method)
                await self.attempt(payment.taking(command_id))
                return self.has_carried_out(command_id)
            case CapturePayment(amount_minor=amount, final=final):
                await self._capture.begin(amount, final=final, command_id=command_id)
                return self.has_carried_out(command_id)
            case CancelPayment(reason=reason):
                await self.undo.close(lambda payment: payment.canceled(reason))
            case ElapsedDeadline():
                await self._give_up_waiting()
            case RetryReview():
                return await self.undo.retry(command)
            case ResolveReview():
                return await self.undo.resolve(command)
        return True

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
            await self._refuse_unless_it_stands(self.payment, outcome)

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
        await self._refuse_unless_it_stands(payment, outcome)

    async def _charge_card(self, payment: Payment) -> None:
        reserved = await self._reserve(payment, payment, (authorization_of(payment),))
        payment = self.payment
        if payment.status is not PaymentStatus.PROCESSING:  # refused, or a lost run had come to the end of this attempt
            return
        operation = authorization_of(payment)
        if not reserved.is_new:
            self.undo.expect_authorization()  # it may have been sent, also when this run stops here
        automatic = payment.capture_method is CaptureMethod.AUTOMATIC
        what = f"{'Authorize and capture' if automatic else 'Authorize'} {payment.money}"
        self.journal.stop_if_cancelled()
        self.undo.expect_authorization()
        self._gateway.show(f"{what} at {payment.gateway}")
        request = AuthorizeRequest(
            operation.key,
            payment.id,
            payment.amount_minor,
            payment.currency,
            payment.payment_method or "",
            CaptureMode.AUTOMATIC if automatic else CaptureMode.MANUAL,
            payment.challenge_id,
        )
        result = await self._gateway.send(GatewayActivities.authorize, request, what, operation, first=reserved.is_new)
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
        await self._refuse_unless_it_stands(payment, outcome)
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
        outcome = await self.journal.write(
            PaymentBookActivities.note_progress,
            payment.authorized(result.gateway_reference, workflow.now() + self._lifetime),
            "authorized",
            f"{payment.gateway} authorized {payment.money}",
            operations=(operation.after(OperationAction.SUCCEED, result.gateway_reference),),
            amount_minor=payment.amount_minor,
            reference=result.gateway_reference,
        )
        await self.undo.stands(outcome)

    async def _book_sale(self, operation: Operation, result: GatewayResult) -> None:
        payment = self.payment
        self.journal.step = f"booking {payment.money}"
        outcome = await self.journal.write(
            PaymentBookActivities.book_payment,
            payment.captured(payment.amount_minor, final=True, gateway_reference=result.gateway_reference),
            "captured",
            f"{payment.gateway} authorized and captured {payment.money}; book it",
            entry=booking.book_capture(payment, payment.amount_minor, final=True),
            operations=(operation.after(OperationAction.SUCCEED, result.gateway_reference),),
            amount_minor=payment.amount_minor,
            reference=result.gateway_reference,
        )
        if await self.undo.stands(outcome):
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
        outcome = await self.journal.write(
            PaymentBookActivities.release_funds,
            after,
            "challenge_required" if after.status is PaymentStatus.REQUIRES_ACTION else "declined",
            text,
            entry=booking.release(payment),
            operations=(operation.after(OperationAction.FAIL, result.gateway_reference, code),),
            reference=result.gateway_reference,
        )
        if await self.undo.stands(outcome):
            self.undo.saga.forget()

    async def _give_up_waiting(self) -> None:
        match self.payment.status:
            case PaymentStatus.REQUIRES_CAPTURE:
                await self.undo.close(Payment.expired)
            case PaymentStatus.REQUIRES_ACTION:
                unanswered = "The cardholder did not answer the challenge in time."
                await self.undo.close(lambda payment: payment.failed("authentication_timeout", unanswered))
            case _:
                await self.undo.close(lambda payment: payment.canceled("abandoned"))

    async def _refuse_unless_it_stands(self, payment: Payment, outcome: RecordOutcome) -> None:
        if not await self.undo.was_overtaken(outcome) and not outcome.booked:
            self.undo.saga.forget()
            await self._refuse(payment, outcome)

    async def _refuse(self, payment: Payment, outcome: RecordOutcome) -> None:
        """The ledger or a limit said no before any money moved: like a decline when other money could do, else the end."""
        code = explain.refusal_code(outcome)
        message = outcome.detail or explain.decline(code)
        declined = explain.is_funds_refusal(outcome)
        after = payment.declined(code, message) if declined else payment.failed(code, message)
        outcome = await self.journal.write(PaymentBookActivities.note_progress, after, "refused", f"Refused: {message}")
        await self.undo.was_overtaken(outcome)
