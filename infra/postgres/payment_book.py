"""The payment book in PostgreSQL: records of many payments share one statement and one commit.

Invariant: a record is written whole or not at all by `payment_apply`; concurrent callers wait for the same commit, and each gets
its own answer.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import orjson
from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

from activities.payment_book_port import RefundRecord
from domain.payments.payment import Payment
from domain.payments.record import PaymentRecord, RecordOutcome
from domain.payments.refund import Refund
from infra.postgres.group_commit import GroupCommit
from infra.postgres.pool import Pool
from infra.postgres.stored_payments import REFUND_COLUMNS, payment_from_row, stored_refund
from infra.telemetry import database_span

MAX_FLUSHES = 1
"""Flushes at once. Card payments meet on the clearing account of their gateway: a second would wait for the first one's locks."""

_APPLY = "SELECT result, detail FROM payment_apply(%b::jsonb) ORDER BY ordinal"
_APPLY_REFUND = "SELECT result, detail FROM refund_apply(%b::jsonb)"
PAYMENT_COLUMNS = """
    tenant_id, id, kind, amount_minor, currency, capture_method, debit_account, credit_account, created_at, status,
    gateway, payment_method, customer, description, metadata, attempts_allowed, attempt, captures,
    pending_capture_minor, pending_capture_final, amount_authorized_minor, amount_captured_minor, gateway_reference,
    challenge_id, failure_code, failure_message, review_reason, expires_at, trace_id, commands, version
"""
"""What `payment_from_row` takes."""

_READ = f"SELECT {PAYMENT_COLUMNS} FROM payments WHERE tenant_id = %s AND id = %s"  # noqa: S608 - a constant of ours
_READ_REFUND = f"SELECT {REFUND_COLUMNS} FROM refunds r WHERE r.tenant_id = %s AND r.id = %s"  # noqa: S608 - the same


def _jsonb(value: object) -> Jsonb:
    return Jsonb(value, dumps=orjson.dumps)


class PostgresPaymentBook:
    """A PaymentBook. Open it as an async context manager: it owns the group that shares commits."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._group: GroupCommit[PaymentRecord, RecordOutcome] = GroupCommit(self._flush, max_flushes=MAX_FLUSHES)

    async def __aenter__(self) -> Self:
        """Start taking records."""
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is queued, then stop."""
        await self._group.__aexit__(kind, error, trace)

    async def record(self, record: PaymentRecord) -> RecordOutcome:
        """Write one step of a payment; returns after its commit. Raises psycopg.Error when the database is out of reach."""
        with database_span("payment_apply", record.payment.id):
            return await self._group.submit(record)

    async def record_refund(self, record: RefundRecord) -> RecordOutcome:
        """Write one step of a refund; returns after its commit."""
        with database_span("refund_apply", record.refund.id):
            async with self._pool.connection() as connection:
                cursor = await connection.execute(_APPLY_REFUND, [_jsonb(record)])
                row = await cursor.fetchone()
        if row is None:
            raise RuntimeError("refund_apply answered nothing")
        return RecordOutcome(*row)

    async def read(self, tenant_id: str, payment_id: str) -> Payment | None:
        """Return the payment's row, or None."""
        async with (
            self._pool.connection() as connection,
            connection.cursor(row_factory=kwargs_row(payment_from_row)) as cursor,
        ):
            await cursor.execute(_READ, [tenant_id, payment_id])
            return await cursor.fetchone()

    async def read_refund(self, tenant_id: str, refund_id: str) -> Refund | None:
        """Return the refund's row, or None."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_READ_REFUND, [tenant_id, refund_id])).fetchone()
        return None if row is None else stored_refund(row)

    async def _flush(self, records: list[PaymentRecord]) -> list[RecordOutcome]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_APPLY, [_jsonb(records)])
            return [RecordOutcome(result, detail) for result, detail in await cursor.fetchall()]
