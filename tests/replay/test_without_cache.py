"""Paths are played on a worker that keeps no workflow in memory, so that each task replays all before it.

Every path of payments is. Loans are not: without a cache, the SDK (1.35) throws a run out while its local activities run when
another of its tasks comes, and such a worker may never stop. Their histories replay from the beginning instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from tests.replay.paths import PATHS
from tests.replay.record import play
from tests.support.payment_world import payment_world
from tests.support.temporal import client_of, running_temporal
from workers.replay import SERVED, newest_histories, replay
from workflows.payments.messages import CancelPayment
from workflows.payments.payment import PaymentWorkflow

AT_ONCE = 4
NEWEST = 4


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    with running_temporal() as server:
        yield await client_of(server)


async def test_paths_end_as_expected_on_a_worker_without_a_cache(client: Client) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> dict[str, str]:
        async with turns:
            return await play(client, name, max_cached_workflows=0)

    played = await asyncio.gather(*(one(name) for name in PATHS))
    assert {name for recorded in played for name in recorded} >= set(PATHS)


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
