"""Payments and refunds in the workflow engine: how they are started, updated and asked.

Invariant: ids come from the idempotency key, so that a repeated call reaches the same work.
"""

from __future__ import annotations

from typing import Any, cast

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from api.engine import ACCEPT_TIMEOUT_S, WorkflowCalls, WorkflowEnded, translated
from api.problems import Problem
from api.resident import Resident
from api.temporal_link import HEALTH_TIMEOUT_S, TemporalLink, within
from domain.payments import explain
from domain.payments.payment import Payment
from domain.payments.refund import Refund
from infra.settings import Settings
from workflows.payments.messages import PaymentOrder, PaymentProgress, RefundOrder
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow
from workflows.visibility import of_payment, of_refund


class PaymentEngine(WorkflowCalls):
    """Starts, updates and asks the workflows of payments and refunds."""

    def __init__(self, link: TemporalLink, settings: Settings, resident: Resident | None = None) -> None:
        super().__init__(link, settings)
        self._resident = resident
        self._task_queue = settings.payment_task_queue

    async def submit(self, order: PaymentOrder, update_id: str, wait_s: float) -> Payment | None:
        """Start a payment, or find the one that was started before, and wait for its first step."""
        payment = order.payment
        options: dict[str, Any] = {
            "id": payment.id,
            "task_queue": self._task_queue,
            "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
            "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
            "search_attributes": of_payment(payment),
            "static_summary": explain.summary(payment),
            "static_details": _details(payment),
        }
        here = self._resident
        told = here.expect(payment.id) if here is not None and here.takes_starts else None
        made = await self.submit_first(
            PaymentWorkflow.run, order, PaymentWorkflow.submit, update_id, wait_s, options, told
        )
        return cast(Payment | None, made)

    async def refund(self, order: RefundOrder, update_id: str, wait_s: float) -> Refund | None:
        """Start a refund, or find the one that was started before, and wait until it is done or needs a person."""
        refund = order.refund
        amount = explain.amount(refund.amount_minor, refund.currency)
        options: dict[str, Any] = {
            "id": refund.id,
            "task_queue": self._task_queue,
            "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
            "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
            "search_attributes": of_refund(refund, order.payment),
            "static_summary": f"Refund of {amount} for {refund.payment_id}",
            "static_details": f"Payment `{refund.payment_id}`, paid to `{order.payment.credit_account}`.",
        }
        return cast(
            Refund | None,
            await self.submit_first(RefundWorkflow.run, order, RefundWorkflow.submit, update_id, wait_s, options),
        )

    async def refund_as_ended(self, refund_id: str) -> Refund | None:
        """Return how a refund's workflow ended, or None when it was stopped from outside or its history is gone."""
        handle: WorkflowHandle[Any, Any] = self._link.client.get_workflow_handle(refund_id)
        try:
            return await within(ACCEPT_TIMEOUT_S, handle.result())
        except WorkflowFailureError:
            return None
        except Exception as error:
            if isinstance(meaning := translated(error), WorkflowEnded):
                return None
            raise meaning from error

    async def progress(self, payment_id: str) -> PaymentProgress:
        """Ask a payment's workflow what it is doing."""
        return cast(PaymentProgress, await self.query(payment_id, PaymentWorkflow.progress))

    async def is_healthy(self) -> bool:
        """Tell whether Temporal serves."""
        try:
            return await within(HEALTH_TIMEOUT_S, self._link.client.service_client.check_health())
        except (Problem, RPCError, RuntimeError, TimeoutError):
            return False

    async def count_pollers(self) -> int | None:
        """Return how many workers of their own processes poll the queue of payments; None when it cannot be learned."""
        try:
            client = self._link.client
            described = await within(
                HEALTH_TIMEOUT_S,
                client.workflow_service.describe_task_queue(
                    DescribeTaskQueueRequest(
                        namespace=client.namespace,
                        task_queue=TaskQueue(name=self._task_queue),
                        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
                    )
                ),
            )
        except (Problem, RPCError, RuntimeError, TimeoutError):
            return None
        return len({poller.identity for poller in described.pollers})


def _details(payment: Payment) -> str:
    lines = [f"From `{payment.debit_account}` to `{payment.credit_account}`, tenant `{payment.tenant_id}`."]
    if payment.customer:
        lines.append(f"Customer `{payment.customer}`.")
    if payment.trace_id:
        lines.append(f"Trace `{payment.trace_id}`.")
    return "\n\n".join(lines)
