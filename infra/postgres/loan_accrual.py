"""The daily accrual of interest in PostgreSQL: a page of loans in one statement and one commit; and how fast that is.

Invariant: exactly one accrual a loan and day; running it again, or twice at once, changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date

from activities.loan_accrual_port import AccrualCursor, AccrualPage
from infra.postgres.pool import Pool

MAX_PAGE = 10_000
"""Most loans of one page: a page is one transaction, and its loans wait for it."""

_PAGE = "SELECT last_tenant, last_loan, seen, loans, days FROM loan_accrue_page(%s, %s, %s, %s)"


class PostgresLoanAccrual:
    """A LoanAccrual over a pool whose connections commit by themselves."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accrue_page(self, after: AccrualCursor, through: date, limit: int) -> AccrualPage:
        """Accrue the next loans in real time after a loan; raises psycopg.Error when the database is out of reach."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_PAGE, [after.tenant_id, after.loan_id, min(limit, MAX_PAGE), through])
            row = await cursor.fetchone()
        if row is None:
            raise RuntimeError("loan_accrue_page answered nothing")
        tenant_id, loan_id, seen, loans, days = row
        return AccrualPage(AccrualCursor(tenant_id or "", loan_id or ""), seen, loans, days)


@dataclass(frozen=True, slots=True)
class AccrualSpeed:
    """How fast a run was: loans and days accrued, in how many seconds."""

    loans: int
    days: int
    seconds: float

    @property
    def rows_per_second(self) -> float:
        """Accruals (one a loan and day) per second."""
        return self.days / self.seconds if self.seconds else 0.0


async def measure_accrual(pool: Pool, through: date, page_size: int = 2_000) -> AccrualSpeed:
    """Accrue all loans in real time up to a day and measure it."""
    accrual = PostgresLoanAccrual(pool)
    started = time.perf_counter()
    loans = days = 0
    cursor = AccrualCursor()
    while True:
        page = await accrual.accrue_page(cursor, through, page_size)
        loans, days = loans + page.loans, days + page.days
        if page.seen < page_size:
            return AccrualSpeed(loans, days, time.perf_counter() - started)
        cursor = page.cursor
