"""Later tranches: each is paid out on its day by a saga of its own, and what is owed grows with it."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from domain.loans.amortization import schedule_of
from domain.loans.application import LoanApplication
from domain.loans.frequency import Frequency
from domain.loans.schedule import plan_of
from domain.loans.status import LoanStatus
from domain.loans.terms import BalanceMove, Fee, FeeWhen, Method
from tests.support.loan_world import LoanHandle, LoanWorld, application, terms
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import ChargeOff, PayOff, Repay, RetryDisbursement, UndoDisbursal

TRANCHES = (BalanceMove(date(2026, 3, 1), 50_000), BalanceMove(date(2026, 5, 15), 30_000))


def in_parts(**changes: Any) -> LoanApplication:
    """1,200.00 now, 500.00 within the second period, 300.00 on the fourth due date."""
    return application(terms=terms(tranches=TRANCHES, **changes))


def names(loans: LoanWorld, loan_id: str) -> list[str]:
    return loans.book.story(loan_id)


@pytest.mark.parametrize("method", list(Method))
async def test_tranches_are_paid_out_on_their_days_and_the_schedule_is_the_quoted_one(
    loans: LoanWorld, method: Method
) -> None:
    asked = in_parts(method=method)
    loan, handle = await loans.active(asked)
    loans.give("borrower", 100_000)
    assert loan.disbursed_minor == 120_000
    before = await loans.advance(handle, date(2026, 2, 28))
    assert before.disbursed_minor == 120_000
    grown = await loans.advance(handle, date(2026, 3, 1))
    assert grown.disbursed_minor == 170_000
    whole = await loans.advance(handle, date(2026, 5, 16))
    assert whole.disbursed_minor == 200_000
    assert names(loans, loan.id).count("tranche_disbursed") == 2
    quoted = schedule_of(plan_of(asked.terms)).instalments
    rows = sorted(
        (row for (owner, _), row in loans.book.instalments.items() if owner == loan.id), key=lambda row: row.number
    )
    assert [(row.due_on, row.principal, row.interest) for row in rows] == [
        (row.due_on, row.principal, row.interest) for row in quoted
    ]
    loans.give("borrower", 200_000)
    closed = await loans.advance(handle, date(2027, 1, 15))
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    assert loans.book.accrued[loan.id] == sum(row.interest for row in quoted)
    assert loans.book.balance("loans:capital:USD") == -loans.book.accrued[loan.id]


async def test_a_fee_of_each_payout_is_withheld_from_each_tranche(loans: LoanWorld) -> None:
    fees = (Fee(FeeWhen.UPFRONT, amount=1_000), Fee(FeeWhen.DISBURSEMENT, amount=500))
    loan, handle = await loans.active(in_parts(fees=fees))
    assert loan.disbursed_minor == 120_000 - 1_500
    loans.give("borrower", 50_000)
    whole = await loans.advance(handle, date(2026, 5, 15))
    assert whole.disbursed_minor == 200_000 - 1_500 - 2 * 500
    assert loans.book.balance("loans:fee_income:USD") == 2_500


@pytest.mark.parametrize("step", ["reserve", "book", "payment"])
async def test_a_tranche_that_fails_is_undone_and_paid_out_when_told(loans: LoanWorld, step: str) -> None:
    loan, handle = await loans.active(in_parts())
    loans.give("borrower", 50_000)
    await loans.advance(handle, date(2026, 2, 20))
    lent, had = loans.book.balance("lender"), loans.book.balance("borrower")
    if step == "reserve":
        loans.ledger.refuse["reserve"] = "exceeds_credits"
    elif step == "book":
        loans.book.refuse["booked"] = "debit_account_closed"
    else:
        loans.ledger.refuse["transfer"] = "credit_account_closed"
    failed = await loans.advance(handle, date(2026, 3, 2))
    assert (failed.status, failed.disbursed_minor) == (LoanStatus.ACTIVE, 120_000)
    assert failed.failure_code is not None
    assert (loans.book.balance("lender"), loans.book.balance("borrower")) == (lent, had)
    assert loans.ledger.held == 0
    progress = await handle.query(LoanWorkflow.progress)
    assert "retry_disbursement" in progress.waits_for
    assert progress.compensations == []
    loans.ledger.refuse.clear()
    loans.book.refuse.clear()
    paid = await handle.execute_update(LoanWorkflow.retry_disbursement, RetryDisbursement("ana"))
    assert (paid.disbursed_minor, paid.failure_code) == (170_000, None)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(LoanWorkflow.retry_disbursement, RetryDisbursement("ana"))
    loans.give("borrower", 200_000)
    closed = await loans.advance(handle, date(2027, 1, 15))
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    assert names(loans, loan.id).count("tranche_disbursed") == 2


async def test_a_loan_rests_while_a_failed_payout_is_not_undone(loans: LoanWorld) -> None:
    _, handle = await loans.active(in_parts())
    await loans.advance(handle, date(2026, 2, 20))
    loans.ledger.refuse["transfer"] = "credit_account_closed"
    loans.book.refuse["unbooked"] = "credit_account_closed"
    await handle.signal(LoanWorkflow.advance_clock, date(2026, 6, 20))
    await _until_stuck(handle)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(LoanWorkflow.repay, Repay(1_000))
    loans.ledger.refuse.clear()
    loans.book.refuse.clear()
    loans.give("borrower", 100_000)
    await handle.execute_update(LoanWorkflow.retry_disbursement, RetryDisbursement("ana"))
    whole = await loans.advance(handle, date(2026, 6, 20))
    assert whole.disbursed_minor == 200_000


async def _until_stuck(handle: LoanHandle) -> None:
    async with asyncio.timeout(30):
        while "undoes" not in (await handle.query(LoanWorkflow.progress)).waits_for:
            await asyncio.sleep(0.02)


async def test_nothing_more_is_paid_out_to_a_borrower_who_is_late(loans: LoanWorld) -> None:
    loan, handle = await loans.active(in_parts())
    loans.take("borrower")
    late = await loans.advance(handle, date(2026, 3, 2))
    assert (late.disbursed_minor, late.failure_code) == (120_000, "tranche_withheld")
    loans.give("borrower", 50_000)
    await handle.execute_update(LoanWorkflow.repay, Repay(late.outstanding_minor - 100_000))
    paid = await handle.execute_update(LoanWorkflow.retry_disbursement, RetryDisbursement("ana"))
    assert paid.disbursed_minor == 170_000
    assert "tranche_withheld" in names(loans, loan.id)


async def test_a_loan_paid_off_or_charged_off_pays_no_more_out(loans: LoanWorld) -> None:
    _, handle = await loans.active(in_parts())
    loans.give("borrower", 50_000)
    assert (await handle.execute_update(LoanWorkflow.pay_off, PayOff())).status is LoanStatus.CLOSED_OBLIGATIONS_MET
    assert (await loans.advance(handle, date(2026, 6, 1))).disbursed_minor == 120_000
    _, other = await loans.active(in_parts())
    await other.execute_update(LoanWorkflow.charge_off, ChargeOff("ana"))
    assert (await loans.advance(other, date(2026, 6, 1))).disbursed_minor == 120_000


async def test_a_loan_that_begins_late_pays_a_tranche_whose_day_is_over_at_once(loans: LoanWorld) -> None:
    loan, _ = await loans.active(in_parts(), today=date(2026, 3, 10))
    assert loan.disbursed_on == date(2026, 3, 10)
    assert loan.disbursed_minor == 170_000


async def test_a_loan_paid_out_in_parts_is_not_undone_at_once(loans: LoanWorld) -> None:
    _, handle = await loans.active(in_parts(every=Frequency.parse("1 year"), instalments=3))
    await loans.advance(handle, date(2026, 3, 2))
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(LoanWorkflow.undo_disbursal, UndoDisbursal("ana"))
