"""What the reconciliation of payments and the gauges ask of Temporal."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.reconciliation import OpenSaga
from domain.payments import explain
from workflows.payments.messages import PaymentOrder, RefundOrder
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow
from workflows.visibility import of_payment, of_refund

COUNT_TIMEOUT = timedelta(seconds=10)
_LOANS_NEEDING_A_PERSON = "WorkflowType = 'LoanWorkflow' AND ExecutionStatus = 'Running' AND NeedsReview = true"


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
