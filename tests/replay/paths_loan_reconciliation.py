"""The scheduled search for loans whose workflow was ended by force, and how such a loan goes on."""

from __future__ import annotations

import asyncio

from temporalio.client import WorkflowUpdateStage

from domain.loans.status import LoanStatus
from tests.replay.loan_scene import MAKER, POLL_INTERVAL_S, WAIT_S, LoanScene, loan_path
from tests.support.loan_world import LoanHandle
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import UndoDisbursal, WithdrawApplication
from workflows.loans.reconciliation import LoanReconciliationOrder, LoanReconciliationWorkflow

RECOVERED = "loan_terminated_recovered"
"""History of the run that goes on."""
RECONCILIATION = "loan_terminated_reconciliation"
"""History of the reconciliation that found it."""
ALWAYS = 10**6


@loan_path
async def loan_terminated(scene: LoanScene) -> None:
    """Its payout is being taken back when somebody terminates it: reset, it finds the refund, which has ended meanwhile."""
    handle = await scene.active()
    scene.world.ledger.fail_times["refunded"] = ALWAYS
    undoing = UndoDisbursal(MAKER)
    await handle.start_update(
        LoanWorkflow.undo_disbursal, undoing, id="upd_undo", wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    async with asyncio.timeout(WAIT_S):
        while not await _waits_for_a_child(handle):
            await asyncio.sleep(POLL_INTERVAL_S)
        await handle.terminate("by hand")
        scene.world.ledger.fail_times.clear()
        while any(not each.status.is_final for each in scene.world.ledger.refunds.values()):
            await asyncio.sleep(POLL_INTERVAL_S)
        running = f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Running'"
        while (await scene.world.client.count_workflows(running)).count:
            await asyncio.sleep(POLL_INTERVAL_S)
    await _reconcile(scene, handle)
    described = await handle.describe()
    scene.keep(scene.world.client.get_workflow_handle(handle.id, run_id=described.run_id), RECOVERED)
    undone = await handle.execute_update(LoanWorkflow.undo_disbursal, undoing, id="upd_undo")
    assert undone.status is LoanStatus.APPROVED
    await scene.rested(handle)
    await scene.tell(handle, LoanWorkflow.withdraw, WithdrawApplication())
    await scene.expect(handle, LoanStatus.WITHDRAWN_BY_CLIENT)


async def _waits_for_a_child(handle: LoanHandle) -> bool:
    found = (await handle.describe()).raw_description
    return bool(found.pending_children) and not found.HasField("pending_workflow_task")


async def _reconcile(scene: LoanScene, handle: LoanHandle) -> None:
    """Let one run of reconciliation find the loan, and keep that run."""
    started = await scene.world.client.start_workflow(
        LoanReconciliationWorkflow.run,
        LoanReconciliationOrder(page_size=1),
        id=f"loan-reconciliation_{scene.name}",
        task_queue=scene.world.task_queue,
    )
    scene.keep(started, RECONCILIATION)
    assert (await started.result()).recovered == [handle.id]
