"""How many payments and refunds wait for a person, over all tenants."""

from __future__ import annotations

from dataclasses import dataclass

from infra.postgres.pool import Pool

_COUNTS = """
SELECT (SELECT count(*) FROM tenants t JOIN payments p ON p.tenant_id = t.id AND p.status = 'needs_review'),
       (SELECT count(*) FROM refunds WHERE status = 'needs_review')
"""
"""Payments are looked up by tenant and status, open refunds have an index of their own: the cost is that of what is found."""


@dataclass(frozen=True, slots=True)
class ReviewCounts:
    """Payments and refunds in `needs_review`, which is a status of theirs; of loans only their workflows know."""

    payments: int
    refunds: int


async def count_reviews(pool: Pool) -> ReviewCounts:
    """Count what waits for a person now. Raises psycopg.Error and PoolTimeout."""
    async with pool.connection() as connection:
        row = await (await connection.execute(_COUNTS)).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return ReviewCounts(*row)
