"""A loan whose workflow was ended from outside and reset finds the payment it had begun, and no money moves twice."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import date

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowUpdateStage

from domain.loans.status import LoanStatus
from tests.support.loan_world import LoanHandle, LoanWorld
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import AcceptOffer, Repay

PATIENCE_S = 60.0
ALWAYS = 10**6


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def until_begun(handle: LoanHandle, count: int) -> int:
    """Wait until so many payments are begun; return the workflow task that was completed before the last was asked for."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            begun, task, before = 0, 0, 0
            async for event in handle.fetch_history_events():
                if event.HasField("start_child_workflow_execution_initiated_event_attributes"):
                    before = task
                if event.HasField("workflow_task_completed_event_attributes"):
                    before, task = task, event.event_id
                begun += event.HasField("child_workflow_execution_started_event_attributes")
                if begun >= count:
                    return before
            await asyncio.sleep(0.02)


async def terminate_and_reset(client: Client, handle: LoanHandle, task: int) -> None:
    """End the loan's run, and go back to a task of it; commands that came after are applied again by the server."""
    run_id = (await handle.describe()).run_id
    await handle.terminate("by hand")
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=run_id),
            reason="terminated by hand",
            workflow_task_finish_event_id=task,
            request_id=uuid.uuid4().hex,
        )
    )
    async with asyncio.timeout(PATIENCE_S):
        while not await _found_its_payment(handle):
            await asyncio.sleep(0.02)


async def _found_its_payment(handle: LoanHandle) -> bool:
    """Whether the new run was told that the payment it would begin exists."""
    async for event in handle.fetch_history_events():
        if event.HasField("start_child_workflow_execution_failed_event_attributes"):
            return True
    return False


async def test_a_payout_under_way_when_the_loan_was_terminated_is_adopted(loans: LoanWorld) -> None:
    loan, handle = await loans.apply()
    loans.ledger.fail_times["transfer"] = ALWAYS
    await handle.start_update(LoanWorkflow.accept, AcceptOffer(), wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    task = await until_begun(handle, 1)
    await terminate_and_reset(loans.client, handle, task)
    loans.ledger.fail_times.clear()
    await until(lambda: loans.book.loans[loan.id].status is LoanStatus.ACTIVE)
    assert loans.book.balance("borrower") == 120_000
    assert len(loans.ledger.payments) == 1
    grown = await loans.advance(handle, date(2026, 2, 15))
    assert grown.principal_outstanding_minor < 120_000


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_repayment_begun_before_a_reset_is_booked_once(loans: LoanWorld, has_ended: bool) -> None:
    loan, handle = await loans.active()
    before = loans.book.balance("borrower")
    loans.ledger.fail_times["transfer"] = ALWAYS
    await handle.start_update(LoanWorkflow.repay, Repay(5_000), id="upd_1", wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    task = await until_begun(handle, 2)
    if has_ended:
        loans.ledger.fail_times.clear()
        await until(lambda: len(loans.book.repayments) == 1)
        loans.book.repayments.clear()
    await terminate_and_reset(loans.client, handle, task)
    loans.ledger.fail_times.clear()
    if not has_ended:
        await until(lambda: len(loans.book.repayments) == 1)
    paid = await handle.execute_update(LoanWorkflow.repay, Repay(5_000), id="upd_1")
    assert paid.principal_outstanding_minor == 115_000
    assert loans.book.balance("borrower") == before - 5_000
    assert len(loans.ledger.payments) == 2
    assert loans.book.loans[loan.id].principal_outstanding_minor == 115_000
