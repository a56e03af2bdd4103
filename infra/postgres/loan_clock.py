"""Test clocks: their loans found in PostgreSQL and told through Temporal.

Invariant: only loans tied to the clock are told; one whose workflow is over is left alone.
"""

from __future__ import annotations

from datetime import date

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.loan_clock_port import ClockedLoan
from infra.postgres.pool import Pool

_ADVANCE_SIGNAL = "advance_clock"
_LOANS = """
    SELECT id, status IN ('active', 'overpaid'), coalesce(served_through, business_date)
    FROM loans WHERE tenant_id = %(tenant)s AND test_clock = %(clock)s AND id > %(after)s
      AND status NOT IN ('rejected', 'withdrawn_by_client', 'closed_rescheduled')
    ORDER BY id LIMIT %(limit)s
"""
_SHOW = "SELECT test_clock_set(%s, %s, %s, %s, %s)"


class PostgresLoanClock:
    """A LoanClock over a pool and a Temporal client."""

    def __init__(self, pool: Pool, client: Client) -> None:
        self._pool = pool
        self._client = client

    async def loans(self, tenant_id: str, clock_id: str, after_loan: str, limit: int) -> list[ClockedLoan]:
        """Return the next loans of a clock. A closed one is not waited for: it may end on the way."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                _LOANS, {"tenant": tenant_id, "clock": clock_id, "after": after_loan, "limit": limit}
            )
            return [ClockedLoan(*row) for row in await cursor.fetchall()]

    async def tell(self, loan_id: str, to: date) -> None:
        """Signal a loan's workflow; one that is over is no error."""
        try:
            await self._client.get_workflow_handle(loan_id).signal(_ADVANCE_SIGNAL, to)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def show(self, tenant_id: str, clock_id: str, name: str, on: date, advancing_to: date | None) -> None:
        """Write the clock's row, which clients read and new loans start from."""
        async with self._pool.connection() as connection:
            await connection.execute(_SHOW, [tenant_id, clock_id, name, on, advancing_to])
