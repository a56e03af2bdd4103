"""Thirty years on a test clock: run follows run, and no history grows with the years."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from domain.loans.credit import CreditApplication
from domain.loans.status import LoanStatus
from tests.support import loan_world as support
from tests.support.loan_world import LoanWorld, application, terms
from workers.replay import replay
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import Repay

MAX_EVENTS = 2_500
MAX_BYTES = 2_500_000

GOOD_CREDIT = CreditApplication.parse(
    {
        "debt_to_income": "0.30",
        "housing_to_income": "0.25",
        "loan_to_value": "0.80",
        "consumer_credit_score": "1",
        "mortgage_credit_score": "1",
        "public_bad_credit_record": "no",
        "denied_mortgage_insurance": "no",
        "self_employed": "no",
    }
)


async def test_thirty_years_of_months_are_paid_and_no_history_grows(
    loans: LoanWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "PATIENCE_S", 240.0)
    home = terms(principal=20_000_000, annual_rate_percent=Decimal("6.5"), instalments=360)
    loans.ledger.funds["lender"] = 30_000_000
    asked = application(terms=home, income=None, credit=GOOD_CREDIT, policy_version="mortgage-2026-1")
    loan, handle = await loans.active(asked)
    loans.give("borrower", 40_000_000)
    closed = await loans.advance(handle, date(2056, 1, 15))
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    assert len(loans.book.repayments) == 360
    assert loans.book.balance("loans:capital:USD") == -loans.book.accrued[loan.id]
    runs = [run async for run in loans.client.list_workflows(f"WorkflowId = '{loan.id}'")]
    assert len(runs) >= 3
    for run in runs:
        about = (await loans.client.get_workflow_handle(loan.id, run_id=run.run_id).describe()).raw_description
        assert about.workflow_execution_info.history_length < MAX_EVENTS
        assert about.workflow_execution_info.history_size_bytes < MAX_BYTES


async def test_a_command_repeated_in_a_later_run_is_not_done_again(loans: LoanWorld) -> None:
    loan, handle = await loans.active(max_days_per_run=2)
    loans.give("borrower", 50_000)
    await handle.execute_update(LoanWorkflow.repay, Repay(1_000), id="upd_1")
    await loans.advance(handle, date(2026, 6, 20))
    runs = [run async for run in loans.client.list_workflows(f"WorkflowId = '{loan.id}'")]
    assert len(runs) >= 2
    before = len(loans.book.repayments)
    again = await handle.execute_update(LoanWorkflow.repay, Repay(1_000), id="upd_1")
    assert again.status is LoanStatus.ACTIVE
    assert len(loans.book.repayments) == before


async def test_a_loan_replays_from_the_beginning_at_every_step(loans: LoanWorld) -> None:
    loan, handle = await loans.active(max_days_per_run=4)
    loans.give("borrower", 20_000)
    closed = await loans.advance(handle, date(2027, 1, 15))
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    runs = [run async for run in loans.client.list_workflows(f"WorkflowId = '{loan.id}'")]
    histories = [await loans.client.get_workflow_handle(loan.id, run_id=run.run_id).fetch_history() for run in runs]
    replayed = await replay(histories)
    assert replayed.histories == len(runs) >= 3
    assert replayed.passed, replayed.failures
