"""Every part is killed with SIGKILL at every moment of a payment; each payment ends whole, once, on all sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from infra.drill.caller import Answer
from infra.local.stack import API, BANK, POSTGRES, TEMPORAL
from tests.e2e.conftest import BOTH
from tests.e2e.scene import RUNNER, Scene, ids_of

pytestmark = BOTH
BEHIND_THE_API = (RUNNER, TEMPORAL, BANK, POSTGRES)
BESIDE_THE_BANK = (RUNNER, TEMPORAL, POSTGRES)
PAYMENTS = 3
SLOW_S = 2.5
"""How long the bank dawdles: enough to kill something meanwhile, less than a gateway call may take."""


@pytest.fixture(autouse=True)
async def _healthy_bank(scene: Scene) -> AsyncIterator[None]:
    yield
    await scene.caller.clear_faults()


async def _prove_paid(scene: Scene, answers: Sequence[Answer]) -> None:
    """Assert that each payment took its money exactly once, at the bank and in the ledger."""
    unpaid = [answer for answer in answers if (answer.status, answer.body.get("status")) != (201, "succeeded")]
    assert [(answer.status, answer.body.get("failure", answer.body)) for answer in unpaid] == []
    for found in await scene.prove([answer.body["id"] for answer in answers], "succeeded"):
        assert found.row is not None
        assert found.booked_minor == (found.row["amount_minor"],)
        assert [operation["kind"] for operation in found.statement if operation["settled_minor"]] == ["sale"]


@pytest.mark.parametrize("victim", BEHIND_THE_API)
async def test_a_payment_asked_for_while_a_part_is_dead_happens_once(scene: Scene, victim: str) -> None:
    keys = scene.keys(PAYMENTS)
    orders = await scene.orders(keys, await scene.account())
    await scene.kill(victim)
    paying = asyncio.create_task(scene.pay(orders))
    await scene.start(victim)
    await _prove_paid(scene, await paying)
    await scene.prove_answers_stand(keys)


@pytest.mark.parametrize("victim", BESIDE_THE_BANK)
async def test_a_part_killed_while_funds_are_reserved_changes_nothing(scene: Scene, victim: str) -> None:
    keys, account = scene.keys(PAYMENTS), await scene.account()
    orders = await scene.orders(keys, account)
    async with scene.locked(account):
        paying = asyncio.create_task(scene.pay(orders))
        await scene.until_blocked()
        await scene.kill(victim)
    await scene.start(victim)
    await _prove_paid(scene, await paying)
    await scene.prove_answers_stand(keys)


@pytest.mark.parametrize("victim", BEHIND_THE_API)
async def test_a_part_killed_before_or_after_the_bank_did_its_work_changes_nothing(scene: Scene, victim: str) -> None:
    before, after = scene.keys(PAYMENTS, "before"), scene.keys(PAYMENTS, "after")
    orders = await scene.orders([*before, *after], await scene.account())
    await scene.arm("authorize", "slow", ids_of(before), SLOW_S)
    await scene.arm("authorize", "timeout_after", ids_of(after))
    paying = asyncio.create_task(scene.pay(orders))
    await scene.until_struck(ids_of([*before, *after]))
    await scene.kill(victim)
    await scene.start(victim)
    await _prove_paid(scene, await paying)
    await scene.prove_answers_stand([*before, *after])


@pytest.mark.parametrize("victim", BEHIND_THE_API)
async def test_a_part_killed_while_the_charge_is_booked_changes_nothing(scene: Scene, victim: str) -> None:
    keys, account = scene.keys(PAYMENTS), await scene.account()
    orders = await scene.orders(keys, account)
    await scene.arm("authorize", "slow", ids_of(keys))
    paying = asyncio.create_task(scene.pay(orders))
    await scene.until_struck(ids_of(keys))
    async with scene.locked(account):
        await scene.until_blocked()
        await scene.kill(victim)
    await scene.start(victim)
    await _prove_paid(scene, await paying)
    await scene.prove_answers_stand(keys)


@pytest.mark.parametrize("victim", BEHIND_THE_API)
async def test_a_part_killed_right_after_an_answer_takes_nothing_back(scene: Scene, victim: str) -> None:
    keys = scene.keys(PAYMENTS)
    orders = await scene.orders(keys, await scene.account())
    paying = [asyncio.create_task(scene.caller.post("/v1/payments", body, key)) for key, body in orders.items()]
    await asyncio.wait(paying, return_when=asyncio.FIRST_COMPLETED)
    await scene.kill(victim)
    await scene.start(victim)
    await _prove_paid(scene, await asyncio.gather(*paying))
    await scene.prove_answers_stand(keys)


async def test_an_api_killed_at_every_moment_of_its_calls_loses_none(scene: Scene) -> None:
    before, after, reserving, late = (scene.keys(PAYMENTS, what) for what in ("before", "after", "reserving", "late"))
    open_account, locked_account = await scene.account(), await scene.account()
    at_bank = await scene.orders([*before, *after], open_account)
    await scene.arm("authorize", "slow", ids_of(before), SLOW_S)
    await scene.arm("authorize", "timeout_after", ids_of(after))
    paying = [asyncio.create_task(scene.pay(at_bank))]
    await scene.until_struck(ids_of([*before, *after]))
    async with scene.locked(locked_account):
        paying.append(asyncio.create_task(scene.pay(await scene.orders(reserving, locked_account))))
        await scene.until_blocked()
        await scene.kill(API)
        paying.append(asyncio.create_task(scene.pay(await scene.orders(late, open_account))))
    await scene.start(API)
    for answers in await asyncio.gather(*paying):
        await _prove_paid(scene, answers)
    await scene.prove_answers_stand([*before, *after, *reserving, *late])
