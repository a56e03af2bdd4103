"""The loans and test clocks that a workflow may have to carry, for reconciliation.

A closed loan waits until money can come or go back no more. One that was rescheduled has ended, but not before its successor was
begun; of a test clock only its workflow knows whether it was deleted. So these two are looked at for a while and not for ever.
"""

from __future__ import annotations

from activities.loan_reconciliation import OpenLoan
from activities.reconciliation import Page
from infra.postgres.pool import Pool

LOOKED_BACK_DAYS = 30
"""For so long after their last change rescheduled loans and test clocks are looked at."""

_LOANS = """
SELECT l.id, l.status <> 'closed_rescheduled'
FROM loans l LEFT JOIN test_clocks c ON c.tenant_id = l.tenant_id AND c.id = l.test_clock
WHERE l.status NOT IN ('rejected', 'withdrawn_by_client') AND l.id > %(after)s
  AND l.updated_at < now() - make_interval(secs => %(grace)s)
  AND CASE l.status
        WHEN 'closed_rescheduled' THEN l.updated_at > now() - make_interval(days => %(back)s)
        WHEN 'closed_obligations_met' THEN
          l.closed_on + (l.application -> 'servicing' ->> 'reopen_days')::int
            > coalesce(c.business_date, (now() AT TIME ZONE 'UTC')::date)
        WHEN 'closed_written_off' THEN
          l.closed_on + (l.application -> 'servicing' ->> 'recovery_days')::int
            > coalesce(c.business_date, (now() AT TIME ZONE 'UTC')::date)
        ELSE true
      END
ORDER BY l.id LIMIT %(limit)s
"""
_CLOCKS = """
SELECT id, false FROM test_clocks
WHERE id > %(after)s AND updated_at < now() - make_interval(secs => %(grace)s)
  AND updated_at > now() - make_interval(days => %(back)s)
ORDER BY id LIMIT %(limit)s
"""


class PostgresOpenLoans:
    """An OpenLoans port over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, page: Page) -> list[OpenLoan]:
        """Return a page of loans and test clocks in the order of their ids."""
        bounds = {"grace": page.grace_s, "after": page.after, "limit": page.limit, "back": LOOKED_BACK_DAYS}
        found: list[OpenLoan] = []
        async with self._pool.connection() as connection:
            for query in (_LOANS, _CLOCKS):
                cursor = await connection.execute(query, bounds)
                found += [OpenLoan(*row) for row in await cursor.fetchall()]
        return sorted(found, key=lambda each: each.id)[: page.limit]
