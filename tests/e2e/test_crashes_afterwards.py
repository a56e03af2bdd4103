"""Parts are killed during what follows a payment: its captures, its refunds, its cancellation (which is its compensation)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from infra.drill.caller import Answer
from infra.local.stack import API, BANK, POSTGRES, TEMPORAL
from tests.e2e.scene import GOOD_CARD, WORKER, Scene, until

EACH = 2
WAITS_S = (1, 4, 4, 5, 5, 5, 6, 6)
DECLINED_CARD = "4000000000000002"
PART = 300
SLOW_S = 2.5
AT_BANK = {"capture": "capture", "refunds": "refund", "cancel": "reversal"}
"""The bank's operation that each command leads to."""


@pytest.fixture(autouse=True)
async def _healthy_bank(scene: Scene) -> AsyncIterator[None]:
    yield
    await scene.caller.clear_faults()


@dataclass(frozen=True)
class Paid:
    """Payments by the command that they wait for."""

    account: str
    capture: list[str]
    refunds: list[str]
    cancel: list[str]

    @property
    def all(self) -> list[str]:
        """All of them."""
        return [*self.capture, *self.refunds, *self.cancel]


async def _paid(scene: Scene, each: int) -> Paid:
    account = await scene.account()
    by_hand = await scene.orders(scene.keys(2 * each), account, capture_method="manual")
    at_once = await scene.orders(scene.keys(each), account)
    waiting, done = await asyncio.gather(scene.pay(by_hand), scene.pay(at_once))
    assert {answer.body["status"] for answer in waiting} == {"requires_capture"}
    assert {answer.body["status"] for answer in done} == {"succeeded"}
    ids = [answer.body["id"] for answer in waiting]
    return Paid(account, ids[:each], [answer.body["id"] for answer in done], ids[each:])


async def _command_all(scene: Scene, paid: Paid) -> list[Answer]:
    answers = await asyncio.gather(
        scene.command(paid.capture, "capture"),
        scene.command(paid.refunds, "refunds"),
        scene.command(paid.cancel, "cancel"),
    )
    return [answer for group in answers for answer in group]


async def _prove_all(scene: Scene, paid: Paid, answers: list[Answer]) -> None:
    """Assert that what was captured came once, what was refunded went once, and nothing is left of what was canceled."""
    assert [answer.body for answer in answers if not answer.is_success] == []
    for found in await scene.prove(paid.capture, "succeeded"):
        assert found.row is not None
        assert found.booked_minor == (found.row["amount_minor"],)
        assert [operation["kind"] for operation in found.statement] == ["authorize", "capture"]
    for found in await scene.prove(paid.refunds, "succeeded"):
        assert found.row is not None
        amount = found.row["amount_minor"]
        assert found.booked_minor == (amount, -amount)
        assert [refund["status"] for refund in found.refunds] == ["succeeded"]
    for found in await scene.prove(paid.cancel, "canceled"):
        assert found.booked_minor == ()
        assert found.bank_net_minor == 0
    commands = [f"{id_}-{name}" for name in AT_BANK for id_ in getattr(paid, name)]
    await scene.prove_answers_stand(commands)


@pytest.mark.parametrize("victim", [WORKER, TEMPORAL, BANK, POSTGRES, API])
async def test_a_part_killed_while_captures_refunds_and_reversals_are_at_the_bank_changes_nothing(
    scene: Scene, victim: str
) -> None:
    paid = await _paid(scene, 2 * EACH)
    for command, operation in AT_BANK.items():
        ids = getattr(paid, command)
        await scene.arm(operation, "slow", ids[:EACH], SLOW_S)
        await scene.arm(operation, "timeout_after", ids[EACH:])
    commanding = asyncio.create_task(_command_all(scene, paid))
    await scene.until_struck(paid.all)
    await scene.kill(victim)
    await scene.start(victim)
    await _prove_all(scene, paid, await commanding)


