"""Every part is killed while loans are collected, repaid, accrued, restructured and written off: each thing happens once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from activities.loan_accrual import PortfolioAccrued
from domain.ids import loan_payment_id
from infra.drill.caller import Answer
from infra.local.stack import API, POSTGRES, TEMPORAL
from tests.e2e.loans.lending import PRINCIPAL, Lending, borrower_of, lender_of, loan_of
from tests.e2e.scene import GOOD_CARD, WORKER
from workflows.loans.accrual import AccrualWorkflow
from workflows.loans.loan import LoanWorkflow

CARD_PAYMENT, WALLET_PAYMENT = 5_000, 7_000
INSTALMENT = 10_662
DUE_ON = date(2026, 2, 15)
DAYS_ACCRUED = 3
MOVED = "clock_advanced"

Ask = Callable[[Lending, str], Coroutine[Any, Any, Answer]]


@pytest.fixture(autouse=True)
async def _healthy_bank(lending: Lending) -> AsyncIterator[None]:
    yield
    await lending.scene.caller.clear_faults()


async def _repay(lending: Lending, key: str) -> Answer:
    return await lending.tell(key, "repay", {"amount": WALLET_PAYMENT})


async def _repay_by_card(lending: Lending, key: str) -> Answer:
    source = {"type": "card", "token": await lending.scene.caller.token(GOOD_CARD)}
    return await lending.tell(key, "repay", {"amount": CARD_PAYMENT, "source": source})


async def _pay_off(lending: Lending, key: str) -> Answer:
    return await lending.tell(key, "payoff")


async def _charge_off(lending: Lending, key: str) -> Answer:
    return await lending.order(key, "charge_off")


async def _charge_back(lending: Lending, key: str) -> Answer:
    return await lending.order(key, "reverse", {"repayment": 1, "reason": "R01"})


async def _approve(lending: Lending, key: str) -> Answer:
    return await lending.approve(key)


COMMANDS: dict[str, tuple[Ask, str]] = {
    "charged_back": (_charge_back, "repayment_reversed"),
    "charged_off": (_charge_off, "charged_off"),
    "restructured": (_approve, "restructured"),
    "written_off": (_approve, "written_off"),
    "checked": (_approve, "proposal_approved"),
    "repaid": (_repay, "repaid"),
    "paid_off": (_pay_off, "repaid"),
}
"""What is asked of loans, and at which step each is held. Later ones wait for accounts that earlier ones hold."""

STORIES = {
    "charged_back": ("repaid", "repayment_reversed"),
    "charged_off": ("charged_off",),
    "restructured": ("proposed", "proposal_approved", "restructured"),
    "written_off": ("proposed", "proposal_approved", "written_off"),
    "checked": ("proposed", "proposal_approved", "written_off"),
    "repaid": ("repaid",),
    "paid_off": ("repaid",),
    "by_card": ("repaid",),
    "falls_due": ("instalment_due", "repaid", MOVED),
    "collected": ("instalment_due", "repaid", MOVED),
    "accrued": (),
}
"""What every loan's story tells after its payout, each event once."""


async def _prepare(lending: Lending, key_of: dict[str, str]) -> None:
    """Pay the loans out, and do what must be done before the step that is held."""
    clock = await lending.clock(f"clock-{key_of['repaid']}")
    await lending.active([key for what, key in key_of.items() if what != "accrued"], clock)
    await lending.active([key_of["accrued"]])
    change = {"kind": "re_amortize", "note": "lower instalments"}
    await asyncio.gather(
        _repay(lending, key_of["charged_back"]),
        lending.order(key_of["restructured"], "restructure", change),
        lending.order(key_of["written_off"], "write_off"),
        lending.order(key_of["checked"], "write_off"),
    )


async def _accrue(lending: Lending, key: str) -> WorkflowHandle[AccrualWorkflow, PortfolioAccrued]:
    settings = lending.scene.stack.settings()
    return await (await lending.scene.temporal()).start_workflow(
        AccrualWorkflow.run,
        datetime.now(UTC).date() + timedelta(days=DAYS_ACCRUED),
        id=key,
        task_queue=settings.loan_task_queue,
    )


