"""The loan book in PostgreSQL: one record, one statement, one commit.

Invariant: a record is written whole or not at all by `loan_apply`, which also brings the loan's interest up to its day.
"""

from __future__ import annotations

from decimal import Decimal

import orjson
import psycopg
from psycopg.types.json import Jsonb

from domain.loans.record import LoanRecord
from domain.payments.record import RecordOutcome
from infra.postgres.pool import Pool
from infra.telemetry import database_span

_APPLY = "SELECT result, detail FROM loan_apply(%b::jsonb)"
_EXPOSURE = """
    SELECT coalesce(sum(CASE WHEN status IN ('accepted', 'submitted_and_pending_approval', 'approved')
                             THEN principal_minor ELSE principal_outstanding_minor END), 0)::bigint
    FROM loans WHERE tenant_id = %s AND customer = %s AND currency = %s AND id <> %s
"""
_REFUSED_AFTER_ADJUSTMENT = "P0004"
"""SQLSTATE of a refusal that took back an adjustment of interest with it; its detail is the ledger's result."""


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not written as JSON")


def _dumps(value: object) -> bytes:
    return orjson.dumps(value, default=_plain)


class PostgresLoanBook:
    """A LoanBook over a pool whose connections commit by themselves. Raises psycopg.Error when the database is out of reach."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def record(self, record: LoanRecord) -> RecordOutcome:
        """Write one step; returns after its commit."""
        with database_span("loan_apply", record.loan.id):
            async with self._pool.connection() as connection:
                try:
                    cursor = await connection.execute(_APPLY, [Jsonb(record, dumps=_dumps)])
                    row = await cursor.fetchone()
                except psycopg.Error as error:
                    if error.sqlstate != _REFUSED_AFTER_ADJUSTMENT:
                        raise
                    return RecordOutcome(
                        error.diag.message_detail or "ledger_refused", error.diag.message_primary or ""
                    )
        if row is None:
            raise RuntimeError("loan_apply answered nothing")
        return RecordOutcome(*row)

    async def exposure(self, tenant_id: str, customer: str, currency: str, except_loan: str) -> int:
        """Return what a customer owes us already, accepted offers included."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_EXPOSURE, [tenant_id, customer, currency, except_loan])
            row = await cursor.fetchone()
        return int(row[0]) if row is not None else 0
