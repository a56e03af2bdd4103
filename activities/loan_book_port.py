"""The port through which loans are written: one atomic record a call.

Invariant: an implementation writes a record whole or not at all, and answers a repeated one as it answered the first.
"""

from __future__ import annotations

from typing import Protocol

from domain.loans.record import LoanRecord
from domain.payments.record import RecordOutcome


class LoanBook(Protocol):
    """Where loans are written, and the little of them that decisions need is read."""

    async def record(self, record: LoanRecord) -> RecordOutcome:
        """Accrue interest up to the record's day, then write the step; a refusal by the ledger is an answer, no exception."""
        ...

    async def exposure(self, tenant_id: str, customer: str, currency: str, except_loan: str) -> int:
        """Return what a customer owes us already, in minor units: principal outstanding and offers accepted."""
        ...
