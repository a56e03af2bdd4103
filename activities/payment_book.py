"""Short database steps of payments and refunds, run as local activities.

Invariant: each is idempotent, because a local activity runs again when its workflow task fails. The names are those of
business steps, since operators read them in the Temporal UI; all write one record through the same port.
"""

from __future__ import annotations

from temporalio import activity

from activities.payment_book_port import PaymentBook, RefundRecord
from domain.payments.payment import Payment
from domain.payments.record import PaymentRecord, RecordOutcome
from domain.payments.refund import Refund


class PaymentBookActivities:
    """Writes payments and refunds. Refusals are answers; only a database out of reach raises, and is retried."""

    def __init__(self, book: PaymentBook) -> None:
        self._book = book

    @activity.defn
    async def open_payment(self, record: PaymentRecord) -> RecordOutcome:
        """Register the payment, check its limits and, when it is confirmed already, reserve or move the funds."""
        return await self._book.record(record)

    @activity.defn
    async def reserve_funds(self, record: PaymentRecord) -> RecordOutcome:
        """Hold the amount in the ledger for one more attempt."""
        return await self._book.record(record)

    @activity.defn
    async def book_payment(self, record: PaymentRecord) -> RecordOutcome:
        """Post what was captured."""
        return await self._book.record(record)

    @activity.defn
    async def release_funds(self, record: PaymentRecord) -> RecordOutcome:
        """Void what is left of the hold."""
        return await self._book.record(record)

    @activity.defn
    async def note_progress(self, record: PaymentRecord) -> RecordOutcome:
        """Write the state and a line of the timeline, without a booking."""
        return await self._book.record(record)

    @activity.defn
    async def read_payment(self, tenant_id: str, payment_id: str) -> Payment | None:
        """Read the payment as it is written."""
        return await self._book.read(tenant_id, payment_id)

    @activity.defn
    async def read_refund(self, tenant_id: str, refund_id: str) -> Refund | None:
        """Read the refund as it is written."""
        return await self._book.read_refund(tenant_id, refund_id)

    @activity.defn
    async def open_refund(self, record: RefundRecord) -> RecordOutcome:
        """Register the refund, check it against what was captured, and hold its amount."""
        return await self._book.record_refund(record)

    @activity.defn
    async def book_refund(self, record: RefundRecord) -> RecordOutcome:
        """Post the refund, or release its hold when the gateway refused."""
        return await self._book.record_refund(record)
