"""The connection pool of one process.

Invariant: every connection works under a statement and a lock timeout, so nothing waits for ever on the database.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra.settings import Settings

Pool = AsyncConnectionPool[AsyncConnection[Any]]


def open_pool(settings: Settings, name: str) -> Pool:
    """Return a pool that is not open yet: use it as an async context manager."""
    timeouts = (
        f"-c statement_timeout={int(settings.database_statement_timeout_s * 1000)} "
        f"-c lock_timeout={int(settings.database_lock_timeout_s * 1000)} -c timezone=UTC"
    )
    return AsyncConnectionPool(
        settings.database_url,
        min_size=settings.database_pool_min,
        max_size=settings.database_pool_max,
        max_waiting=settings.database_pool_waiting_max,
        timeout=settings.database_acquire_timeout_s,
        name=name,
        open=False,
        kwargs={"autocommit": True, "application_name": f"clearhold {name}", "options": timeouts},
    )
