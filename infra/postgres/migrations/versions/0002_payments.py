"""Payments: the rows clients read, and the functions that write them together with their ledger entries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from domain.money import currencies
from domain.payments.limits import default_limits_minor
from infra.postgres.migrations.sql_files import run_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LIMITS = sa.table(
    "payment_limits",
    sa.column("tenant_id", sa.Text),
    sa.column("currency", sa.Text),
    sa.column("max_payment_minor", sa.BigInteger),
    sa.column("max_customer_day_minor", sa.BigInteger),
)


def upgrade() -> None:
    """Make tables and functions, and give the default tenant the default limits."""
    run_sql(__file__, "[0-9]*.sql")
    rows = []
    for currency in currencies():
        payment, day = default_limits_minor(currency)
        rows.append(
            {"tenant_id": "default", "currency": currency, "max_payment_minor": payment, "max_customer_day_minor": day}
        )
    op.bulk_insert(_LIMITS, rows)


def downgrade() -> None:
    """Drop payments with everything in them."""
    run_sql(__file__, "down.sql")
