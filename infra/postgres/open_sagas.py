"""The rows of payments and refunds that have not ended, for reconciliation."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from activities.reconciliation import OpenSaga, Page
from domain.payments.refund import Refund, RefundStatus
from infra.postgres.payment_book import PAYMENT_COLUMNS
from infra.postgres.pool import Pool
from infra.postgres.stored_payments import payment_from_row

_OPEN_PAYMENTS = f"""
SELECT {PAYMENT_COLUMNS} FROM payments
WHERE status NOT IN ('succeeded', 'partially_captured', 'canceled', 'expired', 'failed')
  AND updated_at < now() - make_interval(secs => %(grace)s) AND id > %(after)s
ORDER BY id LIMIT %(limit)s
"""  # noqa: S608 - the columns are a constant of ours
_OPEN_REFUNDS = """
SELECT tenant_id, id, payment_id, amount_minor, currency, created_at, status, reason, gateway_reference, failure_code,
       failure_message, version
FROM refunds
WHERE status IN ('pending', 'needs_review')
  AND updated_at < now() - make_interval(secs => %(grace)s) AND id > %(after)s
ORDER BY id LIMIT %(limit)s
"""
_PAYMENTS = (
    f"SELECT {PAYMENT_COLUMNS} FROM payments WHERE (tenant_id, id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"  # noqa: S608
)


def _refund_from_row(**row: Any) -> Refund:
    row["status"] = RefundStatus(row["status"])
    return Refund(**row)


class PostgresOpenSagas:
    """An OpenSagas port over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, page: Page) -> list[OpenSaga]:
        """Return a page of open payments and refunds in the order of their ids."""
        bounds = {"grace": page.grace_s, "after": page.after, "limit": page.limit}
        async with self._pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_OPEN_PAYMENTS, bounds)
            found = [OpenSaga(payment_from_row(**row)) for row in await cursor.fetchall()]
            await cursor.execute(_OPEN_REFUNDS, bounds)
            refunds = [_refund_from_row(**row) for row in await cursor.fetchall()]
            if refunds:
                await cursor.execute(_PAYMENTS, [[r.tenant_id for r in refunds], [r.payment_id for r in refunds]])
                payments = {(row["tenant_id"], row["id"]): payment_from_row(**row) for row in await cursor.fetchall()}
                found += [OpenSaga(payments[refund.tenant_id, refund.payment_id], refund) for refund in refunds]
        return sorted(found, key=lambda saga: saga.workflow_id)[: page.limit]
