"""What reconciliation and the gauges ask of Temporal, and the schedules on which reconciliation and the accrual of loans run."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    WorkflowExecutionStatus,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.reconciliation import OpenSaga
from domain.payments import explain
from workflows.loans.accrual import AccrualWorkflow
from workflows.payments.messages import PaymentOrder, RefundOrder
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.reconciliation import ReconciliationOrder, ReconciliationWorkflow
from workflows.payments.refund import RefundWorkflow
from workflows.visibility import of_payment, of_refund

RECONCILIATION_ID = "reconciliation"
RECONCILIATION_INTERVAL = timedelta(minutes=1)
ACCRUAL_ID = "loan-accrual"
ACCRUAL_INTERVAL = timedelta(days=1)
ACCRUAL_OFFSET = timedelta(minutes=10)
"""After midnight in UTC, when the day to accrue has surely begun on every machine."""
COUNT_TIMEOUT = timedelta(seconds=10)
_LOANS_NEEDING_A_PERSON = "WorkflowType = 'LoanWorkflow' AND ExecutionStatus = 'Running' AND NeedsReview = true"
CATCH_UP = timedelta(minutes=2)
"""Runs missed for longer than this are not made up for: one run looks at everything."""


class TemporalWorkflowControl:
    """A WorkflowControl over a client."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def is_running(self, workflow_id: str) -> bool:
        """Tell whether a workflow of that id runs; one that Temporal has never heard of does not."""
        try:
            description = await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return description.status is WorkflowExecutionStatus.RUNNING

    async def recover(self, saga: OpenSaga) -> None:
        """Start the workflow again under its own id; one that was started meanwhile stays."""
        if saga.refund is None:
            await self._client.start_workflow(
                PaymentWorkflow.run,
                PaymentOrder(saga.payment, recover=True),
                id=saga.workflow_id,
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=of_payment(saga.payment),
                static_summary=f"Recovery: {explain.summary(saga.payment)}",
            )
            return
        await self._client.start_workflow(
            RefundWorkflow.run,
            RefundOrder(saga.refund, saga.payment),
            id=saga.workflow_id,
            task_queue=self._task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=of_refund(saga.refund, saga.payment),
            static_summary=f"Recovery: refund of {explain.summary(saga.payment)}",
        )


async def count_loans_needing_a_person(client: Client) -> int:
    """Return how many loans wait for a person, as operators see them in the Temporal UI. Raises RPCError."""
    found = await client.count_workflows(_LOANS_NEEDING_A_PERSON, rpc_timeout=COUNT_TIMEOUT)
    return found.count


async def schedule_reconciliation(client: Client, task_queue: str) -> None:
    """Make sure that reconciliation runs every minute; a schedule that exists is left as operators set it."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            ReconciliationWorkflow.run,
            ReconciliationOrder(),
            id=RECONCILIATION_ID,
            task_queue=task_queue,
            static_summary="Find payments and refunds whose workflow is gone, and recover them",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=RECONCILIATION_INTERVAL)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )
    await create_schedule(client, RECONCILIATION_ID, schedule)


async def schedule_accrual(client: Client, task_queue: str) -> None:
    """Make sure that interest is accrued every day, soon after midnight in UTC; an existing schedule is left as it is."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            AccrualWorkflow.run,
            id=ACCRUAL_ID,
            task_queue=task_queue,
            static_summary="Accrue the interest of all loans up to today",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=ACCRUAL_INTERVAL, offset=ACCRUAL_OFFSET)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=ACCRUAL_INTERVAL),
    )
    await create_schedule(client, ACCRUAL_ID, schedule)


async def create_schedule(client: Client, schedule_id: str, schedule: Schedule) -> None:
    """Create a schedule; one that exists is left as operators set it."""
    try:
        await client.create_schedule(schedule_id, schedule)
    except ScheduleAlreadyRunningError:
        return
