"""What clients read of loans, straight from the rows that the ledger's transactions wrote.

Invariant: every query names its tenant, is bounded, and walks an index; pages go by (created_at, id), newest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from psycopg.rows import class_row, dict_row
from pydantic import TypeAdapter

from domain.loans.delinquency import bucket_of
from domain.loans.loan import Loan
from domain.loans.status import LoanStatus
from infra.postgres.pool import Pool

MAX_PAGE = 100
"""Most loans on one page."""
MAX_INSTALMENTS_READ = 5_000
MAX_EVENTS_READ = 2_000
"""Most lines of a story on one page; the next page goes on after the last sequence number."""
MAX_REPAYMENTS_READ = 2_000
MAX_PROPOSALS_READ = 500

Position = tuple[datetime, str]
"""Where a page begins: created_at and id of the last loan before it."""

_LOAN = TypeAdapter(Loan)
_COLUMNS = """
l.tenant_id, l.id, l.application, l.business_date, l.status, l.decision, l.decided_by, l.screening_outcome,
l.offer_expires_on, l.apr_percent, l.first_instalment_minor, l.disbursed_on, l.disbursed_minor, l.maturity_on, l.closed_on,
l.next_due_on, l.next_due_minor, l.principal_outstanding_minor, l.interest_outstanding_minor, l.fees_outstanding_minor,
l.penalties_outstanding_minor, l.overpaid_minor, l.recovered_minor, l.written_off_minor, l.oldest_due_on,
l.days_past_due, l.bucket, l.charged_off_on, l.paused_until, l.failure_code, l.failure_message, l.served_through,
l.version, l.created_at, l.updated_at
"""
_ONE = f"SELECT {_COLUMNS} FROM loans l WHERE l.tenant_id = %s AND l.id = %s"  # noqa: S608 - constants only
_CONDITIONS = {
    "status": "l.status = %(status)s",
    "customer": "l.customer = %(customer)s",
    "currency": "l.currency = %(currency)s",
    "test_clock": "l.test_clock = %(test_clock)s",
}
_INSTALMENTS = """
SELECT number, due_on, principal, interest, scheduled_fee, fee, penalty, paid_principal, paid_interest, paid_fee,
       paid_penalty, fee_charged, paid_on
FROM loan_instalments WHERE tenant_id = %s AND loan_id = %s ORDER BY due_on, number LIMIT %s
"""
_REPAYMENTS = """
SELECT number, received_on, amount_minor, overpaid_minor, payment_id, source, parts, reversed_on
FROM loan_repayments WHERE tenant_id = %s AND loan_id = %s ORDER BY number LIMIT %s
"""
_EVENTS = """
SELECT sequence, key, name, text, at, business_date, actor, amount_minor, entry_key, payment_id
FROM loan_events WHERE tenant_id = %s AND loan_id = %s AND sequence > %s ORDER BY sequence LIMIT %s
"""
_PROPOSALS = """
SELECT number, kind, status, maker, made_at, note, restructure, checker, checked_at
FROM loan_proposals WHERE tenant_id = %s AND loan_id = %s ORDER BY number LIMIT %s
"""
_CLOCK = "SELECT id, name, business_date, advancing_to, created_at FROM test_clocks WHERE tenant_id = %s AND id = %s"


@dataclass(frozen=True, slots=True)
class StoredLoan:
    """A loan's row. Its amounts are those of its business date."""

    loan: Loan
    created_at: datetime
    updated_at: datetime

    def days_past_due(self, on: date) -> int:
        """Return the days past due on a day, also while nothing has been written since."""
        oldest = self.loan.oldest_due_on
        return 0 if oldest is None else max((on - oldest).days, 0)

    def bucket(self, on: date) -> str:
        """Return the bucket of those days."""
        return bucket_of(self.days_past_due(on)).name


@dataclass(frozen=True, slots=True)
class StoredInstalment:
    """An instalment with what was charged and paid of it, in minor units."""

    number: int
    due_on: date
    principal: int
    interest: int
    scheduled_fee: int
    fee: int
    penalty: int
    paid_principal: int
    paid_interest: int
    paid_fee: int
    paid_penalty: int
    fee_charged: bool
    paid_on: date | None


@dataclass(frozen=True, slots=True)
class StoredRepayment:
    """A repayment and the parts it paid."""

    number: int
    received_on: date
    amount_minor: int
    overpaid_minor: int
    payment_id: str
    source: str
    parts: Sequence[Mapping[str, Any]]
    reversed_on: date | None


