"""The ledger: tenants, accounts, entries, transfers, holds, and the functions that alone write them."""

from __future__ import annotations

from infra.postgres.migrations.sql_files import run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make tables, guards and functions, and grant the application what it needs."""
    run_sql(__file__, "[0-9]*.sql")


def downgrade() -> None:
    """Drop the ledger with everything in it."""
    run_sql(__file__, "down.sql")
