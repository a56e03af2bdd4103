"""The table classes of payments, loans and of the API are the tables, and the API's migration is clean for the linter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine
from sqlmodel import SQLModel

from infra.postgres.tables import api, loans, payments
from tests.support.database import Database

MIGRATION = Path(__file__).parents[2] / "infra/postgres/migrations/versions/0003_api"
ACCEPTED_WARNINGS = ",".join(
    (
        "require-concurrent-index-creation",  # a migration is one transaction, on tables that are new or small
        "prefer-robust-stmts",  # the same
        "require-lock-timeout",  # set for the whole run, in env.py
        "require-statement-timeout",  # the same
        "prefer-bigint-over-smallint",  # an HTTP status
    )
)

NAMES: dict[str, set[str]] = {
    module.__name__: {
        str(row.__tablename__)
        for row in vars(module).values()
        if isinstance(row, type) and issubclass(row, SQLModel) and row.__module__ == module.__name__
    }
    for module in (api, loans, payments)
}


@pytest.mark.parametrize("module", NAMES)
def test_the_table_classes_are_the_tables(database: Database, module: str) -> None:
    names: set[Any] = NAMES[module]
    assert len(names) >= 2
    engine = create_engine(database.owner_url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, parents: kind != "table" or name in names,
                "include_object": lambda thing, name, kind, reflected, other: kind != "table" or name in names,
            },
        )
        assert compare_metadata(context, SQLModel.metadata) == []


def test_the_linter_for_migrations_is_content() -> None:
    squawk = Path(sys.executable).with_name("squawk")
    files = sorted(MIGRATION.glob("[0-9]*.sql"))
    assert files
    done = subprocess.run(
        [squawk, "--assume-in-transaction", f"--exclude={ACCEPTED_WARNINGS}", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
