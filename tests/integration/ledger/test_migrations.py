"""Migrations: up, down and up again, two at once, the same as the table classes, and clean for the linter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlmodel import SQLModel

from infra.local.postgres import LocalPostgres
from infra.postgres import migrate
from infra.postgres.ledger_verify import verify
from infra.postgres.tables import ledger as ledger_tables
from tests.support.database import Database, fresh_database

REPOSITORY = Path(__file__).parents[3]
ACCEPTED_WARNINGS = "prefer-bigint-over-int,ban-char-field,prefer-text-field"
"""Counters that are bounded by the functions fit an integer; the other two are Alembic's own table."""


@pytest.fixture
def empty(postgres_server: LocalPostgres) -> Iterator[Database]:
    with fresh_database(postgres_server, template=None) as database:
        yield database


def objects(database: Database) -> set[tuple[Any, ...]]:
    """All relations, functions, types and grants of the schema, but for Alembic's own table."""
    with psycopg.connect(database.superuser_url) as connection:
        rows = connection.execute(
            """SELECT 'relation', relname, relacl::text FROM pg_class
               WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic%'
               UNION ALL SELECT 'function', oid::regprocedure::text, proacl::text FROM pg_proc
               WHERE pronamespace = 'public'::regnamespace
               UNION ALL SELECT 'type', typname, NULL FROM pg_type WHERE typnamespace = 'public'::regnamespace
                 AND typname NOT LIKE '%alembic%'"""
        ).fetchall()
    return set(rows)


def test_up_down_and_up_again_makes_the_same_schema(empty: Database) -> None:
    assert migrate.current(empty.owner_url) is None
    nothing = objects(empty)
    migrate.upgrade(empty.owner_url)
    assert migrate.current(empty.app_url) == migrate.latest()
    everything = objects(empty)
    migrate.downgrade(empty.owner_url, "base")
    assert migrate.current(empty.owner_url) is None
    assert objects(empty) == nothing
    migrate.upgrade(empty.owner_url)
    assert objects(empty) == everything
    migrate.upgrade(empty.owner_url)
    with psycopg.connect(empty.owner_url, autocommit=True) as connection:
        assert verify(connection) == []


def test_two_migrators_at_once_take_turns(empty: Database) -> None:
    # Processes, as in production: Alembic keeps its context in globals, so one process runs one migration at a time.
    script = "import sys; from infra.postgres.migrate import upgrade; upgrade(sys.argv[1])"
    migrators = [
        subprocess.Popen([sys.executable, "-c", script, empty.owner_url], cwd=REPOSITORY, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [(migrator.communicate(timeout=60)[1], migrator.returncode) for migrator in migrators] == [(b"", 0)] * 2
    assert migrate.current(empty.owner_url) == migrate.latest()


def test_a_migration_that_fails_leaves_nothing(empty: Database) -> None:
    nothing = objects(empty)
    with psycopg.connect(empty.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE ledger_holds (in_the_way int)")
        with pytest.raises(Exception, match="ledger_holds"):
            migrate.upgrade(empty.owner_url)
        connection.execute("DROP TABLE ledger_holds")
    assert objects(empty) == nothing
    assert migrate.current(empty.owner_url) is None


def test_the_table_classes_are_the_tables(database: Database) -> None:
    ours = {table for name, table in SQLModel.metadata.tables.items() if name in LEDGER}
    assert {table.name for table in ours} == LEDGER
    engine = create_engine(database.owner_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, parents: kind != "table" or name in LEDGER,
                "include_object": lambda thing, name, kind, reflected, other: kind != "table" or name in LEDGER,
            },
        )
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


LEDGER: set[Any] = {
    getattr(ledger_tables, name).__tablename__
    for name in (
        "Tenant",
        "LedgerAccount",
        "LedgerBalance",
        "LedgerEntryRow",
        "LedgerTransferRow",
        "LedgerHold",
        "LedgerImportLine",
    )
}


def test_the_linter_for_migrations_is_content(tmp_path: Path) -> None:
    emitted = tmp_path / "upgrade.sql"
    emitted.write_text(migrate.emitted_sql("0001"))
    squawk = Path(sys.executable).with_name("squawk")
    done = subprocess.run(
        [squawk, f"--exclude={ACCEPTED_WARNINGS}", emitted],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
