"""One Temporal server for the workflow tests of a process; a world of fakes for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.client import Client

from infra.local.temporal import LocalTemporal
from tests.support.payment_world import PaymentWorld, payment_world
from tests.support.temporal import client_of, running_temporal


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[LocalTemporal]:
    with running_temporal() as server:
        yield server


@pytest.fixture(scope="session")
async def client(temporal_server: LocalTemporal) -> Client:
    return await client_of(temporal_server)


@pytest.fixture
async def world(client: Client) -> AsyncIterator[PaymentWorld]:
    async with payment_world(client) as made:
        yield made
