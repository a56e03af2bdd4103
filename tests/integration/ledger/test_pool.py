"""Connections are used again while they are warm."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from infra.postgres.pool import Pool, open_pool
from infra.settings import Settings
from tests.support.database import Database


async def _server_process(pool: Pool) -> int:
    async with pool.connection() as connection:
        return connection.info.backend_pid


async def test_callers_in_turn_share_the_connection_that_came_back_last(database: Database) -> None:
    settings = Settings(database_url=database.app_url, database_pool_min=4, database_pool_max=4)
    async with open_pool(settings, "test") as pool:
        await pool.wait()
        first = await _server_process(pool)
        assert {await _server_process(pool) for _ in range(20)} == {first}
        async with pool.connection() as held:
            assert held.info.backend_pid == first
            second = await _server_process(pool)
            assert second != first
        assert {await _server_process(pool) for _ in range(20)} == {first}


async def test_callers_at_once_still_get_a_connection_each(database: Database) -> None:
    settings = Settings(database_url=database.app_url, database_pool_min=4, database_pool_max=4)
    async with open_pool(settings, "test") as pool, AsyncExitStack() as stack:
        held = [await stack.enter_async_context(pool.connection()) for _ in range(4)]
        assert len({connection.info.backend_pid for connection in held}) == 4
        waiting = asyncio.create_task(_server_process(pool))
        await stack.aclose()
        assert await waiting in {connection.info.backend_pid for connection in held}
