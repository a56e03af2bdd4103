"""The workflow engine as the API uses it: start, update, ask; each within a bound.

Invariant: nothing is called accepted that Temporal has not written down, and what timed out is safe to send again: workflow and
update ids come from the idempotency key, so a repeated call reaches the same work.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from typing import Any

import structlog
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.update.v1 import UpdateRef, WaitPolicy
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import (
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import QueryRejectCondition
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from api import problems
from api.problems import RETRY_AFTER, Problem
from api.temporal_link import TemporalLink, within
from infra.settings import Settings

log = structlog.get_logger(__name__)

ACCEPT_TIMEOUT_S = 3.0
"""How long it may take to learn whether something was accepted, once the client's own wait is over."""

PATIENCE_S = 3.0
"""How long a start waits for what this process writes before it asks the workflow: by then another process may have it."""

QUERY_TIMEOUT_S = 5.0
"""How long a workflow may take to say what it is doing."""


EAGERLY_STARTED = "__temporal_eagerly_started"
"""What the SDK's handle calls it that the start was answered with the first workflow task."""

Told = AbstractContextManager[asyncio.Future[Any]]
"""Holds a future that gets what this process wrote at the end of a workflow's first step."""


class WorkflowEnded(Exception):
    """The workflow runs no more, or never did: what is written in the database is the answer."""


class Refused(Exception):
    """The workflow said no, and did nothing. `code` and `advice` are those of the domain error."""

    def __init__(self, code: str, message: str, advice: str | None) -> None:
        super().__init__(message)
        self.code, self.advice = code, advice


class WorkflowCalls:
    """What engines of all kinds have in common: start with an update, update, query; each within a bound.

    Methods that wait return None when the work was accepted and is not done within `wait_s`. They raise WorkflowEnded, Refused,
    or Problem (503) when nothing is known.
    """

    def __init__(self, link: TemporalLink, settings: Settings) -> None:
        self._link = link
        self._turns = asyncio.Semaphore(settings.api_starts_max)

    async def submit_first(
        self, run: Any, order: Any, submit: Any, update_id: str, wait_s: float, options: Any, told: Told | None = None
    ) -> Any:
        """Start a workflow, or find the one of that id, and send its first update; `options` are those of the start.

        With `told` this process's own worker takes the start and tells what it wrote; the update is sent only when it does not.
        """
        left_s = await self._take_turn(wait_s)
        if left_s > 0:
            try:
                if told is not None:
                    return await self._start_here(told, run, order, submit, update_id, left_s, options)
                return await self._submit_with_start(run, order, submit, update_id, left_s, options)
            except TimeoutError:
                pass
            finally:
                self._turns.release()
        try:
            await within(ACCEPT_TIMEOUT_S, self._link.client.start_workflow(run, order, **options))
        except Exception as error:
            raise translated(error) from error
        return None

    async def _take_turn(self, wait_s: float) -> float:
        """Wait for a turn and return how many seconds of the wait are left; 0 when it was over first, without a turn."""
        if not self._turns.locked():
            await self._turns.acquire()
            return wait_s
        clock = asyncio.get_running_loop().time
        ends = clock() + wait_s
        try:
            async with asyncio.timeout_at(ends):
                await self._turns.acquire()
        except TimeoutError:
            return 0.0
        if (left_s := ends - clock()) > 0:
            return left_s
        self._turns.release()
        return 0.0

    async def _start_here(
        self, told: Told, run: Any, order: Any, submit: Any, update_id: str, wait_s: float, options: Any
    ) -> Any:
        """Start, take the first workflow task from the answer, and return what was written. Raises TimeoutError as below."""
        clock = asyncio.get_running_loop().time
        ends = clock() + wait_s
        with told as written:
            start = self._link.client.start_workflow(run, order, request_eager_start=True, **options)
            try:
                handle = await within(wait_s, start)
            except TimeoutError:
                raise
            except Exception as error:
                raise await self._meaning_of(error, options["id"]) from error
            if getattr(handle, EAGERLY_STARTED, False):
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(min(clock() + PATIENCE_S, ends)):
                        return await written
            elif written.done():
                return written.result()
        if (left_s := ends - clock()) > 0:
            return await self._submit_again(options["id"], submit, update_id, left_s)
        raise TimeoutError

    async def _submit_with_start(
        self, run: Any, order: Any, submit: Any, update_id: str, wait_s: float, options: Any
    ) -> Any:
        """Send start and update together. Raises TimeoutError when the outcome did not come within the wait."""
        start = WithStartWorkflowOperation(run, order, **options)
        call = self._link.client.execute_update_with_start_workflow(
            submit, start_workflow_operation=start, id=update_id
        )
        try:
            return await within(wait_s, call)
        except TimeoutError:
            await _look_at(start)
            raise
        except Exception as error:
            await _look_at(start)
            if _is_started_already(error):
                return await self._submit_again(options["id"], submit, update_id, wait_s)
            raise await self._meaning_of(error, options["id"]) from error

    async def _submit_again(self, workflow_id: str, submit: Any, update_id: str, wait_s: float) -> Any:
        """Send the first update alone, under the same id: one that was taken before answers as it did."""
        handle: WorkflowHandle[Any, Any] = self._link.client.get_workflow_handle(workflow_id)
        try:
            return await within(wait_s, handle.execute_update(submit, id=update_id))
        except TimeoutError:
            return None
        except Exception as error:
            raise await self._meaning_of(error, workflow_id) from error

    async def command(self, workflow_id: str, update: Any, message: object, update_id: str, wait_s: float) -> Any:
        """Send an update to a running workflow and wait for its outcome, as it returns it."""
        handle: WorkflowHandle[Any, Any] = self._link.client.get_workflow_handle(workflow_id)
        try:
            if wait_s > 0:
                with suppress(TimeoutError):
                    return await within(wait_s, handle.execute_update(update, message, id=update_id))
                await within(ACCEPT_TIMEOUT_S, self._require_accepted(workflow_id, update_id))
            else:
                accepted = handle.start_update(
                    update, message, id=update_id, wait_for_stage=WorkflowUpdateStage.ACCEPTED
                )
                await within(ACCEPT_TIMEOUT_S, accepted)
        except TimeoutError:
            raise Problem(
                problems.NO_WORKER,
                "No worker took the command in time. It may still be carried out, once at most.",
                headers=RETRY_AFTER,
            ) from None
        except Exception as error:
            raise await self._meaning_of(error, workflow_id) from error
        return None

    async def _meaning_of(self, error: Exception, workflow_id: str) -> Exception:
        """Return what an error of an update means: one that Temporal does not know may be lost while its workflow runs on."""
        if not isinstance(error, RPCError) or error.status is not RPCStatusCode.NOT_FOUND:
            return translated(error)
        try:
            described = await within(ACCEPT_TIMEOUT_S, self._link.client.get_workflow_handle(workflow_id).describe())
        except Exception as second:  # noqa: BLE001 - it is translated
            return translated(second)
        if described.status is WorkflowExecutionStatus.RUNNING:
            detail = "The workflow engine lost the command before a worker took it."
            return Problem(problems.ENGINE_UNAVAILABLE, detail, headers=RETRY_AFTER)
        return WorkflowEnded()

    async def query(self, workflow_id: str, query: Any, *arguments: object, running_only: bool = False) -> Any:
        """Ask a workflow something. Raises WorkflowEnded when there is none of that id, or, with `running_only`, no more."""
        handle: WorkflowHandle[Any, Any] = self._link.client.get_workflow_handle(workflow_id)
        reject = QueryRejectCondition.NOT_OPEN if running_only else None
        try:
            return await within(QUERY_TIMEOUT_S, handle.query(query, args=arguments, reject_condition=reject))
        except WorkflowQueryRejectedError as error:
            raise WorkflowEnded from error
        except (TimeoutError, WorkflowQueryFailedError) as error:
            raise _no_worker() from error
        except RPCError as error:
            if error.status in (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.DEADLINE_EXCEEDED):
                raise _no_worker() from error
            raise translated(error) from error
        except Exception as error:
            raise translated(error) from error

    async def signal(self, workflow_id: str, signal: Any, message: object) -> None:
        """Send a signal. Raises WorkflowEnded when there is no such workflow any more."""
        try:
            await within(ACCEPT_TIMEOUT_S, self._link.client.get_workflow_handle(workflow_id).signal(signal, message))
        except Exception as error:
            raise translated(error) from error

    async def _require_accepted(self, workflow_id: str, update_id: str) -> None:
        """Return once the update is written in the workflow's history; an update that is only waiting is not."""
        client = self._link.client
        await client.workflow_service.poll_workflow_execution_update(
            PollWorkflowExecutionUpdateRequest(
                namespace=client.namespace,
                update_ref=UpdateRef(
                    workflow_execution=WorkflowExecution(workflow_id=workflow_id), update_id=update_id
                ),
                wait_policy=WaitPolicy(lifecycle_stage=Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED),
            ),
            timeout=timedelta(seconds=ACCEPT_TIMEOUT_S * 2),
        )


