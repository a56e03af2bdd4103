"""A loan whose workflow was terminated goes on once reconciliation has looked: while it waits, and while another works for it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.loan_reconciliation import Carrier
from domain.loans.changes import Restructure, RestructureKind
from domain.loans.status import LoanStatus
from domain.payments.refund import RefundStatus
from tests.support.loan_world import PATIENCE_S, START, LoanHandle, LoanWorld, application
from workers.loan_control import TemporalLoanControl
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import (
    AcceptOffer,
    CheckProposal,
    Repay,
    RestructureLoan,
    UndoDisbursal,
    WithdrawApplication,
)
from workflows.loans.reconciliation import LoanReconciliationReport
from workflows.loans.shared_clock import AdvanceClock, ClockOrder, LoanClockWorkflow

ALWAYS = 10**6
DAY = date(2026, 2, 20)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def until_children(handle: LoanHandle, pending: int) -> None:
    """Return when so many of the loan's payments and refunds are begun and not ended."""
    async with asyncio.timeout(PATIENCE_S):
        while len((await handle.describe()).raw_description.pending_children) != pending:
            await asyncio.sleep(0.02)


async def recover(loans: LoanWorld, *ids: str) -> LoanReconciliationReport:
    """Reconcile until these go on: the list of running workflows may be a little behind. No other is touched."""
    async with asyncio.timeout(PATIENCE_S):
        while not (report := await loans.reconcile()).recovered:
            assert report.lost == []
    assert report.recovered == sorted(ids)
    return report


async def runs_of(client: Client, workflow_id: str) -> list[WorkflowExecutionStatus | None]:
    return [each.status async for each in client.list_workflows(f"WorkflowId = '{workflow_id}'")]


# While it waits


async def test_an_offer_that_was_terminated_is_accepted_after_all(loans: LoanWorld) -> None:
    loan, handle = await loans.apply()
    await handle.terminate("by hand")
    await recover(loans, loan.id)
    assert (await handle.execute_update(LoanWorkflow.accept, AcceptOffer())).status is LoanStatus.ACTIVE
    assert loans.book.balance("borrower") == 120_000


async def test_an_active_loan_terminated_twice_is_served_again(loans: LoanWorld) -> None:
    loan, handle = await loans.active(max_days_per_run=1)
    loans.give("borrower", 100_000)
    for day in (DAY, date(2026, 4, 20)):
        await loans.advance(handle, day)
        await handle.terminate("by hand")
        await recover(loans, loan.id)
    served = await loans.advance(handle, date(2026, 5, 20))
    assert served.days_past_due == 0
    assert len(loans.book.repayments) == 4
    assert loans.book.balance("lender") == -120_000 + 4 * 10_662


