"""The proof of the loan books: ledger, rows and schedules say the same of every loan that was paid out.

Invariant: reads only, in one statement and so of one moment; no finding means proven.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from infra.postgres.pool import Pool

_DISAGREE = "SELECT loan_id, what, ledger, expected FROM loan_books_disagree(%s) ORDER BY loan_id, what LIMIT %s"
_DISAGREE_ANYWHERE = """
    SELECT d.loan_id, d.what, d.ledger, d.expected
    FROM tenants t CROSS JOIN LATERAL loan_books_disagree(t.id) d ORDER BY t.id, d.loan_id, d.what LIMIT %s"""
MAX_FINDINGS = 1_000


@dataclass(frozen=True, slots=True)
class LoanDisagreement:
    """Where two books differ; amounts in minor units."""

    loan_id: str
    what: str
    ledger: int
    expected: int


async def verify_loans(pool: Pool, tenant_id: str) -> list[LoanDisagreement]:
    """Return every way in which the books of a tenant's loans disagree, at most MAX_FINDINGS."""
    async with pool.connection() as connection:
        cursor = await connection.execute(_DISAGREE, [tenant_id, MAX_FINDINGS])
        return [LoanDisagreement(*row) for row in await cursor.fetchall()]


def verify_every_loan(connection: Connection[Any]) -> list[LoanDisagreement]:
    """The same for all tenants, at most MAX_FINDINGS."""
    return [LoanDisagreement(*row) for row in connection.execute(_DISAGREE_ANYWHERE, [MAX_FINDINGS]).fetchall()]