@pytest.mark.parametrize("victim", [WORKER, TEMPORAL, POSTGRES])
async def test_a_part_killed_while_captures_refunds_and_releases_are_booked_changes_nothing(
    scene: Scene, victim: str
) -> None:
    paid = await _paid(scene, EACH)
    await scene.arm("capture", "slow", paid.capture)
    await scene.arm("refund", "slow", paid.refunds)
    capturing = asyncio.create_task(scene.command(paid.capture, "capture"))
    refunding = asyncio.create_task(scene.command(paid.refunds, "refunds"))
    await scene.until_struck([*paid.capture, *paid.refunds])
    async with scene.locked(paid.account):
        canceling = asyncio.create_task(scene.command(paid.cancel, "cancel"))
        await scene.until_blocked()
        await scene.kill(victim)
    await scene.start(victim)
    answers = await asyncio.gather(capturing, refunding, canceling)
    await _prove_all(scene, paid, [answer for group in answers for answer in group])


async def test_a_command_lost_with_temporal_is_not_taken_for_refused(scene: Scene) -> None:
    """The waits of the calls end one after another, so that some end just when Temporal is back and knows nothing of them."""
    keys, account = scene.keys(len(WAITS_S)), await scene.account()
    declined = {"type": "card", "token": await scene.caller.token(DECLINED_CARD)}
    orders = await scene.orders(keys, account, payment_method=declined, attempts_allowed=2)
    ids = [answer.body["id"] for answer in await scene.pay(orders)]
    good = {"payment_method": {"type": "card", "token": await scene.caller.token(GOOD_CARD)}}
    async with scene.locked(account):
        confirming = [
            asyncio.create_task(scene.caller.post(f"/v1/payments/{id_}/confirm", good, f"{id_}-confirm", wait_s))
            for id_, wait_s in zip(ids, WAITS_S, strict=True)
        ]
        await scene.until_blocked()
        repeated = scene.caller.repeated
        await scene.kill(TEMPORAL)

    async def first_wait_is_over() -> bool:
        return scene.caller.repeated > repeated

    await until("a call goes unanswered", first_wait_is_over)
    await scene.start(TEMPORAL)
    answers = await asyncio.gather(*confirming)
    assert [answer.body.get("status") for answer in answers] == ["succeeded"] * len(ids), answers
    for found in await scene.prove(ids, "succeeded"):
        assert len(found.booked_minor) == 1


async def test_answers_given_just_before_the_database_dies_are_given_again(scene: Scene) -> None:
    paid = await _paid(scene, EACH)
    answers = await _command_all(scene, paid)
    await scene.kill(POSTGRES)
    await scene.start(POSTGRES)
    await _prove_all(scene, paid, answers)


async def test_parts_captured_one_by_one_while_everything_is_killed_add_up(scene: Scene) -> None:
    account = await scene.account()
    orders = await scene.orders(scene.keys(EACH), account, capture_method="manual", amount=5 * PART)
    ids = [answer.body["id"] for answer in await scene.pay(orders)]

    async def capture(id_: str) -> None:
        for number in range(5):
            body = {"amount": PART, "final": number == 4}
            answer = await scene.caller.post(f"/v1/payments/{id_}/capture", body, f"{id_}-part-{number}")
            assert answer.is_success, answer

    capturing = asyncio.gather(*(capture(id_) for id_ in ids))
    for victim in (BANK, TEMPORAL, WORKER, POSTGRES):
        await scene.kill(victim)
        await scene.start(victim)
    await capturing
    for found in await scene.prove(ids, "succeeded"):
        assert found.booked_minor == (PART,) * 5
        assert found.bank_net_minor == 5 * PART


async def test_answers_are_found_again_at_the_work_itself_when_the_keys_are_lost(scene: Scene) -> None:
    paid = await _paid(scene, EACH)
    answers = await _command_all(scene, paid)
    await scene.forget_keys()
    await _prove_all(scene, paid, answers)
