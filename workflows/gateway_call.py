"""One request to a gateway, carried to a definite answer.

Invariant: a request whose outcome is unknown is asked about before it is sent again, and always goes out under the same key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from activities.gateway import OUTCOME_UNKNOWN, GatewayActivities, Inquiry
from activities.gateway_port import GatewayResult
from workflows.policies import COMPENSATION_RETRY, GATEWAY_CALL_TIMEOUT, GATEWAY_RETRY, INQUIRY_RETRY, MAX_RESENDS

GatewayMethod = Callable[[GatewayActivities, str, Any], Awaitable[GatewayResult]]
"""A gateway activity: it takes the gateway's name and a request that has a `key`."""


def _is_unknown(error: ActivityError) -> bool:
    match error.cause:
        case ApplicationError(type=kind):
            return kind == OUTCOME_UNKNOWN
        case TemporalTimeoutError():
            return True
    return False


async def send(
    method: GatewayMethod,
    gateway: str,
    request: Any,
    summary: str,
    on_unknown: Callable[[str], Awaitable[None]],
) -> GatewayResult:
    """Send a request and return its definite answer, however long it takes to learn it.

    `on_unknown` is told when no answer came, before the gateway is asked. Raises ActivityError (rejected, unreachable,
    cancelled), or ApplicationError of type OUTCOME_UNKNOWN when the outcome could not be learned.
    """
    for _ in range(1 + MAX_RESENDS):
        try:
            return await workflow.execute_activity_method(
                method,
                args=[gateway, request],
                start_to_close_timeout=GATEWAY_CALL_TIMEOUT,
                retry_policy=GATEWAY_RETRY,
                summary=summary,
            )
        except ActivityError as error:
            if not _is_unknown(error):
                raise
            await on_unknown(str(error.cause))
        answer = await workflow.execute_activity_method(
            GatewayActivities.inquire,
            Inquiry(gateway, request.key),
            start_to_close_timeout=GATEWAY_CALL_TIMEOUT,
            retry_policy=INQUIRY_RETRY,
            summary=f"Ask {gateway} what became of it",
        )
        if answer.result is not None:
            return answer.result
    raise ApplicationError(
        f"{gateway} neither answered nor remembers {request.key}, after {MAX_RESENDS} resends.",
        type=OUTCOME_UNKNOWN,
        non_retryable=True,
    )


async def undo(method: GatewayMethod, gateway: str, request: Any, summary: str) -> GatewayResult:
    """Send a compensating request, tried for hours: it is idempotent, and each further attempt asks first."""
    return await workflow.execute_activity_method(
        method,
        args=[gateway, request],
        start_to_close_timeout=GATEWAY_CALL_TIMEOUT,
        retry_policy=COMPENSATION_RETRY,
        summary=summary,
    )
