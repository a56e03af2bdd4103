"""Writing a payment down: each step's one database record, and what operators see of it.

Invariant: a record, once begun, is always finished, whatever cancels the workflow meanwhile: the ledger may have booked it. The
cancellation is remembered and raised at the next point where stopping is safe (`stop_if_cancelled`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ApplicationError

from activities.payment_book import PaymentBookActivities
from domain.ids import effect_key
from domain.ledger.entries import JournalEntry
from domain.payments.payment import Payment
from domain.payments.record import Operation, PaymentRecord, RecordOutcome, TimelineEvent
from domain.payments.status import OperationAction, PaymentStatus
from workflows.policies import BOOK_RETRY, BOOK_TIMEOUT
from workflows.saga import shielded
from workflows.visibility import DETAILS_END, NEEDS_REVIEW, PAYMENT_STATUS

RecordActivity = Callable[[PaymentBookActivities, PaymentRecord], Awaitable[RecordOutcome]]

LEDGER_REFUSED = "LedgerRefused"
"""Failure type: the ledger would not book what the gateway has done. It is undone."""


class PaymentJournal:
    """The payment as last written, and how to write its next step. `step` says in plain words what is being done."""

    def __init__(self, payment: Payment) -> None:
        self.payment = payment
        self.operations: dict[str, Operation] = {}
        self.step = "received"
        self._unknowns = 0
        self._opened = False
        self._cancelled = False
        self._published = payment.status

    async def write(
        self,
        activity: RecordActivity,
        after: Payment,
        name: str,
        text: str,
        *,
        entry: JournalEntry | None = None,
        operations: tuple[Operation, ...] = (),
        amount_minor: int | None = None,
        reference: str | None = None,
        number: int | None = None,
    ) -> RecordOutcome:
        """Write one step; when it stands, `after` is the payment. The first one opens the payment and checks its limits.

        `number` tells apart events of one name that leave the payment as it is: notes, which are written wherever the row stands.
        """
        event = TimelineEvent(
            effect_key(after.id, name, after.version if number is None else number),
            name,
            text,
            workflow.now(),
            after.id,
            amount_minor,
            entry.key if entry else None,
            reference,
        )
        opening = not self._opened
        record = PaymentRecord(after, (event,), entry, operations, check_limits=opening, moves=number is None)
        outcome, cancelled = await shielded(
            workflow.execute_local_activity_method(
                PaymentBookActivities.open_payment if opening else activity,
                record,
                start_to_close_timeout=BOOK_TIMEOUT,
                retry_policy=BOOK_RETRY,
                summary=text,
            )
        )
        self._cancelled = self._cancelled or cancelled
        self._opened = True
        if outcome.booked:
            self.payment = after
            for operation in operations:
                self.operations[operation.key] = operation
            if after.status is not PaymentStatus.PROCESSING:
                self.publish()
        return outcome

    async def write_unknown(self, operation: Operation, reason: str) -> None:
        """Write that no answer came to an operation."""
        self.step = f"asking {self.payment.gateway} what became of the {operation.kind}"
        unknown = operation.after(OperationAction.LOSE_ANSWER, error="outcome_unknown")
        self._unknowns += 1
        await self.write(
            PaymentBookActivities.note_progress,
            self.payment,
            "outcome_unknown",
            f"No answer to the {operation.kind} ({reason}); asking {self.payment.gateway} before anything else",
            operations=(unknown,),
            amount_minor=operation.amount_minor,
            number=self._unknowns,
        )

    async def adopt_written(self) -> bool:
        """Take over the row, unless it is behind; tell whether it says something new.

        A workflow task that was lost may have written it, also under the number of a version that this run wrote differently.
        """
        written, cancelled = await shielded(
            workflow.execute_local_activity_method(
                PaymentBookActivities.read_payment,
                args=[self.payment.tenant_id, self.payment.id],
                start_to_close_timeout=BOOK_TIMEOUT,
                retry_policy=BOOK_RETRY,
                summary="Read the payment as it is written",
            )
        )
        self._cancelled = self._cancelled or cancelled
        self._opened = self._opened or written is not None
        if written is None or written.version < self.payment.version or written == self.payment:
            return False
        self.payment = written
        self.publish()
        return True

    def remember_cancellation(self, cancelled: bool) -> None:
        """Note that a cancellation came while work was shielded from it."""
        self._cancelled = self._cancelled or cancelled

    def stop_if_cancelled(self) -> None:
        """Raise the cancellation that came while a record was written."""
        if self._cancelled:
            self._cancelled = False
            raise asyncio.CancelledError

    def publish(self) -> None:
        """Let operators find the payment by the status it has now. One that is processed at once needs no such mark."""
        status = self.payment.status
        if status is self._published:
            return
        changes: list[SearchAttributeUpdate[Any]] = [PAYMENT_STATUS.value_set(str(status))]
        if PaymentStatus.NEEDS_REVIEW in (status, self._published):
            changes.append(NEEDS_REVIEW.value_set(status is PaymentStatus.NEEDS_REVIEW))
        workflow.upsert_search_attributes(changes)
        self._published = status

    def show(self, waits_for: str, deadline: datetime | None, compensations: list[str], afterwards: str = "") -> None:
        """Tell an operator, in the Temporal UI, where the payment stands and what to press."""
        payment = self.payment
        lines = [
            f"**{payment.money}** from `{payment.debit_account}` to `{payment.credit_account}`: **{payment.status}**",
            f"Waits for {waits_for}." if waits_for else f"Now {self.step}.",
        ]
        if deadline is not None:
            lines.append(f"Until {deadline:%Y-%m-%d %H:%M} UTC; then {afterwards}.")
        if payment.status is PaymentStatus.NEEDS_REVIEW:
            lines.append(f"Why: {payment.review_reason}")
            lines.append(
                "Press **Send an update**: `retry` tries again what could not be undone; `resolve` closes it with the "
                "outcome you found at the gateway."
            )
        if compensations:
            when = "Still to undo" if payment.status is PaymentStatus.NEEDS_REVIEW else "If it fails now"
            lines.append(f"{when}: " + "; ".join(compensations) + ".")
        if payment.failure_message:
            lines.append(f"Last: {payment.failure_message}")
        workflow.set_current_details("\n\n".join([*lines, DETAILS_END]))


def require_booked(outcome: RecordOutcome) -> None:
    """Raise ApplicationError of type LEDGER_REFUSED when a record does not stand."""
    if not outcome.booked:
        raise ApplicationError(
            f"The ledger refused the booking: {outcome.result}. {outcome.detail}".strip(),
            type=LEDGER_REFUSED,
            non_retryable=True,
        )