@dataclass(frozen=True, slots=True)
class StoredLoanEvent:
    """A line of a loan's story; `sequence` is where the next page goes on."""

    sequence: int
    key: str
    name: str
    text: str
    at: datetime
    business_date: date
    actor: str | None
    amount_minor: int | None
    entry_key: str | None
    payment_id: str | None


@dataclass(frozen=True, slots=True)
class StoredProposal:
    """What one person proposed, and what the other decided."""

    number: int
    kind: str
    status: str
    maker: str
    made_at: datetime
    note: str
    restructure: Mapping[str, Any] | None
    checker: str | None
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredClock:
    """What a test clock shows."""

    id: str
    name: str
    business_date: date
    advancing_to: date | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LoanFilter:
    """Which loans to list; None means any."""

    status: LoanStatus | None = None
    customer: str | None = None
    currency: str | None = None
    test_clock: str | None = None

    def conditions(self) -> dict[str, Any]:
        """Return the values that are given, by name."""
        named = {name: getattr(self, name) for name in _CONDITIONS}
        return {name: str(value) for name, value in named.items() if value is not None}


def _stored(row: dict[str, Any]) -> StoredLoan:
    created_at, updated_at = row.pop("created_at"), row.pop("updated_at")
    if isinstance(row["apr_percent"], Decimal):
        row["apr_percent"] = row["apr_percent"].quantize(Decimal("0.01"))
    return StoredLoan(_LOAN.validate_python(row), created_at, updated_at)


class LoanReads:
    """Reads over a pool. Raises psycopg.Error when the database is out of reach."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def loan(self, tenant_id: str, loan_id: str) -> StoredLoan | None:
        """Return a loan, or None when the tenant has no such."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_ONE, [tenant_id, loan_id])
            row = await cursor.fetchone()
        return None if row is None else _stored(row)

    async def page(
        self, tenant_id: str, chosen: LoanFilter, limit: int, after: Position | None = None
    ) -> tuple[list[StoredLoan], bool]:
        """Return up to `limit` loans, newest first, and whether more follow."""
        limit = min(limit, MAX_PAGE)
        values = chosen.conditions()
        conditions = ["l.tenant_id = %(tenant)s", *(_CONDITIONS[name] for name in values)]
        if after is not None:
            conditions.append("(l.created_at, l.id) < (%(after_at)s, %(after_id)s)")
            values |= {"after_at": after[0], "after_id": after[1]}
        statement = (
            f"SELECT {_COLUMNS} FROM loans l WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants only
            "ORDER BY l.created_at DESC, l.id DESC LIMIT %(limit)s"
        )
        async with self._pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement, values | {"tenant": tenant_id, "limit": limit + 1})
            rows = await cursor.fetchall()
        return [_stored(row) for row in rows[:limit]], len(rows) > limit

    async def instalments(self, tenant_id: str, loan_id: str) -> list[StoredInstalment]:
        """Return the schedule with what was actually paid."""
        return await self._many(StoredInstalment, _INSTALMENTS, [tenant_id, loan_id, MAX_INSTALMENTS_READ])

    async def repayments(self, tenant_id: str, loan_id: str) -> list[StoredRepayment]:
        """Return the repayments, oldest first."""
        return await self._many(StoredRepayment, _REPAYMENTS, [tenant_id, loan_id, MAX_REPAYMENTS_READ])

    async def events(
        self, tenant_id: str, loan_id: str, after_sequence: int = 0, limit: int = MAX_EVENTS_READ
    ) -> list[StoredLoanEvent]:
        """Return the timeline, oldest first, after a sequence number."""
        values = [tenant_id, loan_id, after_sequence, min(limit, MAX_EVENTS_READ)]
        return await self._many(StoredLoanEvent, _EVENTS, values)

    async def proposals(self, tenant_id: str, loan_id: str) -> list[StoredProposal]:
        """Return what was proposed, oldest first."""
        return await self._many(StoredProposal, _PROPOSALS, [tenant_id, loan_id, MAX_PROPOSALS_READ])

    async def clock(self, tenant_id: str, clock_id: str) -> StoredClock | None:
        """Return a test clock, or None when the tenant has no such."""
        found = await self._many(StoredClock, _CLOCK, [tenant_id, clock_id])
        return found[0] if found else None

    async def _many(self, row_class: type[Any], statement: str, values: list[Any]) -> list[Any]:
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(row_class)) as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchall()
