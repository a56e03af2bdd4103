"""A loan's life over the real ledger and the real functions."""

from __future__ import annotations

import asyncio
from datetime import date

from domain.ledger.entries import JournalEntry, post
from domain.loans.changes import Restructure, RestructureKind
from domain.loans.restructure import PrepaymentEffect
from domain.loans.status import LoanStatus
from infra.postgres.loan_reads import LoanFilter, LoanReads
from tests.integration.loans.conftest import RealWorld, give
from tests.support.loan_world import LoanHandle, application
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import (
    AcceptOffer,
    ChargeOff,
    CheckProposal,
    Recover,
    RefundOverpayment,
    Repay,
    RestructureLoan,
    ReverseRepayment,
    WriteOff,
)


async def advance(world: RealWorld, handle: LoanHandle, to: date) -> None:
    await handle.signal(LoanWorkflow.advance_clock, to)
    async with asyncio.timeout(60):
        while (row := await world.read(handle.id))[1] != to:
            assert row[0] in ("active", "closed_obligations_met", "overpaid", "closed_written_off")
            await asyncio.sleep(0.02)


async def test_a_loan_runs_from_payout_to_closing_and_the_books_agree_all_along(world: RealWorld) -> None:
    loan, handle = await world.active(application())
    assert loan.status is LoanStatus.ACTIVE, loan.failure_message
    await world.prove()
    assert await world.balance("borrower") == 120_000
    assert await world.balance("lender") == 9_880_000
    await advance(world, handle, date(2026, 1, 20))
    await world.prove()
    await give(world.real_ledger, "borrower", 20_000)
    await advance(world, handle, date(2026, 7, 20))
    await world.prove()
    await advance(world, handle, date(2027, 1, 15))
    await world.prove()
    assert (await world.read(loan.id))[0] == "closed_obligations_met"
    assert await world.balance("loans:interest_income:USD") == 7_942
    assert await world.balance("lender") == 10_007_942


async def test_a_loan_is_read_back_as_it_was_written(world: RealWorld) -> None:
    loan, handle = await world.active(application())
    await give(world.real_ledger, "borrower", 20_000)
    await advance(world, handle, date(2026, 3, 20))
    reads = LoanReads(world.pool)
    stored = await reads.loan("default", loan.id)
    assert stored is not None
    live = (await handle.query(LoanWorkflow.progress)).loan
    assert stored.loan == live
    assert stored.days_past_due(date(2026, 3, 20)) == 0
    rows = await reads.instalments("default", loan.id)
    assert [row.paid_on for row in rows[:3]] == [date(2026, 2, 15), date(2026, 3, 15), None]
    assert len(await reads.repayments("default", loan.id)) == 2
    story = [event.name for event in await reads.events("default", loan.id)]
    assert story[:4] == ["applied", "kyc_cleared", "offered", "accepted"]
    page, more = await reads.page("default", LoanFilter(status=LoanStatus.ACTIVE, customer="cus_1"), 10)
    assert [each.loan.id for each in page] == [loan.id]
    assert not more
    assert await reads.loan("other", loan.id) is None


async def test_a_late_loan_is_charged_off_written_off_and_recovered_in_the_books(world: RealWorld) -> None:
    loan, handle = await world.active(application())
    assert await world.real_ledger.apply(
        [JournalEntry("default", "spend", (post("spend", "borrower", "bank", 120_000, "USD"),))]
    )
    await advance(world, handle, date(2026, 7, 20))
    await world.prove()
    await handle.execute_update(LoanWorkflow.charge_off, ChargeOff("ana"))
    await world.prove()
    await give(world.real_ledger, "borrower", 9_000)
    await handle.execute_update(LoanWorkflow.repay, Repay(9_000))
    await advance(world, handle, date(2026, 7, 25))
    await world.prove()
    change = Restructure(
        RestructureKind.RE_AGE, first_due_on=date(2026, 9, 1), instalments=10, capitalize_interest=True
    )
    await handle.execute_update(LoanWorkflow.restructure, RestructureLoan(change, "ana"))
    await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "ben"))
    await world.prove()
    await handle.execute_update(LoanWorkflow.write_off, WriteOff("ana"))
    gone = await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(2, "ben"))
    assert gone.status is LoanStatus.CLOSED_WRITTEN_OFF
    await world.prove()
    await give(world.real_ledger, "borrower", 500)
    await handle.execute_update(LoanWorkflow.recover, Recover(500, "ana"))
    await world.prove()
    assert await world.balance("loans:recoveries:USD") == 9_500
    assert [each.checker for each in await LoanReads(world.pool).proposals("default", loan.id)] == ["ben", "ben"]


async def test_prepayment_payoff_reversal_and_overpayment_keep_the_books(world: RealWorld) -> None:
    _, handle = await world.active(application())
    await give(world.real_ledger, "borrower", 50_000)
    await advance(world, handle, date(2026, 2, 25))
    await handle.execute_update(LoanWorkflow.repay, Repay(40_000, PrepaymentEffect.REDUCE_INSTALMENT))
    await world.prove()
    await handle.execute_update(LoanWorkflow.reverse_repayment, ReverseRepayment(2, "bank", "R01"))
    await world.prove()
    await advance(world, handle, date(2026, 2, 28))
    owed = (await handle.query(LoanWorkflow.progress)).loan.outstanding_minor
    paid = await handle.execute_update(LoanWorkflow.repay, Repay(owed + 700))
    assert paid.status is LoanStatus.OVERPAID
    await world.prove()
    closed = await handle.execute_update(LoanWorkflow.refund_overpayment, RefundOverpayment("ana"))
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    await world.prove()
    earned = [await world.balance(f"loans:{name}_income:USD") for name in ("interest", "fee", "penalty")]
    assert await world.balance("lender") == 10_000_000 + sum(earned)


async def test_a_payout_that_fails_leaves_no_trace_in_the_balances(world: RealWorld) -> None:
    await world.real_ledger.close_account("default", "borrower")
    _, handle = await world.apply(application())
    failed = await handle.execute_update(LoanWorkflow.accept, AcceptOffer())
    assert failed.status is LoanStatus.APPROVED
    assert failed.failure_code == "payout_failed"
    assert await world.balance("lender") == 10_000_000
    assert await world.balance(f"loan:{failed.id}:principal") == 0
    assert await world.balance(f"loan:{failed.id}:payout") == 0
    assert await LoanReads(world.pool).instalments("default", failed.id) == []
