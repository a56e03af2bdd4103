"""Test clocks, real time, and the daily accrual of a portfolio."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, date, datetime

import pytest
from temporalio.client import WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from domain.loans.status import LoanStatus
from tests.support.loan_world import START, LoanWorld, application
from workflows.loans.accrual import AccrualWorkflow
from workflows.loans.loan import LoanWorkflow
from workflows.loans.shared_clock import AdvanceClock, ClockOrder, ClockView, LoanClockWorkflow


async def start_clock(loans: LoanWorld, clock_id: str) -> ClockView:
    start = WithStartWorkflowOperation(
        LoanClockWorkflow.run,
        ClockOrder("default", clock_id, START, "demo"),
        id=clock_id,
        task_queue=loans.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    return await loans.client.execute_update_with_start_workflow(
        LoanClockWorkflow.submit, start_workflow_operation=start, id="submit"
    )


async def test_a_clock_moves_all_its_loans_and_answers_when_they_have_caught_up(loans: LoanWorld) -> None:
    clock_id = f"clk_{uuid.uuid4().hex}"
    assert (await start_clock(loans, clock_id)).on == START
    loans.give("borrower", 200_000)
    active = [await loans.active(application(test_clock=clock_id)) for _ in range(3)]
    await loans.apply(application(test_clock=clock_id))
    handle = loans.client.get_workflow_handle_for(LoanClockWorkflow.run, clock_id)
    view = await handle.execute_update(LoanClockWorkflow.advance, AdvanceClock(date(2026, 4, 20)))
    assert view == ClockView(clock_id, "demo", date(2026, 4, 20))
    assert loans.clock.shown[clock_id] == date(2026, 4, 20)
    for loan, _ in active:
        assert loans.book.loans[loan.id].served_through == date(2026, 4, 20)
    assert len(loans.book.repayments) == 9
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanClockWorkflow.advance, AdvanceClock(date(2026, 4, 1)))
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "invalid_clock_date"
    await handle.signal(LoanClockWorkflow.delete)
    await handle.result()


async def test_a_loan_without_a_clock_lives_in_real_time(loans: LoanWorld) -> None:
    today = datetime.now(UTC).date()
    loan, handle = await loans.active(application(test_clock=None))
    assert loan.status is LoanStatus.ACTIVE
    assert loan.disbursed_on == today
    await handle.signal(LoanWorkflow.advance_clock, date(2040, 1, 1))
    progress = await handle.query(LoanWorkflow.progress)
    assert progress.loan.business_date == today
    assert progress.wakes_on is not None
    assert progress.wakes_on > today


async def test_the_daily_accrual_goes_through_all_pages(loans: LoanWorld) -> None:
    loans.accrual.loans = 5_000
    done = await loans.client.execute_workflow(
        AccrualWorkflow.run, date(2026, 2, 1), id=f"accrual-{uuid.uuid4().hex}", task_queue=loans.task_queue
    )
    assert (done.seen, done.loans, done.days) == (5_000, 5_000, 5_000)
    assert loans.accrual.pages == ["", "2000", "4000"]


async def test_an_accrual_that_fails_goes_on_where_it_was(loans: LoanWorld) -> None:
    loans.accrual.loans = 5_000
    loans.accrual.fail_at = 4_000
    async with asyncio.timeout(60):
        done = await loans.client.execute_workflow(
            AccrualWorkflow.run, date(2026, 2, 1), id=f"accrual-{uuid.uuid4().hex}", task_queue=loans.task_queue
        )
    assert done.days == 5_000
    assert loans.accrual.pages == ["", "2000", "4000"]