async def _look_at(start: WithStartWorkflowOperation[Any, Any]) -> None:
    """Take note of how the start went, so that asyncio does not report an error that nobody looked at."""
    with suppress(asyncio.CancelledError, Exception):
        await within(ACCEPT_TIMEOUT_S, start.workflow_handle())


def _is_started_already(error: Exception) -> bool:
    """Tell whether the start was done by an earlier try of the same call.

    A busy server breaks off the update; the SDK tries both again, and then there is nothing to start.
    """
    return isinstance(error, RPCError) and error.status is RPCStatusCode.UNAVAILABLE and "StartDeduped" in error.message


def _no_worker() -> Problem:
    return Problem(problems.NO_WORKER, "No worker answered in time.", headers=RETRY_AFTER)


def translated(error: Exception) -> Exception:
    """Return what an error of the SDK means to a caller of the API."""
    match error:
        case Problem():
            return error
        case WorkflowUpdateFailedError(cause=ApplicationError(type=code) as cause) if code:
            if code == "AcceptedUpdateCompletedWorkflow":
                return WorkflowEnded()
            return Refused(code, cause.message, next((str(detail) for detail in cause.details), None))
        case WorkflowAlreadyStartedError() | RPCError(status=RPCStatusCode.NOT_FOUND):
            return WorkflowEnded()
        case RPCError(status=RPCStatusCode.RESOURCE_EXHAUSTED):
            return Problem(problems.OVERLOADED, "The workflow engine is at its limit.", headers=RETRY_AFTER)
        case RPCError() | RPCTimeoutOrCancelledError() | TimeoutError():
            log.warning("temporal did not answer", error=type(error).__name__, reason=str(error))
            return Problem(
                problems.ENGINE_UNAVAILABLE,
                "The workflow engine did not answer in time; whether the request was taken is not known.",
                headers=RETRY_AFTER,
            )
    return error
