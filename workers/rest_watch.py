"""Tells who waits for it, within this process, when a payment has come to rest.

Invariant: only what is written is told: the row says so, and a client that reads it right afterwards finds the same.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from activities.payment_book_port import PaymentBook, RefundRecord
from domain.payments.payment import Payment
from domain.payments.record import PaymentRecord, RecordOutcome
from domain.payments.refund import Refund
from domain.payments.status import PaymentStatus


class RestWatch:
    """Who waits for which payment. Not for several threads: all of it happens in one event loop."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[asyncio.Future[Payment]]] = defaultdict(list)

    @contextmanager
    def expect(self, payment_id: str) -> Iterator[asyncio.Future[Payment]]:
        """Give out a future that gets the payment once it is written at rest, while the block runs."""
        told: asyncio.Future[Payment] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[payment_id]
        waiting.append(told)
        try:
            yield told
        finally:
            waiting.remove(told)
            if not waiting:
                del self._waiting[payment_id]

    def tell(self, payment: Payment) -> None:
        """Note what is written of a payment. One that is being processed is not at rest."""
        if payment.status is PaymentStatus.PROCESSING:
            return
        for told in self._waiting.get(payment.id, ()):
            if not told.done():
                told.set_result(payment)


class WatchedBook:
    """A PaymentBook whose records and reads are told to a watch, after they are written."""

    def __init__(self, book: PaymentBook, watch: RestWatch) -> None:
        self._book = book
        self._watch = watch

    async def record(self, record: PaymentRecord) -> RecordOutcome:
        """Write one step of a payment."""
        outcome = await self._book.record(record)
        if outcome.booked:
            self._watch.tell(record.payment)
        return outcome

    async def record_refund(self, record: RefundRecord) -> RecordOutcome:
        """Write one step of a refund."""
        return await self._book.record_refund(record)

    async def read(self, tenant_id: str, payment_id: str) -> Payment | None:
        """Return the payment's row, or None."""
        written = await self._book.read(tenant_id, payment_id)
        if written is not None:
            self._watch.tell(written)
        return written

    async def read_refund(self, tenant_id: str, refund_id: str) -> Refund | None:
        """Return the refund's row, or None."""
        return await self._book.read_refund(tenant_id, refund_id)
