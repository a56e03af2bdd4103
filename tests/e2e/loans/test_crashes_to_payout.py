"""Every part is killed while loans stand at every step from the application to the payout: each is paid out once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.ids import loan_payment_id
from infra.drill.caller import Answer, Call
from infra.local.stack import API, BANK, POSTGRES, TEMPORAL
from tests.e2e.loans.lending import PRINCIPAL, TO_PAYOUT, Lending, borrower_of, lender_of, loan_of
from tests.e2e.scene import WORKER

SLOW_S = 2.5
PAYOUT = "payout"
ORIGINATION = ("offered", "kyc_cleared", "applied")
ACCEPTANCE = ("disbursed", PAYOUT, "booked", "funds_reserved", "approved", "submitted", "accepted")
"""The steps at which loans are held, the last first: one that is held holds accounts that the later ones need."""


@pytest.fixture(autouse=True)
async def _healthy_bank(lending: Lending) -> AsyncIterator[None]:
    yield
    await lending.scene.caller.clear_faults()


def _gate(key: str, step: str) -> str:
    loan = loan_of(key)
    return f"{loan_payment_id(loan, 'disbursement', 1)}:payments" if step == PAYOUT else f"{loan}:{step}"


@pytest.mark.parametrize("victims", [(WORKER,), (TEMPORAL,), (POSTGRES,), (API, BANK)], ids=" and ".join)
async def test_parts_killed_at_every_step_to_the_payout_change_nothing(
    lending: Lending, victims: tuple[str, ...]
) -> None:
    scene = lending.scene
    key_of = {step: f"{victims[0]}-{step}" for step in (*ORIGINATION, *ACCEPTANCE, "screened", "late")}
    bodies = dict(zip(key_of, await asyncio.gather(*map(lending.application, key_of.values())), strict=True))
    await asyncio.gather(*(lending.apply(key_of[step], bodies[step]) for step in ACCEPTANCE))
    calls: list[asyncio.Task[Answer]] = []
    async with lending.gates.shut([_gate(key_of[step], step) for step in (*ORIGINATION, *ACCEPTANCE)]):
        for step in ACCEPTANCE:
            calls.append(asyncio.create_task(lending.accept(key_of[step])))
            await lending.gates.until_waiting(len(calls))
        await scene.arm("screening", "slow", [loan_of(key_of["screened"])], SLOW_S)
        applying = [
            asyncio.create_task(lending.apply(key_of[step], bodies[step])) for step in (*ORIGINATION, "screened")
        ]
        await lending.gates.until_waiting(len(ACCEPTANCE) + len(ORIGINATION))
        await scene.until_struck([loan_of(key_of["screened"])])
        for victim in victims:
            await scene.kill(victim)
    applying.append(asyncio.create_task(lending.apply(key_of["late"], bodies["late"])))
    for victim in victims:
        await scene.start(victim)
    for answer in await asyncio.gather(*applying):
        assert (answer.status, answer.body["status"]) == (201, "offered"), answer
    calls += [asyncio.create_task(lending.accept(key_of[step])) for step in (*ORIGINATION, "screened", "late")]
    for answer in await asyncio.gather(*calls):
        assert (answer.status, answer.body["status"]) == (200, "active"), answer
    for key in key_of.values():
        assert await lending.story(key) == list(TO_PAYOUT)
        await lending.prove_paid_out(key)
        assert await lending.balance(borrower_of(key)) == PRINCIPAL
        assert await lending.balance(lender_of(key)) == 0
    await lending.prove_books()
    await lending.prove_answers_stand()


async def test_an_acceptance_that_nobody_repeats_is_carried_through(lending: Lending) -> None:
    """Temporal forgets an update that is not in its history yet, and its sender is dead too: what was begun must go on."""
    scene, key = lending.scene, "forgotten"
    await lending.apply(key, await lending.application(key))
    async with lending.gates.shut([_gate(key, "booked")]):
        calling = asyncio.create_task(scene.caller.try_once(Call(f"/v1/loans/{loan_of(key)}/accept", {}, "unheard")))
        await lending.gates.until_waiting(1)
        await asyncio.gather(scene.kill(TEMPORAL), scene.kill(API))
    calling.cancel()
    await asyncio.wait({calling})
    await asyncio.gather(scene.start(TEMPORAL), scene.start(API))
    await lending.until_told(key, "disbursed")
    assert await lending.story(key) == list(TO_PAYOUT)
    await lending.prove_paid_out(key)
    assert await lending.balance(borrower_of(key)) == PRINCIPAL
    await lending.prove_books()
