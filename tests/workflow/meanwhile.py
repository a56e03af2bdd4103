"""Ways to let something happen to a payment or refund at the worst moment: while a step runs, or with nobody to run it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle, WorkflowUpdateStage
from temporalio.worker import Worker

from domain.payments.payment import Payment
from domain.payments.refund import Refund
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentHandle, PaymentWorld
from workers.registry import WORKFLOWS, payment_activities, sandbox
from workflows.payments.messages import CancelPayment, CapturePayment, PaymentOrder, RefundOrder, RetryReview
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow

WAIT_S = 12.0
OPERATOR = RetryReview("operator-1")

RefundHandle = WorkflowHandle[RefundWorkflow, Refund]


async def reached(world: PaymentWorld) -> None:
    """Wait until the next request reached the gateway."""
    async with asyncio.timeout(WAIT_S):
        await world.gateway.reached.wait()
    world.gateway.reached.clear()


async def stumbled(world: PaymentWorld, step: str, left: int) -> None:
    """Wait until the database has failed that step and `left` failures are left."""
    async with asyncio.timeout(WAIT_S):
        while world.book.fail_times[step] > left:
            await asyncio.sleep(0.01)


async def ended(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until a workflow has ended in whatever way."""
    async with asyncio.timeout(WAIT_S):
        with suppress(WorkflowFailureError):  # a cancelled workflow fails to its caller; its row says how it ended
            await handle.result()
    described = await handle.describe()
    assert described.status in (WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.CANCELED)


async def recover(world: PaymentWorld, payment_id: str) -> PaymentHandle:
    """Start the recovery of a terminated payment from its row, as reconciliation does."""
    order = PaymentOrder(world.book.payments[payment_id], recover=True)
    return await world.client.start_workflow(PaymentWorkflow.run, order, id=payment_id, task_queue=world.task_queue)


async def under_review(world: PaymentWorld) -> PaymentHandle:
    """Return an authorized payment whose reversal the gateway rejected."""
    _, handle = await world.authorized()
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    reviewed = await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    assert reviewed.status is PaymentStatus.NEEDS_REVIEW
    return handle


@asynccontextmanager
async def serving(world: PaymentWorld) -> AsyncIterator[None]:
    """Run a worker for that world while the block runs."""
    async with Worker(
        world.client,
        task_queue=world.task_queue,
        workflows=WORKFLOWS,
        activities=payment_activities(world.book, {"sandbox": world.gateway}),
        workflow_runner=sandbox(),
    ):
        yield


async def start_refund(world: PaymentWorld, payment: Payment, refund: Refund | None = None) -> RefundHandle:
    """Start a refund of ten, or start one again from its row as reconciliation does."""
    made = refund or Refund("default", f"re_{uuid.uuid4().hex}", payment.id, 1000, "USD", datetime.now(UTC))
    return await world.client.start_workflow(
        RefundWorkflow.run, RefundOrder(made, payment), id=made.id, task_queue=world.task_queue
    )


async def reset(
    world: PaymentWorld, workflow_id: str, task: int, *, updates_again: bool = True
) -> WorkflowHandle[Any, Any]:
    """Reset a workflow to one of its completed tasks, and return the new run; the server sends later updates to it again."""
    history = await world.client.get_workflow_handle(workflow_id).fetch_history()
    tasks = [e.event_id for e in history.events if e.HasField("workflow_task_completed_event_attributes")]
    answer = await world.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=world.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=history.run_id),
            reason="by hand",
            workflow_task_finish_event_id=tasks[task],
            request_id=uuid.uuid4().hex,
            reset_reapply_exclude_types=[]
            if updates_again
            else [ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE],
        )
    )
    return world.client.get_workflow_handle(workflow_id, run_id=answer.run_id)


async def begin_capture(world: PaymentWorld, handle: PaymentHandle, fault: Fault) -> None:
    """Begin a capture whose answer is lost, and which is not asked about within the next seconds."""
    world.gateway.faults["capture"].append(fault)
    world.gateway.faults["inquire"] += [Fault.LOST_BEFORE] * 3
    world.gateway.reached.clear()
    await handle.start_update(
        PaymentWorkflow.capture,
        CapturePayment(500, final=False),
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
    )
    await reached(world)


async def until_status(handle: WorkflowHandle[Any, Any], statuses: set[PaymentStatus]) -> None:
    """Wait until the payment's workflow says one of the statuses."""
    async with asyncio.timeout(WAIT_S):
        while (await handle.query(PaymentWorkflow.progress)).payment.status not in statuses:
            await asyncio.sleep(0.02)
