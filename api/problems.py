"""Every way in which the API says no, as RFC 9457 problems.

Invariant: a problem's `type` (`/problems/<code>`) is stable and has a page; `detail` says what happened, `advice` what to do
next; neither ever repeats a card number, a secret, or anything internal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from starlette.responses import Response

from domain.errors import DomainError

MEDIA_TYPE = "application/problem+json"
MAX_FIELD_ERRORS = 20
"""Most entries of `errors` in one answer."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem. `meaning` and `advice` stand on its page; `advice` is also in each answer."""

    code: str
    status: int
    title: str
    meaning: str
    advice: str


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one part of a request; `pointer` is a JSON pointer into the body, or `/query/…`, `/header/…`."""

    pointer: str
    detail: str


class Problem(Exception):
    """A request is answered with a problem. `headers` are added to the answer."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        advice: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.advice = advice or kind.advice
        self.errors = tuple(errors[:MAX_FIELD_ERRORS])
        self.headers = dict(headers or {})

    def render(self, instance: str | None, trace_id: str) -> Response:
        """Return the answer; `instance` is the path asked for, or None when it must not be repeated."""
        members: dict[str, object] = {
            "type": f"/problems/{self.kind.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "code": self.kind.code,
            "detail": self.detail,
            "advice": self.advice,
        }
        if instance is not None:
            members["instance"] = instance
        members["trace_id"] = trace_id
        if self.errors:
            members["errors"] = [{"pointer": error.pointer, "detail": error.detail} for error in self.errors]
        return Response(orjson.dumps(members), self.kind.status, self.headers, MEDIA_TYPE)


CATALOGUE: dict[str, ProblemType] = {}
"""Every problem type by its code."""


def declare(code: str, status: int, title: str, meaning: str, advice: str) -> ProblemType:
    """Put a kind of problem into the catalogue, and return it."""
    CATALOGUE[code] = ProblemType(code, status, title, meaning, advice)
    return CATALOGUE[code]


# The request itself

MALFORMED_REQUEST = declare(
    "malformed_request",
    400,
    "The request cannot be read",
    "The body is no valid JSON in UTF-8, is nested too deeply, or holds a NUL character; or a header is malformed.",
    "Correct the request; nothing was done.",
)
INVALID_CURSOR = declare(
    "invalid_cursor",
    400,
    "The cursor is not one of ours",
    "A cursor is only valid as it came in `next_cursor`.",
    "Start again from the first page.",
)
IDEMPOTENCY_KEY_MISSING = declare(
    "idempotency_key_missing",
    400,
    "An Idempotency-Key is needed",
    "Every POST that moves money carries an Idempotency-Key, so that a repeated call moves it only once.",
    "Send a header `Idempotency-Key` with a new UUID for each new request, and the same one when repeating it.",
)
UNAUTHENTICATED = declare(
    "unauthenticated",
    401,
    "A valid API key is needed",
    "The header `Authorization: Bearer ch_…` is missing, or its key is unknown or revoked.",
    "Send a valid key; `clearhold keys create` makes one.",
)
NOT_FOUND = declare(
    "not_found",
    404,
    "There is no such thing here",
    "Nothing with this id, or at this path, exists for the tenant of the API key.",
    "Check the id and the API key: a key sees its own tenant only.",
)
METHOD_NOT_ALLOWED = declare(
    "method_not_allowed",
    405,
    "The method is not allowed here",
    "The path exists, but not for this method; `Allow` names those it has.",
    "See /docs for the methods of each path.",
)
REQUEST_TIMEOUT = declare(
    "request_timeout",
    408,
    "The body did not arrive in time",
    "The client took too long to send the body.",
    "Send the request again; nothing was done.",
)
BODY_TOO_LARGE = declare(
    "body_too_large",
    413,
    "The body is too large",
    "The body is longer than the API takes; it was not read to its end.",
    "Send less; nothing was done.",
)
UNSUPPORTED_MEDIA_TYPE = declare(
    "unsupported_media_type",
    415,
    "The body must be JSON",
    "The API reads `application/json` in UTF-8 only.",
    "Send `Content-Type: application/json`.",
)
VALIDATION_FAILED = declare(
    "validation_failed",
    422,
    "The request has invalid fields",
    "The request can be read, but a field is missing, unknown, of the wrong type or out of its bounds; `errors` names each.",
    "Correct the fields that `errors` names; nothing was done.",
)
CARD_NUMBER_REFUSED = declare(
    "card_number_refused",
    422,
    "Card numbers are not accepted",
    "Something in the request looks like a card number (13 to 19 digits with a valid check digit, in a range that card "
    "networks use). This API takes tokens only. The value is neither repeated, logged nor stored.",
    "Exchange the card for a token at the gateway and send the token. If it is an id of yours, add a letter to it.",
)
IDEMPOTENCY_KEY_REUSED = declare(
    "idempotency_key_reused",
    422,
    "The Idempotency-Key belongs to another request",
    "The key was used before with another method, path or body.",
    "Use a new key for a new request, and repeat a request exactly as it was.",
)
IDEMPOTENCY_KEY_IN_FLIGHT = declare(
    "idempotency_key_in_flight",
    409,
    "The same request is being carried out",
    "A call with this Idempotency-Key has not been answered yet.",
    "Repeat the request after the time in `Retry-After`; you will get its outcome.",
)

