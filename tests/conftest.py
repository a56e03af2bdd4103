"""Fixtures shared by all test layers. A real PostgreSQL server starts when the first test asks for one.

Hypothesis plays the same examples in every run of the suite, so that a change is judged by itself; `make search` looks for new
ones. There is no deadline: machines that run the checks are shared, and a slow example is no defect.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from infra.local.postgres import LocalPostgres
from infra.postgres.ledger import PostgresLedger
from infra.postgres.pool import Pool
from tests.support.database import Database, app_pool, fresh_database, migrated_server

settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile(
    "search", deadline=None, max_examples=2_000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[LocalPostgres]:
    """One server for all tests of this process (one per xdist worker)."""
    with migrated_server() as server:
        yield server


@pytest.fixture
def database(postgres_server: LocalPostgres) -> Iterator[Database]:
    """A database of its own for each test, migrated to the newest version."""
    with fresh_database(postgres_server) as fresh:
        yield fresh


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Connections as the application has them."""
    async with app_pool(database) as opened:
        yield opened


@pytest.fixture
def ledger(pool: Pool) -> PostgresLedger:
    """The ledger of the test's database, as the application sees it."""
    return PostgresLedger(pool)
