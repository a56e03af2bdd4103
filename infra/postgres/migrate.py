"""Brings a database to a version of the schema.

Invariant: a run is one transaction under a lock: it happens whole or not at all, and two at once take turns.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

MIGRATIONS = Path(__file__).parent / "migrations"
CONNECT_TIMEOUT_S = 10


def upgrade(owner_url: str, revision: str = "head") -> None:
    """Migrate up to `revision`, as the role that owns the schema. Harmless when it is there already.

    `owner_url` is a libpq URL, `postgresql://user:password@host:port/database`. Raises what PostgreSQL raises.
    """
    with _connect(owner_url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(owner_url: str, revision: str) -> None:
    """Migrate down to `revision` (`base`: nothing is left). Destroys what later versions hold."""
    with _connect(owner_url) as connection:
        command.downgrade(_config(connection), revision)


def current(url: str) -> str | None:
    """Return the version a database is at, None when it was never migrated. Any role that can read will do."""
    with _connect(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def latest() -> str:
    """Return the version this release needs."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    if head is None:
        raise RuntimeError(f"{MIGRATIONS} holds no migration.")
    return head


def emitted_sql(revision: str = "head") -> str:
    """Return the SQL that takes an empty database to `revision`: for review and for a linter."""
    buffer = io.StringIO()
    config = _config(None)
    config.output_buffer = buffer
    command.upgrade(config, revision, sql=True)
    return buffer.getvalue()


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connect(url: str) -> Iterator[Connection]:
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "clearhold migrate"},
    )
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
