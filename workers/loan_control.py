"""What the reconciliation of loans asks of Temporal: which workflows run, and that one which was terminated goes on.

A loan's state is in its workflow's history and nowhere else. So it is not started anew, as a payment is, but reset.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

import structlog
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.loan_reconciliation import Carrier
from workers.reset_point import reset_point

RPC_TIMEOUT = timedelta(seconds=10)
REASON = "Reconciliation: its run was ended by force"

_BY_FORCE = frozenset({WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.TIMED_OUT})
_BROKEN = frozenset({WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.CANCELED})
_REFUSED = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION})

log = structlog.get_logger(__name__)


class TemporalLoanControl:
    """A LoanControl over a client. Raises RPCError when Temporal is out of reach."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def not_seen_running(self, ids: Sequence[str]) -> Collection[str]:
        """Return those that the list of running workflows does not have, which may be a little behind."""
        wanted = ", ".join(f"'{each}'" for each in ids)
        query = f"ExecutionStatus = 'Running' AND WorkflowId IN ({wanted})"
        running = {found.id async for found in self._client.list_workflows(query, rpc_timeout=RPC_TIMEOUT)}
        return {each for each in ids if each not in running}

    async def carry_on(self, workflow_id: str) -> Carrier:
        """Reset a workflow whose last run was terminated or timed out, once for each such run."""
        try:
            found = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            log.warning("no workflow is known", loan_id=workflow_id)
            return Carrier.UNKNOWN
        if found.status in _BROKEN:
            log.error("a workflow ended that should run", loan_id=workflow_id, run_id=found.run_id, status=found.status)
            return Carrier.BROKEN
        return await self._reset(found) if found.status in _BY_FORCE else Carrier.WELL

    async def _reset(self, found: WorkflowExecutionDescription) -> Carrier:
        try:
            point = await reset_point(
                self._client.get_workflow_handle(found.id, run_id=found.run_id).fetch_history_events(
                    rpc_timeout=RPC_TIMEOUT
                )
            )
            if point is None:
                log.error("a workflow cannot be reset: it was never begun", loan_id=found.id, run_id=found.run_id)
                return Carrier.BROKEN
            answer = await self._client.workflow_service.reset_workflow_execution(
                ResetWorkflowExecutionRequest(
                    namespace=self._client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=found.id, run_id=found.run_id),
                    reason=REASON,
                    workflow_task_finish_event_id=point,
                    request_id=f"reconcile:{found.run_id}",  # whoever asks again is answered with the same new run
                ),
                timeout=RPC_TIMEOUT,
            )
        except RPCError as error:
            if error.status not in _REFUSED:
                raise
            log.exception("a workflow cannot be reset", loan_id=found.id, run_id=found.run_id)
            return Carrier.BROKEN
        log.warning(
            "a workflow ended by force goes on", loan_id=found.id, run_id=found.run_id, new_run_id=answer.run_id
        )
        return Carrier.RECOVERED
