"""What clients read of payments and refunds, straight from the rows that the ledger's transactions wrote.

Invariant: every query names its tenant, is bounded, and walks an index (a test looks at the plans); pages go by
(created_at, id), newest first, so a page costs the same however deep it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from domain.payments.refund import Refund
from domain.payments.status import PaymentStatus
from infra.postgres.pool import Pool
from infra.postgres.stored_payments import (
    PAYMENT_COLUMNS,
    REFUND_COLUMNS,
    StoredPayment,
    stored_payment,
    stored_refund,
)

MAX_PAGE = 100
"""Most payments on one page."""

MAX_REFUNDS_READ = 500
MAX_EVENTS_READ = 2_000
MAX_OPERATIONS_READ = 1_000
"""Bounds of one payment's story; MAX_CAPTURES and MAX_ATTEMPTS keep a real one far below."""

Position = tuple[datetime, str]
"""Where a page begins: created_at and id of the last payment before it."""

_PAYMENT = f"SELECT {PAYMENT_COLUMNS} FROM payments p WHERE p.tenant_id = %s AND p.id = %s"  # noqa: S608
_REFUND = f"SELECT {REFUND_COLUMNS} FROM refunds r WHERE r.tenant_id = %s AND r.id = %s"  # noqa: S608
_REFUNDS = f"""
SELECT {REFUND_COLUMNS} FROM refunds r WHERE r.tenant_id = %s AND r.payment_id = %s
ORDER BY r.created_at, r.id LIMIT {MAX_REFUNDS_READ}
"""  # noqa: S608 - constants only
_CONDITIONS = {
    "status": "p.status = %(status)s",
    "account": "p.credit_account = %(account)s",
    "customer": "p.customer = %(customer)s",
    "currency": "p.currency = %(currency)s",
    "created_after": "p.created_at >= %(created_after)s",
    "created_before": "p.created_at < %(created_before)s",
}
_EVENTS = f"""
SELECT e.key, e.name, e.text, e.at, e.owner_id, e.amount_minor, e.entry_key, e.gateway_reference
FROM payment_events e WHERE e.tenant_id = %s AND e.payment_id = %s ORDER BY e.at, e.sequence LIMIT {MAX_EVENTS_READ}
"""  # noqa: S608 - constants only
_OPERATIONS = f"""
SELECT o.key, o.owner_id, o.kind, o.status, o.amount_minor, o.gateway_reference, o.error_code, o.created_at, o.updated_at
FROM payment_operations o WHERE o.tenant_id = %s AND o.payment_id = %s
ORDER BY o.created_at, o.key LIMIT {MAX_OPERATIONS_READ}
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """Which payments to list; None means any. `created_after` is inclusive, `created_before` is not."""

    status: PaymentStatus | None = None
    account: str | None = None
    customer: str | None = None
    currency: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def conditions(self) -> dict[str, Any]:
        """Return the values that are given, by name."""
        named = {name: getattr(self, name) for name in _CONDITIONS}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A line of a payment's story."""

    key: str
    name: str
    text: str
    at: datetime
    owner_id: str
    amount_minor: int | None
    entry_key: str | None
    gateway_reference: str | None


@dataclass(frozen=True, slots=True)
class StoredOperation:
    """One request to a gateway, and what is known of it."""

    key: str
    owner_id: str
    kind: str
    status: str
    amount_minor: int
    gateway_reference: str | None
    error_code: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Story:
    """What a payment went through, and what its gateway was asked; the ledger itself knows its transfers."""

    events: Sequence[StoredEvent]
    operations: Sequence[StoredOperation]


def list_statement(chosen: PaymentFilter, limit: int, after: Position | None) -> tuple[str, dict[str, Any]]:
    """Return the statement of one page and its values; it asks for one row more, to learn whether another page follows."""
    values: dict[str, Any] = chosen.conditions()
    conditions = ["p.tenant_id = %(tenant)s", *(_CONDITIONS[name] for name in values)]
    if after is not None:
        conditions.append("(p.created_at, p.id) < (%(after_time)s, %(after_id)s)")
        values["after_time"], values["after_id"] = after
    statement = (
        f"SELECT {PAYMENT_COLUMNS} FROM payments p WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants only
        "ORDER BY p.created_at DESC, p.id DESC LIMIT %(limit)s"
    )
    return statement, {**values, "limit": min(limit, MAX_PAGE) + 1}


class PaymentReads:
    """Payments and refunds as they are written. Every method raises psycopg.Error when the database is out of reach."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def payment(self, tenant_id: str, payment_id: str) -> StoredPayment | None:
        """Return a payment of the tenant, or None."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_PAYMENT, [tenant_id, payment_id])).fetchone()
        return None if row is None else stored_payment(row)

    async def payments(
        self, tenant_id: str, chosen: PaymentFilter, limit: int, after: Position | None = None
    ) -> tuple[list[StoredPayment], bool]:
        """Return a page of payments, newest first, and whether more follow."""
        statement, values = list_statement(chosen, limit, after)
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(statement, {**values, "tenant": tenant_id})).fetchall()
        more = len(rows) == values["limit"]
        return [stored_payment(row) for row in (rows[:-1] if more else rows)], more

    async def refund(self, tenant_id: str, refund_id: str) -> Refund | None:
        """Return a refund of the tenant, or None."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_REFUND, [tenant_id, refund_id])).fetchone()
        return None if row is None else stored_refund(row)

    async def refunds(self, tenant_id: str, payment_id: str) -> list[Refund]:
        """Return a payment's refunds, oldest first."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_REFUNDS, [tenant_id, payment_id])).fetchall()
        return [stored_refund(row) for row in rows]

    async def story(self, tenant_id: str, payment_id: str) -> Story:
        """Return the events and operations of a payment and its refunds, oldest first."""
        named = [tenant_id, payment_id]
        async with self._pool.connection() as connection:
            async with connection.cursor(row_factory=class_row(StoredEvent)) as cursor:
                events = await (await cursor.execute(_EVENTS, named)).fetchall()
            async with connection.cursor(row_factory=class_row(StoredOperation)) as cursor:
                operations = await (await cursor.execute(_OPERATIONS, named)).fetchall()
        return Story(events, operations)
