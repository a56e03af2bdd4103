"""Calls to card gateways.

A step forward makes its first call locally while the gateway answers fast (see `fast_lane`); every other call is an ordinary
activity, so that an operator sees it, its attempts and its last failure.

Invariant: nothing is sent twice blindly. A second attempt (the first was lost with its worker, or timed out) inquires with the
same key before it sends; a local call is made once, and only for a request that was never made before. An unknown outcome fails
as OUTCOME_UNKNOWN: a step forward takes that as final, asks with `inquire` and decides in the workflow; a compensation simply
tries again, since its next attempt asks first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.fast_lane import FAST_CALL_S, FastLane
from activities.gateway_port import (
    AuthorizeRequest,
    CaptureRequest,
    CardGateway,
    GatewayError,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayResult,
    GatewayUnavailable,
    RefundRequest,
    ReverseRequest,
    VoidRequest,
)

OUTCOME_UNKNOWN = "GatewayOutcomeUnknown"
"""Failure type: the request may have taken effect. Ask before anything else."""

REJECTED = "GatewayRejected"
"""Failure type: the gateway will never accept this request, and did nothing."""

UNAVAILABLE = "GatewayUnavailable"
"""Failure type: nothing was sent; it is retried."""

LANE_CLOSED = "FastLaneClosed"
"""Failure type of a local call: nothing was sent, because the gateway is slow at the moment. Call it as an ordinary activity."""

UNAVAILABLE_RETRY_AFTER = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What to ask a gateway about: the key of an earlier request."""

    gateway: str
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A gateway's memory of a request: its result, or None when it never saw it."""

    result: GatewayResult | None


def _failure(error: GatewayError) -> ApplicationError:
    match error:
        case GatewayOutcomeUnknown():
            return ApplicationError(str(error), type=OUTCOME_UNKNOWN)
        case GatewayRejected():
            return ApplicationError(str(error), error.code, type=REJECTED, non_retryable=True)
        case GatewayUnavailable():
            return ApplicationError(str(error), type=UNAVAILABLE)
    return ApplicationError(str(error), type=type(error).__name__)


class GatewayActivities:
    """Card gateways by name. Raises ApplicationError of type OUTCOME_UNKNOWN, REJECTED or UNAVAILABLE."""

    def __init__(self, gateways: Mapping[str, CardGateway], lane: FastLane | None = None) -> None:
        self._gateways = gateways
        self._lane = lane or FastLane()

    def _named(self, gateway: str) -> CardGateway:
        try:
            return self._gateways[gateway]
        except KeyError:
            known = ", ".join(sorted(self._gateways))
            raise ApplicationError(
                f"No gateway is named {gateway!r}; this worker knows: {known}.", type=REJECTED, non_retryable=True
            ) from None

    async def _send(
        self, name: str, key: str, send: Callable[[CardGateway], Awaitable[GatewayResult]]
    ) -> GatewayResult:
        gateway = self._named(name)
        try:
            if activity.info().is_local:
                if not self._lane.is_open(name):
                    raise ApplicationError(f"{name} is slow at the moment.", type=LANE_CLOSED, non_retryable=True)
                return await self._send_at_once(name, send(gateway))
            if activity.info().attempt > 1 and (seen := await gateway.inquire(key)) is not None:
                return seen
            return await send(gateway)
        except GatewayError as error:
            raise _failure(error) from error

    async def _send_at_once(self, name: str, sending: Awaitable[GatewayResult]) -> GatewayResult:
        try:
            async with asyncio.timeout(FAST_CALL_S):
                return await sending
        except TimeoutError:
            self._lane.close(name)
            raise GatewayOutcomeUnknown(f"no answer within {FAST_CALL_S:g} s") from None
        except (GatewayOutcomeUnknown, GatewayUnavailable):
            self._lane.close(name)
            raise

    @activity.defn
    async def authorize(self, gateway: str, request: AuthorizeRequest) -> GatewayResult:
        """Authorize a payment, and capture it at once when asked to."""
        return await self._send(gateway, request.key, lambda port: port.authorize(request))

    @activity.defn
    async def capture(self, gateway: str, request: CaptureRequest) -> GatewayResult:
        """Capture part or all of an authorization."""
        return await self._send(gateway, request.key, lambda port: port.capture(request))

    @activity.defn
    async def void(self, gateway: str, request: VoidRequest) -> GatewayResult:
        """Release what is left of an authorization."""
        return await self._send(gateway, request.key, lambda port: port.void(request))

    @activity.defn
    async def refund(self, gateway: str, request: RefundRequest) -> GatewayResult:
        """Give back part or all of what was captured."""
        return await self._send(gateway, request.key, lambda port: port.refund(request))

    @activity.defn
    async def reverse(self, gateway: str, request: ReverseRequest) -> GatewayResult:
        """Undo an earlier request, or bar it if it has not arrived."""
        return await self._send(gateway, request.key, lambda port: port.reverse(request))

    @activity.defn
    async def inquire(self, inquiry: Inquiry) -> Answer:
        """Ask what became of an earlier request. Fails retryably while the gateway does not answer."""
        try:
            return Answer(await self._named(inquiry.gateway).inquire(inquiry.key))
        except GatewayError as error:
            raise ApplicationError(str(error), type=OUTCOME_UNKNOWN) from error
