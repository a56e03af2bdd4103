"""One operation per idempotency key: recorded with its answer in the transaction that carries it out.

Invariant: whoever sends the same request under the same key, however often, at once or after a crash, gets the first
answer byte for byte, and the effect happens once. A key is never used for two different requests.
"""

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson

from infra.bank.errors import Refusal

HTTP_OK = 200
HTTP_DECLINED = 402
NO_CURRENCY = "XXX"  # ISO 4217: no currency involved
REFERENCE_BYTES = 12
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
# The digest of an operation whose request never arrived: no request has it.
NO_REQUEST = b""


class Kind(StrEnum):
    """The kinds of operation; a sale is an authorization captured in the same message."""

    AUTHORIZE = "authorize"
    SALE = "sale"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    REVERSAL = "reversal"
    PAYOUT = "payout"
    COLLECTION = "collection"


class Outcome(StrEnum):
    """How an operation was decided: cards are approved or declined, transfers settle or are rejected."""

    APPROVED = "approved"
    DECLINED = "declined"
    REQUIRES_ACTION = "requires_action"
    SETTLED = "settled"
    REJECTED = "rejected"


_NEGATIVE = frozenset({Outcome.DECLINED, Outcome.REJECTED})


@dataclass(frozen=True, slots=True)
class Instruction:
    """What identifies a request: its key, a digest of its content, and the trace it belongs to."""

    key: str
    reference: str
    digest: bytes
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of an instruction.

    `settled_minor` is what the client's account gains (a sale, a capture, a collection) or loses (a refund, a payout).
    `subject` is the authorization or account concerned. `details` are the further fields of the answer.
    """

    kind: Kind
    outcome: Outcome
    amount_minor: int
    currency: str
    settled_minor: int = 0
    subject: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A recorded answer: HTTP status, JSON body, and whether it was given before."""

    status: int
    body: bytes
    replayed: bool


def now_ms() -> int:
    """Return the bank's clock: milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def moment(at_ms: int) -> str:
    """Write a moment of the bank's clock as ISO 8601 UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def new_reference(prefix: str) -> str:
    """Make an unguessable reference such as `auth_abkacaih...`.

    It begins with the time, so that new rows lie side by side in the database and a commit touches fewer pages. It has no
    digits: one token in 1,300 would look like a card number by chance, and be refused by whoever looks for these.
    """
    return f"{prefix}_{f'{now_ms():012x}{secrets.token_hex(REFERENCE_BYTES)}'.translate(_LETTERS)}"


def digest_of(route: str, fields: dict[str, Any]) -> bytes:
    """Return the SHA-256 of what a request asks for; equal requests have equal digests however they are spelt."""
    return hashlib.sha256(route.encode() + b"\0" + orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).digest()


def perform(connection: sqlite3.Connection, instruction: Instruction, decide: Callable[[], Decision]) -> Answer:
    """Carry out an instruction unless its key has an answer already, and record the answer.

    Raises Refusal 422 `key_reused` when the key belongs to another request, and whatever `decide` refuses.
    """
    known = connection.execute(
        "SELECT request_digest, http_status, body FROM operation WHERE key = ?", (instruction.key,)
    ).fetchone()
    if known is not None:
        if known["request_digest"] not in (instruction.digest, NO_REQUEST):
            raise Refusal(422, "key_reused", "This idempotency key belongs to another request.")
        return Answer(known["http_status"], known["body"], replayed=True)
    return record(connection, instruction, decide())


def record(connection: sqlite3.Connection, instruction: Instruction, decision: Decision) -> Answer:
    """Write an operation and return its answer."""
    at_ms = now_ms()
    operation_id = new_reference("op")
    body = orjson.dumps(
        {
            "id": operation_id,
            "key": instruction.key,
            "operation": decision.kind,
            "outcome": decision.outcome,
            "reference": instruction.reference,
            "amount_minor": decision.amount_minor,
            "currency": decision.currency,
            **decision.details,
            "trace_id": instruction.trace_id,
            "created_at": moment(at_ms),
        }
    )
    status = HTTP_DECLINED if decision.outcome in _NEGATIVE else HTTP_OK
    connection.execute(
        "INSERT INTO operation (key, request_digest, id, kind, outcome, reference, subject, amount_minor,"
        " settled_minor, currency, http_status, body, trace_id, created_at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            instruction.key,
            instruction.digest,
            operation_id,
            decision.kind,
            decision.outcome,
            instruction.reference,
            decision.subject,
            decision.amount_minor,
            decision.settled_minor,
            decision.currency,
            status,
            body,
            instruction.trace_id,
            at_ms,
        ),
    )
    return Answer(status, body, replayed=False)


def find(connection: sqlite3.Connection, key: str) -> sqlite3.Row | None:
    """Return the operation recorded under a key, or None when no request with that key was carried out."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM operation WHERE key = ?", (key,)).fetchone()
    return row
