"""One log line for each call to the outside, and one for each attempt of any activity that fails.

Invariant: a line carries the trace and the payment it belongs to, and what an error says, never what an activity was given:
arguments hold the customer's data. Database steps that succeed are not logged, the timeline has them; nor is a call that was
not made because its fast lane is closed.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.gateway import LANE_CLOSED, GatewayActivities

_CALLS = frozenset(name for name in vars(GatewayActivities) if not name.startswith("_"))
"""Calls to the outside that may be local activities; all others that are local are steps in the database."""

_OWNERS = {"pay": "payment_id", "re": "refund_id", "ln": "loan_id"}
"""What a workflow's id is the id of, by its prefix (`domain/ids.py`)."""

log = structlog.get_logger(__name__)


class ActivityLog(Interceptor):
    """Give it to the worker; behind the client's tracing, so that its lines stand in the activity's span."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's
        """Log what runs through."""
        return _LoggedActivity(next)


class _LoggedActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's
        info, began = activity.info(), time.perf_counter()
        try:
            if info.is_local and info.activity_type not in _CALLS:
                return await super().execute_activity(input)
            with _owner(info):
                result = await super().execute_activity(input)
                log.info("activity done", **_facts(info, began))
                return result
        except Exception as error:
            if not (isinstance(error, ApplicationError) and error.type == LANE_CLOSED):
                _log_failure(info, began, error)
            raise


def _log_failure(info: activity.Info, began: float, error: Exception) -> None:
    expected = isinstance(error, ApplicationError)
    with _owner(info):
        log.warning(
            "activity failed",
            **_facts(info, began),
            error=error.type if isinstance(error, ApplicationError) else type(error).__name__,
            reason=str(error),
            exc_info=None if expected else error,
        )


def _owner(info: activity.Info) -> AbstractContextManager[Any]:
    """Name in each line what the activity is for."""
    name = _OWNERS.get((info.workflow_id or "").partition("_")[0], "workflow_id")
    return structlog.contextvars.bound_contextvars(**{name: info.workflow_id})


def _facts(info: activity.Info, began: float) -> dict[str, Any]:
    elapsed_ms = round((time.perf_counter() - began) * 1000, 1)
    return {"activity": info.activity_type, "attempt": info.attempt, "elapsed_ms": elapsed_ms}
