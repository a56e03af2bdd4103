"""The port through which payments are written: one atomic record a call.

Invariant: an implementation writes a record whole or not at all, and answers a repeated one as it answered the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from domain.ledger.entries import JournalEntry
from domain.payments.payment import Payment
from domain.payments.record import Operation, PaymentRecord, RecordOutcome, TimelineEvent
from domain.payments.refund import Refund


@dataclass(frozen=True, slots=True)
class RefundRecord:
    """One atomic step of a refund. With `open`, the refund is checked against what the payment captured."""

    refund: Refund
    events: tuple[TimelineEvent, ...]
    entry: JournalEntry | None = None
    operations: tuple[Operation, ...] = ()
    open: bool = False


class PaymentBook(Protocol):
    """Where payments and refunds are written and read back."""

    async def record(self, record: PaymentRecord) -> RecordOutcome:
        """Write one step of a payment; a refusal by the ledger or a limit is an answer, no exception. May answer OVERTAKEN."""
        ...

    async def record_refund(self, record: RefundRecord) -> RecordOutcome:
        """Write one step of a refund; may answer `refund_exceeds_captured`, or OVERTAKEN."""
        ...

    async def read(self, tenant_id: str, payment_id: str) -> Payment | None:
        """Return the payment's row, or None."""
        ...

    async def read_refund(self, tenant_id: str, refund_id: str) -> Refund | None:
        """Return the refund's row, or None."""
        ...
