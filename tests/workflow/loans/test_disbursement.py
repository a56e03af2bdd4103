"""The payout as a saga: a failure at each step undoes the earlier ones and leaves the loan approved."""

from __future__ import annotations

from datetime import date

import pytest

from domain.loans.status import LoanStatus
from tests.support.loan_world import LoanWorld
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import AcceptOffer, RetryDisbursement, WithdrawApplication


def assert_nothing_moved(loans: LoanWorld) -> None:
    assert loans.ledger.posted["borrower"] == 0
    assert loans.ledger.posted["lender"] == 0
    assert loans.ledger.held == 0
    assert all(balance == 0 for account, balance in loans.ledger.posted.items()), loans.ledger.posted


@pytest.mark.parametrize("step", ["funds_reserved", "booked", "disbursed"])
async def test_a_step_that_fails_is_undone_and_tried_again(loans: LoanWorld, step: str) -> None:
    loans.book.refuse[step] = "debit_account_closed"
    _, handle = await loans.apply()
    failed = await handle.execute_update(LoanWorkflow.accept, AcceptOffer())
    assert failed.status is LoanStatus.APPROVED
    assert failed.failure_code is not None
    assert_nothing_moved(loans)
    del loans.book.refuse[step]
    paid = await handle.execute_update(LoanWorkflow.retry_disbursement, RetryDisbursement("ana"))
    assert paid.status is LoanStatus.ACTIVE
    assert loans.ledger.posted["borrower"] == 120_000


async def test_a_payout_that_the_payment_path_refuses_is_undone(loans: LoanWorld) -> None:
    loans.ledger.refuse["transfer"] = "credit_account_closed"
    _, handle = await loans.apply()
    failed = await handle.execute_update(LoanWorkflow.accept, AcceptOffer())
    assert failed.status is LoanStatus.APPROVED
    assert failed.failure_code == "payout_failed"
    assert_nothing_moved(loans)
    loans.ledger.refuse.clear()
    paid = await handle.execute_update(LoanWorkflow.retry_disbursement, RetryDisbursement("ana"))
    assert paid.status is LoanStatus.ACTIVE


async def test_a_lender_without_funds_pays_nothing_out(loans: LoanWorld) -> None:
    loans.ledger.funds["lender"] = 100
    _, handle = await loans.apply()
    failed = await handle.execute_update(LoanWorkflow.accept, AcceptOffer())
    assert failed.status is LoanStatus.APPROVED
    assert_nothing_moved(loans)
    withdrawn = await handle.execute_update(LoanWorkflow.withdraw, WithdrawApplication())
    assert withdrawn.status is LoanStatus.WITHDRAWN_BY_CLIENT
    assert loans.book.statuses[withdrawn.id][-2:] == ["submitted_and_pending_approval", "withdrawn_by_client"]


async def test_a_payout_that_cannot_be_taken_back_waits_for_a_person(loans: LoanWorld) -> None:
    loans.book.refuse["disbursed"] = "loan_is_ahead"
    loans.ledger.refuse["refund_hold"] = "exceeds_credits"
    _, handle = await loans.apply()
    failed = await handle.execute_update(LoanWorkflow.accept, AcceptOffer())
    assert failed.status is LoanStatus.APPROVED
    assert failed.failure_code == "disbursement_not_undone"
    assert (await handle.query(LoanWorkflow.progress)).compensations == ["take back the payout"]


async def test_a_cancellation_in_temporal_before_the_payout_ends_the_application(loans: LoanWorld) -> None:
    _, handle = await loans.apply()
    await handle.cancel()
    ended = await handle.result()
    assert ended.status is LoanStatus.WITHDRAWN_BY_CLIENT


async def test_a_cancellation_in_temporal_does_not_end_a_debt(loans: LoanWorld) -> None:
    _, handle = await loans.active()
    await handle.cancel()
    loans.give("borrower", 20_000)
    half = await loans.advance(handle, date(2026, 3, 15))
    assert half.status is LoanStatus.ACTIVE
    assert "cancellation_ignored" in loans.book.story(half.id)
    assert len(loans.book.repayments) == 2


async def test_a_database_that_stumbles_is_waited_for(loans: LoanWorld) -> None:
    loans.book.fail_times["booked"] = 2
    loan, _ = await loans.active()
    assert loan.status is LoanStatus.ACTIVE
    assert loans.ledger.posted["borrower"] == 120_000
