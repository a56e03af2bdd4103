"""Every path is played on a worker that keeps no workflow in memory, so that each of its tasks replays all before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from tests.replay.record import ALL_PATHS, play
from tests.support.payment_world import payment_world
from tests.support.temporal import client_of, running_temporal
from workers.replay import SERVED, newest_histories, replay
from workflows.messages import CancelPayment
from workflows.payment import PaymentWorkflow

AT_ONCE = 4
NEWEST = 10


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    with running_temporal() as server:
        yield await client_of(server)


async def test_every_path_ends_as_expected_on_a_worker_without_a_cache(client: Client) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> dict[str, str]:
        async with turns:
            return await play(client, name, max_cached_workflows=0)

    played = await asyncio.gather(*(one(name) for name in sorted(ALL_PATHS)))
    assert {name for recorded in played for name in recorded} >= ALL_PATHS


async def test_the_newest_histories_of_a_running_server_replay_those_still_running_included(client: Client) -> None:
    async with payment_world(client) as world:
        payment, handle = await world.authorized()
        async with asyncio.timeout(30):
            while True:  # the list of workflows follows a moment later
                newest = await newest_histories(client, NEWEST)
                if payment.id in (history.workflow_id for history in newest):
                    break
                await asyncio.sleep(0.1)
        assert len(newest) <= NEWEST * len(SERVED)
        replayed = await replay(newest)
        assert replayed.passed, replayed.failures
        await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