# The business

INVALID_AMOUNT = declare(
    "invalid_amount",
    422,
    "The amount cannot be paid",
    "The amount is zero, negative, not an integer number of minor units, or too large.",
    "Send a positive integer in the currency's minor unit (cents for USD, whole yen for JPY).",
)
UNKNOWN_CURRENCY = declare(
    "unknown_currency",
    422,
    "The currency is unknown",
    "The code is not an active ISO 4217 currency.",
    "Use a three-letter ISO 4217 code, such as USD.",
)
CURRENCY_MISMATCH = declare(
    "currency_mismatch",
    422,
    "The currencies do not match",
    "An account has another currency than the payment.",
    "Use accounts and amounts of one currency; convert explicitly before.",
)
ACCOUNT_NOT_FOUND = declare(
    "account_not_found",
    422,
    "The account does not exist",
    "An account named in the request is none of the tenant's.",
    "Open the account with POST /v1/accounts, or correct its id.",
)
ACCOUNT_CLOSED = declare(
    "account_closed",
    422,
    "The account is closed",
    "A closed account takes no new payments.",
    "Use an open account.",
)
ACCOUNT_NOT_EMPTY = declare(
    "account_not_empty",
    409,
    "The account still has money",
    "An account with a balance or with holds stays open: what is left could neither be paid out nor refunded afterwards.",
    "Pay out or refund its balance, let its holds be captured, released or expire, and close it then.",
)
ACCOUNTS_MUST_DIFFER = declare(
    "accounts_must_differ",
    422,
    "Payer and payee are the same account",
    "A wallet payment moves money between two accounts.",
    "Name two different accounts.",
)
ACCOUNT_EXISTS = declare(
    "account_exists",
    409,
    "The account exists with other properties",
    "An account with this id was opened before, with another currency or purpose, or with other rights.",
    "Choose another id, or use the account as it is.",
)
PAYMENT_METHOD_MISMATCH = declare(
    "payment_method_mismatch",
    422,
    "The payment method is of another kind",
    "A card payment is confirmed with a card, a wallet payment with a wallet.",
    "Send a payment method of the payment's kind, or create another payment.",
)
ILLEGAL_TRANSITION = declare(
    "illegal_transition",
    409,
    "The present state does not allow this",
    "What is asked for is not possible in the state that the payment or refund is in.",
    "Read it and act on its present status.",
)
LIMIT_EXCEEDED = declare(
    "limit_exceeded",
    422,
    "A limit stops the payment",
    "A limit on amount, or on what one customer may pay in a day, is reached.",
    "Lower the amount, wait for the window to pass, or ask for a higher limit.",
)
REFUND_EXCEEDS_CAPTURED = declare(
    "refund_exceeds_captured",
    422,
    "More would be refunded than was captured",
    "This refund, with those before it, exceeds what the payment captured.",
    "Refund at most what is captured and not yet refunded.",
)
REFUND_REFUSED = declare(
    "refund_refused",
    422,
    "The ledger refused the refund",
    "The refund could not be booked, for the reason in `detail`; nothing was written.",
    "Read the account's balance and status, then decide.",
)
TOO_MANY_COMMANDS = declare(
    "too_many_commands",
    429,
    "Too many commands wait for this payment",
    "Commands to one payment are carried out one after another, and only so many may wait.",
    "Repeat the request after the time in `Retry-After`, with the same Idempotency-Key.",
)
PAYMENT_INTERRUPTED = declare(
    "payment_interrupted",
    409,
    "The payment's workflow was stopped",
    "The payment is open, but its workflow was ended from outside. What it had begun is undone by reconciliation.",
    "Wait, and read the payment again; then act on its status.",
)

