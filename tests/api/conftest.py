"""One Temporal server for the API's tests of a process; a database and an application for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.client import Client

from infra.local.temporal import LocalTemporal
from tests.support.api_world import ApiWorld, api_world
from tests.support.database import Database
from tests.support.temporal import client_of, running_temporal


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[LocalTemporal]:
    with running_temporal() as server:
        yield server


@pytest.fixture(scope="session")
async def client(temporal_server: LocalTemporal) -> Client:
    return await client_of(temporal_server)


@pytest.fixture
async def world(database: Database, temporal_server: LocalTemporal, client: Client) -> AsyncIterator[ApiWorld]:
    async with api_world(database, temporal_server, client) as made:
        yield made


@pytest.fixture
async def idle_world(database: Database, temporal_server: LocalTemporal, client: Client) -> AsyncIterator[ApiWorld]:
    """The same, with nobody who serves payments."""
    async with api_world(database, temporal_server, client, worker=False) as made:
        yield made