async def test_a_proposal_survives_the_termination_of_its_loan(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    change = Restructure(RestructureKind.RE_AGE, first_due_on=date(2026, 5, 1), instalments=18)
    await handle.execute_update(LoanWorkflow.restructure, RestructureLoan(change, "ann"))
    await handle.terminate("by hand")
    await recover(loans, loan.id)
    done = await handle.execute_update(LoanWorkflow.check_proposal, CheckProposal(1, "bea", approve=True))
    assert done.next_due_on == date(2026, 5, 1)
    assert "restructured" in loans.book.story(loan.id)


# While another workflow works for it


@pytest.mark.parametrize("has_ended", [False, True], ids=["that goes on", "that has ended meanwhile"])
async def test_a_payout_begun_before_the_termination_is_found(loans: LoanWorld, has_ended: bool) -> None:
    loan, handle = await loans.apply()
    loans.ledger.fail_times["transfer"] = ALWAYS
    await handle.start_update(LoanWorkflow.accept, AcceptOffer(), wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    await until_children(handle, 1)
    await handle.terminate("by hand")
    if has_ended:
        loans.ledger.fail_times.clear()
        await until(lambda: all(each.status.is_final for each in loans.ledger.payments.values()))
    await recover(loans, loan.id)
    loans.ledger.fail_times.clear()
    await until(lambda: loans.book.loans[loan.id].status is LoanStatus.ACTIVE)
    assert loans.book.balance("borrower") == 120_000
    assert len(loans.ledger.payments) == 1


@pytest.mark.parametrize("has_ended", [False, True], ids=["that goes on", "that has ended meanwhile"])
async def test_a_repayment_begun_before_the_termination_is_booked_once(loans: LoanWorld, has_ended: bool) -> None:
    loan, handle = await loans.active()
    loans.ledger.fail_times["transfer"] = ALWAYS
    await handle.start_update(LoanWorkflow.repay, Repay(5_000), id="upd_1", wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    await until_children(handle, 1)
    await handle.terminate("by hand")
    if has_ended:
        loans.ledger.fail_times.clear()
        await until(lambda: all(each.status.is_final for each in loans.ledger.payments.values()))
    await recover(loans, loan.id)
    loans.ledger.fail_times.clear()
    paid = await handle.execute_update(LoanWorkflow.repay, Repay(5_000), id="upd_1")
    assert paid.principal_outstanding_minor == 115_000
    assert loans.book.balance("borrower") == 115_000
    assert (len(loans.ledger.payments), len(loans.book.repayments)) == (2, 1)


@pytest.mark.parametrize("has_ended", [False, True], ids=["that goes on", "that has ended meanwhile"])
async def test_a_payout_being_taken_back_at_the_termination_is_taken_back_once(
    loans: LoanWorld, has_ended: bool
) -> None:
    loan, handle = await loans.active()
    loans.ledger.fail_times["refunded"] = ALWAYS
    undoing = UndoDisbursal("ann", "by mistake")
    await handle.start_update(
        LoanWorkflow.undo_disbursal, undoing, id="upd_1", wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    await until_children(handle, 1)
    await handle.terminate("by hand")
    if has_ended:
        loans.ledger.fail_times.clear()
        await until(lambda: all(each.status.is_final for each in loans.ledger.refunds.values()))
    await recover(loans, loan.id)
    loans.ledger.fail_times.clear()
    undone = await handle.execute_update(LoanWorkflow.undo_disbursal, undoing, id="upd_1")
    assert undone.status is LoanStatus.APPROVED
    assert [each.status for each in loans.ledger.refunds.values()] == [RefundStatus.SUCCEEDED]
    assert (loans.book.balance("borrower"), loans.book.balance("lender")) == (0, 0)


async def test_a_loan_terminated_between_its_closing_and_its_successor_hands_over_what_it_owed(
    loans: LoanWorld,
) -> None:
    loan, handle = await loans.active()
    change = Restructure(RestructureKind.RESCHEDULE, instalments=24)
    await handle.execute_update(LoanWorkflow.restructure, RestructureLoan(change, "ann"))
    held = asyncio.Event()
    record = loans.book.record

    async def hold_successor(wanted: Any) -> Any:
        if wanted.loan.id != loan.id:
            await held.wait()
        return await record(wanted)

    loans.book.record = hold_successor  # type: ignore[method-assign]
    await handle.start_update(
        LoanWorkflow.check_proposal,
        CheckProposal(1, "bea", approve=True),
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
    )
    await until(lambda: loans.book.loans[loan.id].status is LoanStatus.CLOSED_RESCHEDULED)
    await handle.terminate("by hand")
    await recover(loans, loan.id)
    held.set()
    await until(lambda: len(loans.book.loans) == 2)
    (successor,) = (each for each in loans.book.loans.values() if each.id != loan.id)
    assert (successor.status, successor.principal_outstanding_minor) == (LoanStatus.ACTIVE, 120_000)
    await handle.result()
    assert (await loans.handle(successor.id).describe()).status is WorkflowExecutionStatus.RUNNING


# What is touched, and what not


async def test_two_reconcilers_at_once_let_a_loan_go_on_once(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    await handle.terminate("by hand")
    control = TemporalLoanControl(loans.client)
    found = await asyncio.gather(*(control.carry_on(loan.id) for _ in range(8)))
    assert set(found) <= {Carrier.RECOVERED, Carrier.WELL}
    async with asyncio.timeout(PATIENCE_S):
        while len(runs := await runs_of(loans.client, loan.id)) < 2:
            await asyncio.sleep(0.02)
    assert sorted(runs, key=str) == [WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.TERMINATED]


async def test_what_runs_or_has_ended_is_left_alone(loans: LoanWorld) -> None:
    running, handle = await loans.active()
    ended, ending = await loans.apply()
    await ending.execute_update(LoanWorkflow.withdraw, WithdrawApplication())
    await ending.result()
    loans.book.loans[ended.id] = ended  # the row as reconciliation may have read it a moment ago
    before = {(await each.describe()).run_id for each in (handle, ending)}
    report = await loans.reconcile()
    assert (report.looked_at, report.recovered, report.lost) == (2, [], [])
    assert {(await each.describe()).run_id for each in (handle, ending)} == before
    assert await runs_of(loans.client, running.id) == [WorkflowExecutionStatus.RUNNING]


async def test_a_run_that_no_worker_has_seen_goes_on_with_all_it_was_told(loans: LoanWorld) -> None:
    asked = application()
    handle = await loans.client.start_workflow(
        LoanWorkflow.run, loans.order(asked), id=asked.id, task_queue=f"nobody-{uuid.uuid4().hex}"
    )
    await handle.signal(LoanWorkflow.advance_clock, DAY)
    await handle.terminate("by hand")
    assert await TemporalLoanControl(loans.client).carry_on(asked.id) is Carrier.RECOVERED
    signals = [
        event.event_id
        async for event in loans.client.get_workflow_handle(asked.id).fetch_history_events()
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    assert len(signals) == 1


async def test_a_test_clock_that_was_terminated_while_it_moved_its_loans_goes_on(loans: LoanWorld) -> None:
    clock = await loans.client.start_workflow(
        LoanClockWorkflow.run,
        ClockOrder("default", "clk_1", START),
        id=f"clk_{loans.task_queue}",
        task_queue=loans.task_queue,
    )
    loan, handle = await loans.active()
    loans.give("borrower", 20_000)
    loans.book.fail_times["clock_advanced"] = ALWAYS
    await clock.start_update(LoanClockWorkflow.advance, AdvanceClock(DAY), wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    await until(lambda: "instalment_due" in loans.book.story(loan.id))
    await clock.terminate("by hand")
    assert await TemporalLoanControl(loans.client).carry_on(clock.id) is Carrier.RECOVERED
    loans.book.fail_times.clear()
    await until(lambda: loans.clock.shown["clk_1"] == DAY)
    assert (await handle.query(LoanWorkflow.progress)).loan.served_through == DAY


@workflow.defn
class BrokenWorkflow:
    """It fails at once."""

    @workflow.run
    async def run(self) -> None:
        """Fail."""
        raise ApplicationError("broken", non_retryable=True)


async def test_a_loan_that_cannot_go_on_is_named_again_and_again(loans: LoanWorld) -> None:
    gone, handle = await loans.active()
    await handle.terminate("by hand")
    await loans.client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=loans.client.namespace, workflow_execution=WorkflowExecution(workflow_id=gone.id)
        )
    )
    async with asyncio.timeout(PATIENCE_S):
        while await _is_known(handle):
            await asyncio.sleep(0.02)
    broken, _ = await loans.apply()
    await loans.handle(broken.id).terminate("to make place")
    queue = f"broken-{uuid.uuid4().hex}"
    async with Worker(
        loans.client, task_queue=queue, workflows=[BrokenWorkflow], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        failing = await loans.client.start_workflow(BrokenWorkflow.run, id=broken.id, task_queue=queue)
        with pytest.raises(Exception, match="Workflow execution failed"):
            await failing.result()
    for _ in range(2):
        report = await loans.reconcile(page_size=1, max_pages=1)
        assert (report.looked_at, report.recovered, report.lost) == (2, [], sorted([gone.id, broken.id]))
        assert report.lost_count == 2


async def _is_known(handle: LoanHandle) -> bool:
    try:
        await handle.describe()
    except RPCError:
        return False
    return True
