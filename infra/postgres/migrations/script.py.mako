"""${message}."""

from __future__ import annotations

from infra.postgres.migrations.sql_files import run_sql

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say here what is made."""
    run_sql(__file__, "*.sql")


def downgrade() -> None:
    """Say here what is undone."""
    run_sql(__file__, "down.sql")
