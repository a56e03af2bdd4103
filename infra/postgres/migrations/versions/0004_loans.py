"""Loans: the rows clients read, the daily accrual of interest, and the functions that alone write them."""

from __future__ import annotations

from infra.postgres.migrations.sql_files import run_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make tables and functions, and grant the application what it needs."""
    run_sql(__file__, "[0-9]*.sql")


def downgrade() -> None:
    """Drop loans with everything in them; what the ledger booked for them stays."""
    run_sql(__file__, "down.sql")
