"""Faults on demand: what the bank does wrong, how often, and to which requests.

Invariant: a fault changes when and whether an answer is heard, never what was recorded. "Before" faults happen with
nothing done, "after" faults with everything done. Rules live in memory: a bank that restarts is healthy.

    timeout_before, timeout_after                  never answers; holds the connection until the client gives up
    error_5xx_before, error_5xx_after              answers 503, 500
    connection_drop_before, connection_drop        cuts the connection (the second after doing the work)
    slow                                           waits, then works and answers: an inquiry meanwhile finds nothing
    duplicate                                      receives the request twice and answers the second copy
    in_progress                                    does the work, but answers 409 as to a duplicate of a running request
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from infra.bank.connection import cut, hold_until_client_leaves
from infra.bank.errors import Refusal
from infra.bank.messages import MAX_FAULT_DELAY_S, MAX_FAULT_TIMES, Message

MAX_RULES = 100
DEFAULT_DELAY_S = 1.0
JSON = "application/json"


class FaultKind(StrEnum):
    """What goes wrong."""

    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    ERROR_5XX_BEFORE = "error_5xx_before"
    ERROR_5XX_AFTER = "error_5xx_after"
    CONNECTION_DROP_BEFORE = "connection_drop_before"
    CONNECTION_DROP = "connection_drop"
    SLOW = "slow"
    DUPLICATE = "duplicate"
    IN_PROGRESS = "in_progress"


class FaultyOperation(StrEnum):
    """Which requests it happens to; `any` is all of them."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    REVERSAL = "reversal"
    INQUIRY = "inquiry"
    TOKENIZATION = "tokenization"
    CHALLENGE = "challenge"
    PAYOUT = "payout"
    COLLECTION = "collection"
    SCREENING = "screening"
    ANY = "any"


class FaultOrder(Message):
    """A fault to arm: for `times` requests (None: until cleared) whose reference begins with `match`.

    An inquiry is matched by its key, which begins with the reference by convention.
    """

    operation: FaultyOperation
    kind: FaultKind
    times: int | None = Field(default=1, ge=1, le=MAX_FAULT_TIMES)
    delay_s: float = Field(default=DEFAULT_DELAY_S, ge=0, le=MAX_FAULT_DELAY_S)
    match: str | None = Field(default=None, max_length=200)


@dataclass(slots=True)
class Rule:
    """An armed fault, how often it is still due, and how often it struck."""

    order: FaultOrder
    remaining: int | None
    struck: int = 0

    def concerns(self, operation: FaultyOperation, reference: str) -> bool:
        """Tell whether this rule is due for such a request."""
        return (
            self.order.operation in (operation, FaultyOperation.ANY)
            and self.remaining != 0
            and (self.order.match is None or reference.startswith(self.order.match))
        )

    def describe(self) -> dict[str, Any]:
        """Return the rule as JSON shows it."""
        return {**self.order.model_dump(), "remaining": self.remaining, "struck": self.struck}


class Faults:
    """The armed faults, first armed first struck."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def arm(self, order: FaultOrder) -> Rule:
        """Add a fault; raises Refusal 409 `too_many_faults`."""
        if len(self._rules) >= MAX_RULES:
            raise Refusal(409, "too_many_faults", "Clear the faults first.")
        rule = Rule(order, order.times)
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget all faults."""
        self._rules.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Return all rules, spent ones included: `struck` tells a test that its fault happened."""
        return [rule.describe() for rule in self._rules]

    async def apply(
        self, operation: FaultyOperation, reference: str, request: Request, work: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Answer a request, doing wrong what is due to go wrong with it."""
        for rule in self._rules:
            if rule.concerns(operation, reference):
                rule.struck += 1
                if rule.remaining is not None:
                    rule.remaining -= 1
                return await _strike(rule.order, request, work)
        return await work()


async def _strike(order: FaultOrder, request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
    match order.kind:
        case FaultKind.TIMEOUT_BEFORE:
            return await hold_until_client_leaves(request)
        case FaultKind.TIMEOUT_AFTER:
            await work()
            return await hold_until_client_leaves(request)
        case FaultKind.CONNECTION_DROP_BEFORE:
            return await cut(request)
        case FaultKind.CONNECTION_DROP:
            await work()
            return await cut(request)
        case FaultKind.ERROR_5XX_BEFORE:
            return problem(503, "fault", "The bank failed on demand before doing the work.")
        case FaultKind.ERROR_5XX_AFTER:
            await work()
            return problem(500, "fault", "The bank failed on demand after doing the work.")
        case FaultKind.SLOW:
            await asyncio.sleep(order.delay_s)
            return await work()
        case FaultKind.DUPLICATE:
            _, second = await asyncio.gather(work(), work())
            return second
        case FaultKind.IN_PROGRESS:
            await work()
            return problem(409, "in_progress", "A request with this key is being carried out.")


def problem(status: int, code: str, detail: str) -> Response:
    """Answer with a stable code and words for a person."""
    return Response(orjson.dumps({"code": code, "detail": detail}), status, media_type=JSON)