@pytest.mark.parametrize("victim", [WORKER, TEMPORAL, POSTGRES, API])
async def test_a_part_killed_during_every_step_of_servicing_changes_nothing(lending: Lending, victim: str) -> None:
    scene, key_of = lending.scene, {what: f"{victim}-{what}" for what in STORIES}
    await _prepare(lending, key_of)
    collection = loan_payment_id(loan_of(key_of["collected"]), "collection", 1)
    held = [f"{loan_of(key_of[what])}:{step}" for what, (_, step) in COMMANDS.items()]
    held += [f"{loan_of(key_of['falls_due'])}:instalment_due", f"{collection}:payments"]
    held.append(f"{loan_of(key_of['accrued'])}:loan_accruals")
    card = loan_payment_id(loan_of(key_of["by_card"]), "repayment", 1)
    await scene.arm("authorize", "timeout_after", [card])
    calls = [asyncio.create_task(_repay_by_card(lending, key_of["by_card"]))]
    await scene.until_struck([card])
    async with lending.gates.shut(held):
        batch = await _accrue(lending, f"accrual-{victim}")
        await lending.gates.until_waiting(1)
        for number, (what, (ask, _)) in enumerate(COMMANDS.items(), start=2):
            calls.append(asyncio.create_task(ask(lending, key_of[what])))
            await lending.gates.until_waiting(number)
        client = await scene.temporal()
        for what in ("falls_due", "collected"):
            await client.get_workflow_handle(loan_of(key_of[what])).signal(LoanWorkflow.advance_clock, DUE_ON)
        await lending.gates.until_waiting(len(held))
        await scene.kill(victim)
    await scene.start(victim)
    for answer in await asyncio.gather(*calls):
        assert answer.status == 200, answer
    await asyncio.gather(*(lending.until_told(key_of[what], MOVED) for what in ("falls_due", "collected")))
    await _prove_accrued(lending, key_of["accrued"], victim, batch)
    for what, key in key_of.items():
        await lending.prove_paid_out(key)
        await lending.prove_told_once(key, *STORIES[what])
    await _prove_money(lending, key_of)
    await lending.prove_books()
    await lending.prove_answers_stand()


async def _prove_accrued(
    lending: Lending, key: str, victim: str, batch: WorkflowHandle[AccrualWorkflow, PortfolioAccrued]
) -> None:
    """Run the batch once more beside the first, as the next day's schedule does; each day is accrued once all the same."""
    again = await _accrue(lending, f"accrual-{victim}-again")
    await again.result()
    today = datetime.now(UTC).date()
    days = await lending.accruals(key)
    assert list(days) == [str(today + timedelta(days=number + 1)) for number in range(DAYS_ACCRUED)]
    assert sum(days.values()) > 0
    if victim == WORKER:  # its death is noticed by the missing heartbeat, in two minutes
        await (await lending.scene.temporal()).get_workflow_handle(batch.id).terminate("a test ends")
    else:
        await (await lending.scene.temporal()).get_workflow_handle(batch.id).result()


async def _prove_money(lending: Lending, key_of: dict[str, str]) -> None:
    """Assert that each repayment was taken once, from the borrower and to the lender."""
    taken = {
        "repaid": WALLET_PAYMENT,
        "paid_off": PRINCIPAL,
        "falls_due": INSTALMENT,
        "collected": INSTALMENT,
        "by_card": CARD_PAYMENT,
    }
    for what, amount in taken.items():
        key = key_of[what]
        assert await lending.repayments(key) == [amount], what
        assert await lending.balance(lender_of(key)) == amount, what
        assert await lending.balance(borrower_of(key)) == PRINCIPAL - (0 if what == "by_card" else amount), what
    assert await lending.balance(lender_of(key_of["charged_back"])) == 0
    assert await lending.balance(borrower_of(key_of["charged_back"])) == PRINCIPAL
    for what in ("charged_off", "written_off", "checked", "restructured", "accrued"):
        assert await lending.balance(borrower_of(key_of[what])) == PRINCIPAL, what
        assert await lending.balance(lender_of(key_of[what])) == 0, what
