"""A call that moves money, carried out once however often it is sent.

Invariant: such a call has an Idempotency-Key. Its answer is stored when it is a success; repeated, it is answered from there.
Everything else is not stored: a 202 or a 5xx leaves the key to the next caller, who is led to the same work by the ids made
from it, and a refusal before anything was begun frees the key altogether.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.body import JsonBody, read_json
from api.json_answers import to_json
from api.problems import RETRY_AFTER, FieldError, Problem
from api.services import Services, services_of
from infra.postgres.idempotency import MAX_KEY_LENGTH, Claim, ClaimOutcome, StoredAnswer

log = structlog.get_logger(__name__)

LEASE_MARGIN_S = 5.0
"""How long after the end of its wait a caller is still taken to be alive."""

_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_LENGTH}}}")
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])")


@dataclass(frozen=True, slots=True)
class MoneyCall:
    """One call: whose it is, its key, what it asks, and how long the client waits."""

    tenant_id: str
    key: str
    fingerprint: bytes
    body: JsonBody
    wait_s: int
    trace_id: str


@dataclass(frozen=True, slots=True)
class Done:
    """A success, with its status, view and the path of the resource it made."""

    view: dict[str, Any]
    status: int = 200
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The work goes on after the wait. `unwritten_id` names a resource that may have no row yet."""

    view: dict[str, Any]
    location: str
    unwritten_id: str | None = None


class NothingBegun(Exception):
    """A refusal before any work began, so that the key is free again."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


Work = Callable[[Claim], Awaitable[Done | Accepted]]


async def receive(request: Request, *, optional_body: bool = False) -> MoneyCall:
    """Authenticate and read a call. Raises Problem: 400, 401, 408, 413, 415, 422, 503."""
    services = services_of(request)
    services.in_flight.require_room()
    tenant_id = await services.authenticator.tenant_of(request)
    key = _key_of(request)
    body = await read_json(request, services.settings.api_body_max_bytes, optional=optional_body)
    asked = f"{request.method} {request.url.path}\n".encode() + body.canonical
    return MoneyCall(
        tenant_id,
        key,
        hashlib.sha256(asked).digest(),
        body,
        _wait_of(request, services),
        request.scope["clearhold.trace_id"],
    )


def _key_of(request: Request) -> str:
    key = optional_key_of(request) if request.headers.get("idempotency-key") else None
    if key is None:
        error = FieldError("/header/Idempotency-Key", "The header is missing.")
        raise Problem(problems.IDEMPOTENCY_KEY_MISSING, "The header `Idempotency-Key` is missing.", errors=[error])
    return key


def optional_key_of(request: Request) -> str | None:
    """Return the call's Idempotency-Key, or None without one. Raises Problem 400 for a malformed one."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or _KEY.fullmatch(keys[0]) is None:
        rule = f"Send one key of 1 to {MAX_KEY_LENGTH} visible ASCII characters, such as a UUID."
        raise Problem(problems.MALFORMED_REQUEST, rule, errors=[FieldError("/header/Idempotency-Key", rule)])
    return keys[0]


def _wait_of(request: Request, services: Services) -> int:
    """Read `Prefer: wait=N` (RFC 7240), bounded by the settings; what cannot be read is ignored, as the RFC has it."""
    match = _WAIT.search(",".join(request.headers.getlist("prefer")).lower())
    if match is None:
        return services.settings.api_wait_default_s
    return min(int(match[1]), services.settings.api_wait_max_s)


async def carry_out(
    services: Services, call: MoneyCall, work: Work, *, payment_id: str | None = None, refund_id: str | None = None
) -> Response:
    """Claim the key, do the work and keep its answer; or give the stored one.

    With `payment_id`, the payment must be the tenant's. Raises Problem: 404, 409 in flight, 422 reused, 503 when too many calls
    are under way, and what `work` raises.
    """
    with services.in_flight.admit():
        return await _carry_out(services, call, work, payment_id, refund_id)


async def _carry_out(
    services: Services, call: MoneyCall, work: Work, payment_id: str | None, refund_id: str | None
) -> Response:
    lease = timedelta(seconds=call.wait_s + LEASE_MARGIN_S)
    claim = await services.keys.claim(
        call.tenant_id, call.key, call.fingerprint, lease, payment_id=payment_id, refund_id=refund_id
    )
    match claim.outcome:
        case ClaimOutcome.ANSWERED if claim.answer is not None:
            return _respond(claim.answer, {"Idempotent-Replayed": "true"})
        case ClaimOutcome.REUSED:
            raise Problem(problems.IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key came with another request before.")
        case ClaimOutcome.IN_FLIGHT:
            raise Problem(
                problems.IDEMPOTENCY_KEY_IN_FLIGHT,
                "A call with this Idempotency-Key has not been answered yet.",
                headers=RETRY_AFTER,
            )
        case ClaimOutcome.NOT_FOUND:
            raise problems.not_found("payment", payment_id)
    try:
        result = await work(claim)
    except NothingBegun as refusal:
        with suppress(psycopg.Error, PoolTimeout):
            await services.keys.forget(call.tenant_id, call.key)
        raise refusal.problem from None
    except Exception:
        with suppress(psycopg.Error, PoolTimeout):  # the lease ends by itself
            await services.keys.release(call.tenant_id, call.key)
        raise
    _note(result, call.trace_id)
    if isinstance(result, Accepted):
        return await _accept(services, call, result)
    answer = StoredAnswer(result.status, result.location, to_json(result.view))
    await services.keys.answer(call.tenant_id, call.key, answer)
    return _respond(answer, {})


def _note(result: Done | Accepted, trace_id: str) -> None:
    """Write one log line for what a call did, under the ids by which the other processes log it."""
    view, event = result.view, "call accepted" if isinstance(result, Accepted) else "call carried out"
    named = {f"{view['object']}_id": view["id"]}
    if "payment" in view:
        named["payment_id"] = view["payment"]
    log.info(event, **named, status=view.get("status"), trace_id=trace_id)


async def _accept(services: Services, call: MoneyCall, accepted: Accepted) -> Response:
    body = to_json(accepted.view)
    unwritten = accepted.unwritten_id
    await services.keys.release(
        call.tenant_id, call.key, accepted_id=unwritten, accepted_body=None if unwritten is None else body
    )
    headers = {"Location": accepted.location, "Preference-Applied": f"wait={call.wait_s}", **RETRY_AFTER}
    return Response(body, 202, headers, "application/json")


def _respond(answer: StoredAnswer, headers: dict[str, str]) -> Response:
    if answer.location is not None:
        headers["Location"] = answer.location
    return Response(answer.body, answer.status, headers, "application/json")