# The service

OVERLOADED = declare(
    "overloaded",
    503,
    "Too much is under way",
    "As many requests that move money are under way as this process takes. This one was not begun.",
    "Repeat the request after the time in `Retry-After`, with the same Idempotency-Key.",
)
DATABASE_UNAVAILABLE = declare(
    "database_unavailable",
    503,
    "The database does not answer",
    "The database could not be reached, or not in time.",
    "Repeat the request after the time in `Retry-After`, with the same Idempotency-Key.",
)
ENGINE_UNAVAILABLE = declare(
    "engine_unavailable",
    503,
    "The workflow engine does not answer",
    "Temporal could not be reached, or not in time. Whether the request was taken is not known.",
    "Repeat the request after the time in `Retry-After`, with the same Idempotency-Key: it is carried out at most once.",
)
NO_WORKER = declare(
    "no_worker",
    503,
    "No worker answers",
    "No worker process took the request in time.",
    "Repeat the request after the time in `Retry-After`, with the same Idempotency-Key where one was sent.",
)
INTERNAL_ERROR = declare(
    "internal_error",
    500,
    "Something is wrong on our side",
    "The request met a defect. It is logged under the trace id.",
    "Repeat the request with the same Idempotency-Key; if it fails again, send us the trace id.",
)

RETRY_AFTER_S = 1
"""What `Retry-After` says."""

RETRY_AFTER = {"Retry-After": str(RETRY_AFTER_S)}

_OF_DOMAIN = {
    kind.code: kind
    for kind in (
        INVALID_AMOUNT,
        UNKNOWN_CURRENCY,
        CURRENCY_MISMATCH,
        ILLEGAL_TRANSITION,
        LIMIT_EXCEEDED,
        REFUND_EXCEEDS_CAPTURED,
        ACCOUNT_NOT_FOUND,
        ACCOUNT_CLOSED,
        TOO_MANY_COMMANDS,
    )
}


def refusal(code: str, detail: str, advice: str | None = None) -> Problem | None:
    """Return the problem of a refusal known by its code, as workflows and the domain name it; None for an unknown one."""
    kind = _OF_DOMAIN.get(code)
    if kind is None:
        return None
    return Problem(kind, detail, advice=advice, headers=RETRY_AFTER if kind.status == 429 else None)


def of_domain(error: DomainError, pointer: str | None = None) -> Problem:
    """Return the problem of a domain error; `pointer` names the field it is about."""
    kind = _OF_DOMAIN.get(error.code, VALIDATION_FAILED)
    errors = [FieldError(pointer, str(error))] if pointer else []
    return Problem(kind, str(error), advice=error.advice, errors=errors)


def not_found(what: str, resource_id: str | None = None) -> Problem:
    """Return the 404 for a resource of the tenant."""
    named = f" {resource_id}" if resource_id else ""
    return Problem(NOT_FOUND, f"There is no {what}{named} for this API key.")
