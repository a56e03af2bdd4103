"""API keys, and what is remembered of calls with an Idempotency-Key."""

from __future__ import annotations

from infra.postgres.migrations.sql_files import run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and functions, and grant the application what it needs."""
    run_sql(__file__, "[0-9]*.sql")


def downgrade() -> None:
    """Drop them with everything in them."""
    run_sql(__file__, "down.sql")
