"""One request to a gateway, carried to a definite answer.

Invariant: a request whose outcome is unknown is asked about before it is sent again, and always goes out under the same key. A
workflow task that was lost may have sent it: who cannot rule that out asks first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from activities.gateway import LANE_CLOSED, OUTCOME_UNKNOWN, UNAVAILABLE, GatewayActivities, Inquiry
from activities.gateway_port import GatewayResult
from workflows.policies import (
    COMPENSATION_RETRY,
    FAST_CALL_TIMEOUT,
    GATEWAY_CALL_TIMEOUT,
    GATEWAY_RETRY,
    INQUIRY_RETRY,
    MAX_RESENDS,
    ONCE,
)

GatewayMethod = Callable[[GatewayActivities, str, Any], Awaitable[GatewayResult]]
"""A gateway activity: it takes the gateway's name and a request that has a `key`."""

NOTHING_SENT = (LANE_CLOSED, UNAVAILABLE)
"""Failure types of a local call after which the request is sent by an ordinary activity."""


def _cause_of(failure: FailureError) -> BaseException | None:
    """Return why an activity failed: an ordinary one's failure holds the cause, a local one's is the cause."""
    return failure.cause if isinstance(failure, ActivityError) else failure


def _type_of(failure: FailureError) -> str | None:
    match _cause_of(failure):
        case ApplicationError(type=kind):
            return kind
        case TemporalTimeoutError():
            return OUTCOME_UNKNOWN
    return None


class GatewayCall:
    """One request, `method` with `request` to `gateway`, shown to operators as `summary`.

    `on_unknown` is told when no answer came, before the gateway is asked; `on_wait` when it takes long enough for an operator to
    see it.
    """

    def __init__(
        self,
        method: GatewayMethod,
        gateway: str,
        request: Any,
        summary: str,
        on_unknown: Callable[[str], Awaitable[None]],
        on_wait: Callable[[], None],
    ) -> None:
        self._method = method
        self._gateway = gateway
        self._request = request
        self._summary = summary
        self._on_unknown = on_unknown
        self._on_wait = on_wait
        self._lost = 0

    async def send(self, *, first: bool) -> GatewayResult:
        """Send the request and return its definite answer, however long it takes to learn it.

        With `first`, it was certainly never sent before: it is made within this workflow task, if the gateway is fast. Otherwise
        the gateway is asked before anything is sent. Raises the activity's failure (rejected, unreachable, cancelled), or
        ApplicationError of type OUTCOME_UNKNOWN when the outcome could not be learned.
        """
        if first and (result := await self._send_at_once()) is not None:
            return result
        self._on_wait()
        while True:
            if (self._lost or not first) and (result := await self._inquire()) is not None:
                return result
            if self._lost > MAX_RESENDS:
                break
            if (result := await self._send_visibly()) is not None:
                return result
        raise ApplicationError(
            f"{self._gateway} neither answered nor remembers {self._request.key}, after {MAX_RESENDS} resends.",
            type=OUTCOME_UNKNOWN,
            non_retryable=True,
        )

    async def _send_at_once(self) -> GatewayResult | None:
        """Return the answer; None when there was none, or when nothing was sent."""
        try:
            return await workflow.execute_local_activity_method(
                self._method,
                args=[self._gateway, self._request],
                start_to_close_timeout=FAST_CALL_TIMEOUT,
                retry_policy=ONCE,
                summary=self._summary,
            )
        except FailureError as failure:
            if _type_of(failure) not in NOTHING_SENT:
                await self._note_lost(failure)
            return None

    async def _send_visibly(self) -> GatewayResult | None:
        """Return the answer; None when there was none."""
        try:
            return await workflow.execute_activity_method(
                self._method,
                args=[self._gateway, self._request],
                start_to_close_timeout=GATEWAY_CALL_TIMEOUT,
                retry_policy=GATEWAY_RETRY,
                summary=self._summary,
            )
        except ActivityError as failure:
            await self._note_lost(failure)
            return None

    async def _note_lost(self, failure: FailureError) -> None:
        """Count a request whose answer was lost; any other failure is raised."""
        if _type_of(failure) != OUTCOME_UNKNOWN:
            raise failure
        self._lost += 1
        await self._on_unknown(str(_cause_of(failure)))

    async def _inquire(self) -> GatewayResult | None:
        answer = await workflow.execute_activity_method(
            GatewayActivities.inquire,
            Inquiry(self._gateway, self._request.key),
            start_to_close_timeout=GATEWAY_CALL_TIMEOUT,
            retry_policy=INQUIRY_RETRY,
            summary=f"Ask {self._gateway} what became of it",
        )
        return answer.result


async def undo(method: GatewayMethod, gateway: str, request: Any, summary: str) -> GatewayResult:
    """Send a compensating request, tried for hours: it is idempotent, and each further attempt asks first."""
    return await workflow.execute_activity_method(
        method,
        args=[gateway, request],
        start_to_close_timeout=GATEWAY_CALL_TIMEOUT,
        retry_policy=COMPENSATION_RETRY,
        summary=summary,
    )
