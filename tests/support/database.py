"""PostgreSQL for tests: one server, a migrated template, and copies of it.

Invariant: each test has a database of its own, with the schema of the newest migration, and none is left behind.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from infra.local.postgres import LocalPostgres
from infra.local.temporary import temporary_postgres
from infra.postgres import migrate
from infra.postgres.pool import Pool, open_pool
from infra.settings import Settings

TEMPLATE = "clearhold_template"
POOL_MAX = 20
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """A database and the three roles that meet it."""

    name: str
    app_url: str
    owner_url: str
    superuser_url: str


@contextmanager
def migrated_server() -> Iterator[LocalPostgres]:
    """Run a server that is not durable, with the template in it."""
    with temporary_postgres() as server:
        server.create_database(TEMPLATE)
        migrate.upgrade(server.owner_url(TEMPLATE))
        yield server


@contextmanager
def fresh_database(server: LocalPostgres, template: str | None = TEMPLATE) -> Iterator[Database]:
    """Make a copy of the template (None: an empty database), and drop it afterwards."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    server.create_database(name, template=template)
    try:
        yield Database(name, server.app_url(name), server.owner_url(name), server.superuser_url(name))
    finally:
        server.drop_database(name)


@asynccontextmanager
async def app_pool(database: Database, size: int = POOL_MAX) -> AsyncIterator[Pool]:
    """Open the pool an application process would have, with up to `size` connections."""
    settings = Settings(database_url=database.app_url, database_pool_min=0, database_pool_max=size)
    async with open_pool(settings, "tests") as pool:
        yield pool
