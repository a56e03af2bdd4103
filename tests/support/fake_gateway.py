"""A card gateway in memory, with faults on demand: it keeps its promises (idempotency, bars, inquiry) like a real one."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from activities.gateway_port import (
    AuthorizeRequest,
    CaptureMode,
    CaptureRequest,
    GatewayOperation,
    GatewayOutcome,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayResult,
    GatewayUnavailable,
    RefundRequest,
    ReverseRequest,
    VoidRequest,
)


class Fault(StrEnum):
    UNAVAILABLE = "unavailable"
    LOST_BEFORE = "lost_before"
    LOST_AFTER = "lost_after"
    REJECTED = "rejected"
    HANGS_BEFORE = "hangs_before"
    HANGS_AFTER = "hangs_after"


@dataclass
class Charge:
    """What the gateway holds of one authorization, in minor units."""

    authorized: int
    captured: int = 0
    refunded: int = 0
    open: bool = True


@dataclass
class FakeGateway:
    """`faults[operation]` is consumed one call at a time; `declines` maps a token to a decline code; a token `challenge`
    requires action until a challenge id comes with it."""

    faults: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    declines: dict[str, str] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    answers: dict[str, GatewayResult] = field(default_factory=dict)
    amounts: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    barred: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def net_captured(self) -> int:
        """What was taken and not given back."""
        return sum(charge.captured - charge.refunded for charge in self.charges.values())

    @property
    def still_authorized(self) -> int:
        """What is reserved at the issuer and not captured."""
        return sum(charge.authorized - charge.captured for charge in self.charges.values() if charge.open)

    async def authorize(self, request: AuthorizeRequest) -> GatewayResult:
        def work() -> GatewayResult:
            token = request.payment_method_token
            result = GatewayResult(
                GatewayOperation.AUTHORIZE, GatewayOutcome.APPROVED, f"ch_{request.key}", request.key,
                request.amount_minor, request.currency, "00", "authorized",
            )  # fmt: skip
            if request.key in self.barred:
                return replace(result, outcome=GatewayOutcome.DECLINED, gateway_reference=None, decline_code="reversed")
            if token in self.declines:
                code = self.declines[token]
                return replace(result, outcome=GatewayOutcome.DECLINED, gateway_reference=None, decline_code=code)
            if token == "challenge" and request.challenge_id is None:
                return replace(
                    result, outcome=GatewayOutcome.REQUIRES_ACTION, gateway_reference=None, challenge_id="ch_1"
                )
            sale = request.capture is CaptureMode.AUTOMATIC
            taken = request.amount_minor if sale else 0
            self.charges[f"ch_{request.key}"] = Charge(request.amount_minor, taken, open=not sale)
            self.amounts[request.key] = ("authorize", f"ch_{request.key}", request.amount_minor)
            return result

        return await self._do("authorize", request.key, work)

    async def capture(self, request: CaptureRequest) -> GatewayResult:
        def work() -> GatewayResult:
            charge = self.charges[request.gateway_reference]
            result = self._result(GatewayOperation.CAPTURE, request, request.amount_minor)
            if not charge.open or charge.authorized - charge.captured < request.amount_minor:
                return replace(result, outcome=GatewayOutcome.DECLINED, decline_code="authorization_closed")
            charge.captured += request.amount_minor
            charge.open = not request.final
            self.amounts[request.key] = ("capture", request.gateway_reference, request.amount_minor)
            return result

        return await self._do("capture", request.key, work)

    async def void(self, request: VoidRequest) -> GatewayResult:
        def work() -> GatewayResult:
            self.charges[request.gateway_reference].open = False
            return self._result(GatewayOperation.VOID, request, 0)

        return await self._do("void", request.key, work)

    async def refund(self, request: RefundRequest) -> GatewayResult:
        def work() -> GatewayResult:
            charge = self.charges[request.gateway_reference]
            result = self._result(GatewayOperation.REFUND, request, request.amount_minor)
            if charge.captured - charge.refunded < request.amount_minor:
                return replace(result, outcome=GatewayOutcome.DECLINED, decline_code="refund_exceeds_captured")
            charge.refunded += request.amount_minor
            return result

        return await self._do("refund", request.key, work)

    async def reverse(self, request: ReverseRequest) -> GatewayResult:
        def work() -> GatewayResult:
            self.barred.add(request.original_key)
            kind, reference, amount = self.amounts.get(request.original_key, ("", "", 0))
            if kind == "authorize":
                charge = self.charges[reference]
                charge.open, charge.refunded = False, charge.captured
            elif kind == "capture":
                self.charges[reference].refunded += amount
            return GatewayResult(
                GatewayOperation.REVERSAL, GatewayOutcome.APPROVED, reference, request.key, amount, "", "00", "reversed"
            )

        return await self._do("reverse", request.key, work)

    async def inquire(self, key: str) -> GatewayResult | None:
        self.calls.append("inquire")
        if self.faults["inquire"]:
            self.faults["inquire"].popleft()
            raise GatewayOutcomeUnknown("no answer to the inquiry")
        return self.answers.get(key)

    def _result(self, operation: GatewayOperation, request: Any, amount: int) -> GatewayResult:
        return GatewayResult(
            operation, GatewayOutcome.APPROVED, request.gateway_reference, request.key, amount, "", "00", operation
        )

    async def _do(self, name: str, key: str, work: Callable[[], GatewayResult]) -> GatewayResult:
        self.calls.append(name)
        self.reached.set()
        fault = self.faults[name].popleft() if self.faults[name] else None
        match fault:
            case Fault.UNAVAILABLE:
                raise GatewayUnavailable("connection refused")
            case Fault.REJECTED:
                raise GatewayRejected("malformed", "the request is wrong", 400)
            case Fault.LOST_BEFORE:
                raise GatewayOutcomeUnknown("timed out")
            case Fault.HANGS_BEFORE:
                await asyncio.Event().wait()
        if key not in self.answers:
            self.answers[key] = work()
        if fault is Fault.LOST_AFTER:
            raise GatewayOutcomeUnknown("timed out")
        if fault is Fault.HANGS_AFTER:
            await asyncio.Event().wait()
        return self.answers[key]
