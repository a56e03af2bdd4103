"""Alembic's entry point, called through `infra.postgres.migrate`; not meant for the `alembic` command.

Invariant: all versions of one run are one transaction, under a lock, so that two migrators never work at once and a
migration that fails leaves nothing.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text
from sqlmodel import SQLModel

import infra.postgres.tables.ledger  # noqa: F401 - its tables join the metadata

ADVISORY_LOCK = 4_815_162_342
"""Key of the lock that one migrator holds; any number that nothing else in the database uses."""
LOCK_TIMEOUT_S = 60
"""Longest wait for another migrator, and for a table that is in use."""
STATEMENT_TIMEOUT_S = 3_600
"""Longest run of one statement."""


def run(connection: Connection | None) -> None:
    """Run on a connection, or print the SQL when there is none."""
    context.configure(
        connection=connection,
        dialect_name=None if connection else "postgresql",
        literal_binds=connection is None,
        dialect_opts={} if connection else {"paramstyle": "named"},
        target_metadata=SQLModel.metadata,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
        context.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        if connection is not None:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        context.run_migrations()


run(context.config.attributes.get("connection"))
