"""Short database steps of loans, run as local activities.

Invariant: each is idempotent, because a local activity runs again when its workflow task fails. The names are those of
business steps, since operators read them in the Temporal UI; all write one record through the same port.
"""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from activities.loan_book_port import LoanBook
from domain.loans.record import LoanRecord
from domain.payments.record import RecordOutcome


@dataclass(frozen=True, slots=True)
class ExposureQuestion:
    """Whose debt to us counts in a decision, and the loan that is being decided."""

    tenant_id: str
    customer: str
    currency: str
    loan_id: str


class LoanBookActivities:
    """Writes loans. Refusals are answers; only a database out of reach raises, and is retried."""

    def __init__(self, book: LoanBook) -> None:
        self._book = book

    @activity.defn
    async def record_origination(self, record: LoanRecord) -> RecordOutcome:
        """Write a step from the application to the approval."""
        return await self._book.record(record)

    @activity.defn
    async def record_disbursement(self, record: LoanRecord) -> RecordOutcome:
        """Write a step of the payout: reserve, book, activate, or one that undoes them."""
        return await self._book.record(record)

    @activity.defn
    async def record_servicing(self, record: LoanRecord) -> RecordOutcome:
        """Write a step of a running loan: a due date, a repayment, a charge, a change."""
        return await self._book.record(record)

    @activity.defn
    async def read_exposure(self, question: ExposureQuestion) -> int:
        """Read what the applicant owes us already."""
        return await self._book.exposure(question.tenant_id, question.customer, question.currency, question.loan_id)
