"""Undoing a payment: its compensations, how it ends when they have run, and what a person does when one cannot.

Invariants
- Before anything is undone at a gateway, the ledger is asked to release the hold: that settles the race between undoing and a
  booking by a workflow task that was lost. What is booked by then stands, and is not reversed.
- A compensation that fails for good leaves the payment in `needs_review`, with the compensation still registered.
- A closed payment leaves no operation noted as under way: what was reversed failed, and the reversal is noted itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from temporalio.exceptions import ApplicationError, is_cancelled_exception

from activities.gateway import GatewayActivities
from activities.gateway_port import GatewayOutcome, GatewayResult, ReverseRequest, VoidRequest
from activities.payment_book import PaymentBookActivities
from domain.ids import effect_key
from domain.ledger.entries import LedgerResult
from domain.payments import booking
from domain.payments.payment import Payment, PaymentKind
from domain.payments.record import OVERTAKEN, Operation, RecordOutcome, authorization_of, capture_of
from domain.payments.status import OperationAction, OperationKind, OperationStatus, PaymentStatus
from workflows.payments.gateway_call import undo
from workflows.payments.journal import LEDGER_REFUSED, PaymentJournal, require_booked
from workflows.payments.messages import ResolveReview, RetryReview
from workflows.saga import SAGA_FAILURES, FailedCompensation, Saga, code_of, reason_of, shielded

Closing = Callable[[Payment], Payment]
"""How a payment ends once everything is undone."""

RELEASE_HOLD = "release the reserved funds in the ledger"
REVERSE_AUTHORIZATION = "reverse the authorization at the gateway"
REVERSE_CAPTURE = "reverse the capture at the gateway"

REVERSAL_REFUSED = "ReversalRefused"
"""Failure type: the gateway would not undo what it did. A person must look."""

_TO_UNDO = (PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_CAPTURE, PaymentStatus.NEEDS_REVIEW)
"""Where a gateway or the ledger may hold something for a payment that has not ended."""

NOTHING_TO_RELEASE = frozenset(
    {
        LedgerResult.PENDING_TRANSFER_NOT_FOUND,
        LedgerResult.PENDING_TRANSFER_ALREADY_VOIDED,
        LedgerResult.PENDING_TRANSFER_ALREADY_POSTED,
        LedgerResult.PENDING_TRANSFER_EXPIRED,
    }
)
"""Answers to a release that finds no live hold: there is nothing to do."""


WRITTEN_BEFORE = (LedgerResult.EXISTS, LedgerResult.EXISTS_WITH_DIFFERENT_CONTENT, OVERTAKEN)
"""Answers to a record whose step, or another one in its place, was written before."""


class PaymentUndo:
    """The way back of one payment."""

    def __init__(self, journal: PaymentJournal) -> None:
        self._journal = journal
        self.saga = Saga()
        self._closing: Closing = lambda payment: payment.failed("undone", "The payment could not be completed.")
        self._reversals: list[Operation] = []
        self._round = 0

    # Compensations are registered before their step runs

    def expect_hold(self) -> None:
        """A hold is about to be made."""
        self.saga.add(RELEASE_HOLD, self._release_hold)

    def expect_authorization(self) -> None:
        """An authorization is about to be requested."""
        self.saga.add(REVERSE_AUTHORIZATION, self._reverse_authorization)

    def expect_capture(self) -> None:
        """A capture is about to be requested."""
        self.saga.add(REVERSE_CAPTURE, self._reverse_capture)

    def capture_is_booked(self) -> None:
        """Gateway and ledger agree on the capture: it is undone no more, and a closed payment has nothing left to undo."""
        self.saga.drop(REVERSE_CAPTURE)
        if self._journal.payment.status.is_final:
            self.saga.forget()

    # Ends

    async def after_failure(self, failure: BaseException) -> None:
        """End the payment after a failed or cancelled step. One that is final or under review stays as it is."""
        status = self._journal.payment.status
        if status.is_final or status is PaymentStatus.NEEDS_REVIEW:
            return
        if isinstance(failure, asyncio.CancelledError) or is_cancelled_exception(failure):
            await self.close(lambda payment: payment.canceled("canceled_in_temporal"))
        else:
            code, reason = code_of(failure), reason_of(failure)
            await self.close(lambda payment: payment.failed(code, reason))

    async def close(self, closing: Closing) -> None:
        """Undo everything, newest first, then end the payment as `closing` says; what cannot be undone goes to a person."""
        _, cancelled = await shielded(self._close(closing))
        self._journal.remember_cancellation(cancelled)

    async def _close(self, closing: Closing) -> None:
        self._closing = closing
        while await self._undo_all():  # another run wrote meanwhile: look again at what there is to undo
            pass

    async def _undo_all(self) -> bool:
        """Undo what is registered and write how it ended; tell whether that was overtaken."""
        self._journal.step = "undoing what was done"
        failed = await self._bar_booking()
        status = self._journal.payment.status
        if status.is_final:
            self.saga.forget()
            return False
        if status is PaymentStatus.NEEDS_REVIEW:  # an earlier run had sent it to a person already
            return False
        failed += await self.saga.compensate()
        if failed:
            return await self._review(failed)
        after = self._closing(self._journal.payment)
        text = f"{after.status}: {after.failure_message}" if after.failure_message else str(after.status)
        undone = [operation.after(OperationAction.FAIL, error="reversed") for operation in self._under_way()]
        outcome = await self._journal.write(
            PaymentBookActivities.note_progress,
            after,
            str(after.status),
            text,
            operations=(*undone, *self._take_reversals()),
        )
        return await self._was_passed(outcome)

    async def recover(self) -> None:
        """Undo what a terminated run may have left behind."""
        self._expect_what_is_written()
        if self._journal.payment.status is not PaymentStatus.NEEDS_REVIEW:
            await self.close(
                lambda payment: payment.failed("workflow_terminated", "The workflow was terminated; all was undone.")
            )

    async def was_overtaken(self, outcome: RecordOutcome) -> bool:
        """Tell whether a run that was lost had written more, or another step in place of this one.

        Then its row is taken over, with the compensations it stands for.
        """
        if outcome.result not in WRITTEN_BEFORE or not await self._journal.adopt_written():
            return False
        self.saga.forget()
        if self._journal.payment.status in _TO_UNDO:
            self._expect_what_is_written()
        return True

    async def stands(self, outcome: RecordOutcome) -> bool:
        """Tell whether a step that the ledger has no reason to refuse was written; not, when it was overtaken.

        Raises ApplicationError of type LEDGER_REFUSED when the ledger refused it all the same.
        """
        if await self._was_passed(outcome):
            return False
        require_booked(outcome)
        return True

    async def _was_passed(self, outcome: RecordOutcome) -> bool:
        """Tell whether it was overtaken by other steps; one that was written before, by whatever run, stands."""
        return outcome.result == OVERTAKEN and await self.was_overtaken(outcome)

    def _expect_what_is_written(self) -> None:
        """Register the compensations of the steps that the row says a lost run may have begun."""
        payment = self._journal.payment
        if payment.attempt > 0:
            self.expect_hold()
            if payment.kind is PaymentKind.CARD:
                self.expect_authorization()
                if payment.pending_capture_minor:
                    self.expect_capture()

    async def _bar_booking(self) -> list[FailedCompensation]:
        """Release the hold before all else, then see whether a lost workflow task had booked the payment already."""
        try:
            if await self._journal.adopt_written():
                self._expect_what_is_written()
            if self._journal.payment.attempt == 0:
                return []
            await self._release_hold()
            await self._journal.adopt_written()
        except SAGA_FAILURES as failure:
            return [FailedCompensation(RELEASE_HOLD, reason_of(failure))]
        if not self._journal.payment.pending_capture_minor:
            self.saga.drop(REVERSE_CAPTURE)
        return []

    async def _release_hold(self) -> None:
        payment = self._journal.payment
        outcome = await self._journal.write(
            PaymentBookActivities.release_funds,
            payment,
            "released",
            "Release the reserved funds",
            entry=booking.release(payment),
            number=payment.attempt,
        )
        if not outcome.booked and outcome.result not in NOTHING_TO_RELEASE:
            raise ApplicationError(
                f"The ledger would not release the hold: {outcome.result}.", type=LEDGER_REFUSED, non_retryable=True
            )

    async def _reverse_authorization(self) -> None:
        payment = self._journal.payment
        if payment.amount_captured_minor and payment.gateway_reference:
            key = self._key("void", payment.attempt)
            rest = VoidRequest(key, payment.id, payment.gateway_reference)
            result = await undo(GatewayActivities.void, payment.gateway, rest, "Release the rest of the authorization")
        else:
            key = self._key("reverse", payment.attempt)
            reversal = ReverseRequest(key, payment.id, effect_key(payment.id, "authorize", payment.attempt))
            result = await undo(GatewayActivities.reverse, payment.gateway, reversal, "Reverse the authorization")
            _require_reversed(payment.gateway, result)
        self._note_reversal(key, result)

    async def _reverse_capture(self) -> None:
        payment = self._journal.payment
        key = self._key("reverse_capture", payment.captures)
        reversal = ReverseRequest(key, payment.id, effect_key(payment.id, "capture", payment.captures))
        result = await undo(GatewayActivities.reverse, payment.gateway, reversal, "Reverse the capture")
        _require_reversed(payment.gateway, result)
        self._note_reversal(key, result)

    def _key(self, step: str, number: int) -> str:
        """Return the key of a reversal. Each retry by a person has another: to the same one a gateway repeats its answer."""
        payment_id = self._journal.payment.id
        return (
            effect_key(payment_id, f"{step}_again", self._round)
            if self._round
            else effect_key(payment_id, step, number)
        )

    # What is noted of the gateway's operations

    def _note_reversal(self, key: str, result: GatewayResult) -> None:
        asked = Operation(key, self._journal.payment.id, OperationKind.VOID, result.amount_minor)
        self._reversals.append(asked.after(OperationAction.SUCCEED, result.operation_reference))

    def _take_reversals(self) -> list[Operation]:
        reversals, self._reversals = self._reversals, []
        return reversals

    def _under_way(self) -> list[Operation]:
        """Return the operations whose outcome is not noted; a recovery does not know, and the database keeps what it knows."""
        payment = self._journal.payment
        if payment.kind is not PaymentKind.CARD or payment.attempt == 0:
            return []
        asked = [authorization_of(payment)]
        if payment.pending_capture_minor:
            asked.append(capture_of(payment))
        noted = (self._journal.operations.get(operation.key, operation) for operation in asked)
        return [each for each in noted if each.status in (OperationStatus.PENDING, OperationStatus.UNKNOWN)]

    # Review by a person

    async def _review(self, failed: list[FailedCompensation]) -> bool:
        """Send the payment to a person; tell whether that was overtaken."""
        reasons = dict.fromkeys(f"could not {failure.name}: {failure.reason}" for failure in failed)
        reason = "; ".join(reasons)
        after = self._journal.payment.under_review(reason)
        outcome = await self._journal.write(
            PaymentBookActivities.note_progress,
            after,
            "needs_review",
            reason,
            operations=tuple(self._take_reversals()),
        )
        return await self._was_passed(outcome)

    async def close_again(self) -> None:
        """Go on undoing what a lost run was undoing."""
        await self.close(self._closing)

    async def retry(self, command: RetryReview) -> bool:
        """Try again what could not be undone; the payment ends as it would have, or comes back to review.

        Tells whether it did; not, when another decision had been carried out in a run that was lost.
        """
        text = f"Tried again by {command.actor}. {command.note}".strip()
        after = self._journal.payment.retried()
        outcome = await self._journal.write(PaymentBookActivities.note_progress, after, "review_retried", text)
        if await self.was_overtaken(outcome):
            return False
        self._round = after.version
        await self.close_again()
        return True

    async def resolve(self, command: ResolveReview) -> bool:
        """End a review as the operator found it: what the ledger holds is released, what the gateway took is booked.

        Tells whether it did; not, when another decision had been carried out in a run that was lost.
        """
        await self._release_hold()
        payment = self._journal.payment
        after = payment.resolved(command.outcome, command.note)
        paid = command.outcome is PaymentStatus.SUCCEEDED
        known = OperationAction.SUCCEED if paid else OperationAction.FAIL
        error = None if paid else "resolved_by_operator"
        outcome = await self._journal.write(
            PaymentBookActivities.book_payment,
            after.settled() if paid else after,
            "review_resolved",
            f"Resolved as {command.outcome} by {command.actor}: {command.note}",
            entry=booking.settle_by_hand(payment) if paid else None,
            operations=tuple(operation.after(known, error=error) for operation in self._under_way()),
        )
        if await self.was_overtaken(outcome):
            return False
        require_booked(outcome)
        self.saga.forget()
        return True


def _require_reversed(gateway: str, result: GatewayResult) -> None:
    if result.outcome is not GatewayOutcome.APPROVED:
        raise ApplicationError(
            f"{gateway} refused the reversal: {result.decline_code or result.raw_status}.",
            type=REVERSAL_REFUSED,
            non_retryable=True,
        )
