"""Loans are terminated while they wait and while a repayment is under way; reconciliation finds them, and they go on."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from domain.ids import loan_payment_id
from infra.drill.caller import Call
from tests.e2e.loans.lending import PRINCIPAL, Lending, borrower_of, lender_of, loan_of
from tests.e2e.scene import GOOD_CARD, until
from workflows.loans.reconciliation import LoanReconciliationOrder, LoanReconciliationWorkflow

CARD_PAYMENT, WALLET_PAYMENT = 5_000, 7_000
SLOW_S = 4.0


@pytest.fixture(autouse=True)
async def _healthy_bank(lending: Lending) -> AsyncIterator[None]:
    yield
    await lending.scene.caller.clear_faults()


async def _recover(lending: Lending, *keys: str) -> None:
    """Let reconciliation look at every loan now, as its schedule does after a minute's grace, until all these go on."""
    client = await lending.scene.temporal()
    recovered: list[str] = []

    async def all_go_on() -> bool:
        report = await client.execute_workflow(
            LoanReconciliationWorkflow.run,
            LoanReconciliationOrder(grace_s=0),
            id=f"loan-reconciliation-{uuid.uuid4().hex}",
            task_queue=lending.scene.stack.settings().loan_task_queue,
        )
        assert report.lost == []
        recovered.extend(report.recovered)
        return set(recovered) >= {loan_of(key) for key in keys}

    await until("reconciliation finds the loans", all_go_on)
    assert sorted(recovered) == sorted(loan_of(key) for key in keys)


async def test_terminated_loans_go_on_and_each_thing_happened_once(lending: Lending) -> None:
    offered, waiting, repaying = keys = lending.scene.keys(3, "terminated")
    await lending.apply(offered, await lending.application(offered))
    await lending.active([waiting, repaying])
    payment = loan_payment_id(loan_of(repaying), "repayment", 1)
    await lending.scene.arm("authorize", "timeout_after", [payment], SLOW_S)
    token = await lending.scene.caller.token(GOOD_CARD)
    card = {"amount": CARD_PAYMENT, "source": {"type": "card", "token": token}}
    asked = Call(f"/v1/loans/{loan_of(repaying)}/repay", card, f"{repaying}-repay")
    interrupted = asyncio.create_task(lending.scene.caller.try_once(asked))
    await lending.scene.until_struck([payment])
    client = await lending.scene.temporal()
    for key in keys:
        await client.get_workflow_handle(loan_of(key)).terminate("a test's operator pressed the button")
    assert (await interrupted).code == "loan_interrupted"
    await _recover(lending, *keys)
    accepted = await lending.accept(offered)
    assert accepted.body["status"] == "active"
    await lending.tell(waiting, "repay", {"amount": WALLET_PAYMENT})
    await lending.tell(repaying, "repay", card)
    for key in keys:
        await lending.prove_paid_out(key)
    assert {key: await lending.repayments(key) for key in keys} == {
        offered: [],
        waiting: [WALLET_PAYMENT],
        repaying: [CARD_PAYMENT],
    }
    assert await lending.payments(repaying, "repayment") == [("succeeded", CARD_PAYMENT)]
    assert await lending.balance(borrower_of(waiting)) == PRINCIPAL - WALLET_PAYMENT
    assert await lending.balance(lender_of(repaying)) == CARD_PAYMENT
    await lending.prove_books()
