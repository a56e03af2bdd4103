"""A Temporal development server for the tests, and a client as the product makes one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.client import Client

from infra.local.temporal import LocalTemporal
from infra.local.temporary import temporary_temporal
from infra.settings import Settings
from infra.temporal_client import connect

__all__ = ["client_of", "running_temporal"]


@contextmanager
def running_temporal() -> Iterator[LocalTemporal]:
    """Run a server while the block runs."""
    with temporary_temporal() as server:
        yield server


async def client_of(server: LocalTemporal) -> Client:
    """Connect to a server that was just started."""
    async with asyncio.timeout(30):
        return await connect(Settings(temporal_address=server.address))
