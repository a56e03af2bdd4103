"""The whole stack ends and starts again over its data, this time with everything written to disk: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.drill.caller import open_caller
from infra.drill.keys import make_key
from infra.local.stack import API, BANK, POSTGRES, TEMPORAL, LocalStack, StackOptions
from tests.e2e.scene import WORKER, Scene, ids_of

PAYMENTS = 2
SLOW_S = 4.0


@asynccontextmanager
async def _stack_over(folder: Path, api_key: str | None = None) -> AsyncIterator[tuple[Scene, str]]:
    """Run a durable stack over the folder for the length of the block; gives its scene and an API key."""
    with LocalStack(StackOptions(folder, durable=True)) as stack:
        await asyncio.to_thread(stack.start)
        key = api_key or await make_key(stack.postgres.owner_url(), "restart")
        async with open_caller(stack.ports.api_url, stack.ports.bank_url, key) as caller:
            yield Scene(stack, caller), key


async def _end(scene: Scene, ending: str) -> None:
    """End every part, with grace or without."""
    if ending == "stopped":
        await asyncio.to_thread(scene.stack.stop)
    else:
        for victim in (POSTGRES, TEMPORAL, WORKER, BANK, API):
            await scene.kill(victim)


@pytest.mark.parametrize("ending", ["stopped", "killed"])
async def test_unfinished_payments_continue_when_the_stack_starts_again(tmp_path: Path, ending: str) -> None:
    async with _stack_over(tmp_path) as (scene, key):
        waiting, flying = scene.keys(PAYMENTS, "waiting"), scene.keys(PAYMENTS, "flying")
        account = await scene.account()
        await scene.pay(await scene.orders(waiting, account, capture_method="manual"))
        orders = await scene.orders(flying, account)
        await scene.arm("authorize", "slow", ids_of(flying), SLOW_S)
        paying = asyncio.create_task(scene.pay(orders))
        await scene.until_struck(ids_of(flying))
        await _end(scene, ending)
        paying.cancel()
        await asyncio.wait({paying})
    async with _stack_over(tmp_path, key) as (scene, _):
        held = await scene.books(ids_of(waiting))
        assert [found.status for found in held] == ["requires_capture"] * PAYMENTS
        answers = await scene.pay(orders)
        assert [answer.body["status"] for answer in answers] == ["succeeded"] * PAYMENTS
        captured = await scene.command(ids_of(waiting), "capture")
        assert [answer.body["status"] for answer in captured] == ["succeeded"] * PAYMENTS
        for found in await scene.prove([*ids_of(waiting), *ids_of(flying)], "succeeded"):
            assert found.row is not None
            assert found.booked_minor == (found.row["amount_minor"],)
