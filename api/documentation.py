"""What every route says of itself in the OpenAPI document: its problems, headers, bodies and security.

Invariant: request bodies are read by hand (`api.body`), so their schemas are named here by reference and added to the document
by `api.openapi`; an answer that is not described here is not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from api import problems
from api.body import MAX_DEPTH
from api.identifiers import ACTOR_HEADER
from api.problems import MEDIA_TYPE, RETRY_AFTER_S, ProblemType
from infra.postgres.idempotency import MAX_KEY_LENGTH

Document = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]


class FieldErrorView(BaseModel):
    """What is wrong with one part of the request."""

    pointer: str = Field(description="JSON pointer into the body, or `/query/…`, `/header/…`.", examples=["/amount"])
    detail: str


class ProblemView(BaseModel):
    """An RFC 9457 problem."""

    type: str = Field(description="Stable; a page that explains it.", examples=["/problems/validation_failed"])
    title: str
    status: int
    code: str = Field(description="The last part of `type`; branch on this.", examples=["validation_failed"])
    detail: str = Field(description="What happened.")
    advice: str = Field(description="What to do next.")
    instance: str | None = Field(default=None, description="The path asked for.")
    trace_id: str = Field(description="Name it when you ask about this call.")
    errors: list[FieldErrorView] | None = None


READ_PROBLEMS = (
    problems.UNAUTHENTICATED,
    problems.NOT_FOUND,
    problems.VALIDATION_FAILED,
    problems.CARD_NUMBER_REFUSED,
    problems.DATABASE_UNAVAILABLE,
    problems.INTERNAL_ERROR,
)
"""What reading one thing can be answered with."""

LIST_PROBLEMS = (
    problems.UNAUTHENTICATED,
    problems.INVALID_CURSOR,
    problems.VALIDATION_FAILED,
    problems.CARD_NUMBER_REFUSED,
    problems.DATABASE_UNAVAILABLE,
    problems.INTERNAL_ERROR,
)
"""What a list can be answered with."""

BODY_PROBLEMS = (
    problems.MALFORMED_REQUEST,
    problems.UNAUTHENTICATED,
    problems.REQUEST_TIMEOUT,
    problems.BODY_TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.VALIDATION_FAILED,
    problems.CARD_NUMBER_REFUSED,
    problems.DATABASE_UNAVAILABLE,
    problems.INTERNAL_ERROR,
)
"""What every call with a body can be answered with."""

MONEY_PROBLEMS = (
    *BODY_PROBLEMS,
    problems.IDEMPOTENCY_KEY_MISSING,
    problems.IDEMPOTENCY_KEY_REUSED,
    problems.IDEMPOTENCY_KEY_IN_FLIGHT,
    problems.PAYMENT_INTERRUPTED,
    problems.OVERLOADED,
    problems.ENGINE_UNAVAILABLE,
)
"""What every call that moves money can be answered with."""

COMMAND_PROBLEMS = (
    *MONEY_PROBLEMS,
    problems.NOT_FOUND,
    problems.ILLEGAL_TRANSITION,
    problems.TOO_MANY_COMMANDS,
    problems.NO_WORKER,
)
"""What every command to something that exists can be answered with."""

TRACE_HEADER: Document = {
    "Trace-Id": {"description": "The trace of this call.", "required": True, "schema": {"type": "string"}}
}
_RETRY_HEADER: Document = {
    "Retry-After": {"description": "Seconds.", "schema": {"type": "string"}, "example": str(RETRY_AFTER_S)}
}
_LOCATION_HEADER: Document = {"Location": {"description": "Path of the resource.", "schema": {"type": "string"}}}
_REPLAYED_HEADER: Document = {
    "Idempotent-Replayed": {
        "description": "`true` when this is the stored answer of an earlier call.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}

_IDEMPOTENCY_KEY: Document = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A new UUID for each new request, the same when repeating it. Kept for 30 days. No example is given, as a "
    "key that many use belongs to the first request that came with it.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!-~]+$"},
}
OPTIONAL_IDEMPOTENCY_KEY: Document = {
    **_IDEMPOTENCY_KEY,
    "required": False,
    "description": "Names what the call makes, when the body does not.",
}
_PREFER: Document = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=N`: answer within N seconds, if need be with 202 while the work goes on (RFC 7240).",
    "schema": {"type": "string"},
    "example": "wait=5",
}
ACTOR: Document = {
    "name": ACTOR_HEADER,
    "in": "header",
    "required": True,
    "description": "Who decides, for the timeline: a name or an id.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "example": "ops-17",
}

LOAN_ACTOR: Document = {
    **ACTOR,
    "description": "Which of the lender's people acts: a name or an id. Whoever approves a proposal must be another one than "
    "whoever made it.",
}


def problems_of(*kinds: ProblemType) -> Responses:
    """Describe the problems a route can answer with; those of one status share a description with an example each."""
    described: Responses = {}
    for kind in dict.fromkeys(kinds):
        response = described.setdefault(
            kind.status,
            {
                "description": "",
                "headers": dict(TRACE_HEADER),
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}, "examples": {}}},
            },
        )
        response["description"] = f"{response['description']}\n- `{kind.code}`: {kind.title}".strip()
        response["content"][MEDIA_TYPE]["examples"][kind.code] = {"summary": kind.title, "value": _example(kind)}
        if kind.status in (409, 429, 503):
            response["headers"].update(_RETRY_HEADER)
    return described


def _example(kind: ProblemType) -> Document:
    return {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": kind.meaning,
        "advice": kind.advice,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }


def _links(parameter: str, operations: tuple[str, ...]) -> Document:
    """Say which operations take the id that an answer holds."""
    return {
        operation: {"operationId": operation, "parameters": {parameter: "$response.body#/id"}}
        for operation in operations
    }


PAYMENT_LINKS = _links(
    "payment_id",
    (
        "get_payment",
        "confirm_payment",
        "capture_payment",
        "cancel_payment",
        "get_live_payment",
        "get_payment_timeline",
        "create_refund",
        "list_refunds",
        "review_payment",
    ),
)
REFUND_LINKS = _links("refund_id", ("get_refund", "review_refund"))
ACCOUNT_LINKS = _links("account_id", ("get_account", "get_balances", "list_entries", "close_account"))

LOAN_LINKS = _links(
    "loan_id",
    (
        "get_loan",
        "accept_loan_offer",
        "withdraw_loan_application",
        "get_loan_schedule",
        "get_loan_timeline",
        "get_live_loan",
        "list_loan_proposals",
        "repay_loan",
        "quote_loan_payoff",
    ),
)
CLOCK_LINKS = _links("clock_id", ("get_test_clock", "advance_test_clock"))


def answers(
    status: int, description: str, *, location: bool = False, replayed: bool = False, links: Document | None = None
) -> Responses:
    """Describe a success."""
    headers = {
        **TRACE_HEADER,
        **(_LOCATION_HEADER if location else {}),
        **(_REPLAYED_HEADER if replayed else {}),
    }
    answer: Document = {"description": description, "headers": headers}
    if links is not None:
        answer["links"] = links
    return {status: answer}


def accepted(schema: type[BaseModel]) -> Responses:
    """Describe a 202."""
    return {
        202: {
            "description": "The wait is over and the work goes on. Repeat the call with the same key, or read `Location`.",
            "headers": {**TRACE_HEADER, **_LOCATION_HEADER, **_RETRY_HEADER},
            "model": schema,
        }
    }


def described(
    body: type[BaseModel] | None = None,
    *,
    optional_body: bool = False,
    moves_money: bool = False,
    parameters: tuple[Mapping[str, Any], ...] = (),
) -> Document:
    """Describe what FastAPI cannot see in a route's signature: its body, headers and security."""
    described: Document = {"security": [{"apiKey": []}]}
    headers = [*parameters, *((_IDEMPOTENCY_KEY, _PREFER) if moves_money else ())]
    if headers:
        described["parameters"] = headers
    if body is not None:
        described["requestBody"] = {
            "required": not optional_body,
            "description": f"JSON in UTF-8, nested at most {MAX_DEPTH} deep.",
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}},
        }
    return described
