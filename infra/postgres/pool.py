"""The connection pool of one process.

Invariant: every connection works under a statement and a lock timeout, so nothing waits for ever on the database.

A connection costs more than its socket: its server process keeps plans and catalogs of its own, megabytes that do not fit the
processor's caches many times over, and its first payment takes ten times as long as a later one. So as few are used as will do.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra.settings import Settings

Pool = AsyncConnectionPool[AsyncConnection[Any]]


class WarmPool(AsyncConnectionPool[AsyncConnection[Any]]):
    """A pool that gives out the connection that came back last; the library's own gives out the one that rested longest.

    What is not needed rests, and the library closes it after a while, the longest rested first.
    """

    async def _get_ready_connection(self, timeout: float | None) -> AsyncConnection[Any] | None:  # noqa: ASYNC109
        self._pool.rotate(1)  # it takes the first, and adds what comes back at the end
        return await super()._get_ready_connection(timeout)


def open_pool(settings: Settings, name: str) -> Pool:
    """Return a pool that is not open yet: use it as an async context manager."""
    timeouts = (
        f"-c statement_timeout={int(settings.database_statement_timeout_s * 1000)} "
        f"-c lock_timeout={int(settings.database_lock_timeout_s * 1000)} -c timezone=UTC"
    )
    return WarmPool(
        settings.database_url,
        min_size=settings.database_pool_min,
        max_size=settings.database_pool_max,
        max_waiting=settings.database_pool_waiting_max,
        timeout=settings.database_acquire_timeout_s,
        name=name,
        open=False,
        kwargs={"autocommit": True, "application_name": f"clearhold {name}", "options": timeouts},
    )
