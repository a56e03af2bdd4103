"""What is remembered of calls with an Idempotency-Key: one statement to claim a key, one to keep its answer.

Invariant: at any time at most one caller holds a key's lease; an answer, once stored, is the answer. Two callers at once after
a lease ran out do no harm: the ids of their work are derived from the key, so they reach the same workflow and update.

Claims and answers do not wait for the disk (`synchronous_commit = off`). If the server crashes within the fraction of a second
before they are written, the next call with the key is led to the same work by its ids, and gets its outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from domain.payments.refund import Refund
from infra.postgres.pool import Pool
from infra.postgres.stored_payments import (
    PAYMENT_COLUMNS,
    PAYMENT_WIDTH,
    REFUND_COLUMNS,
    StoredPayment,
    stored_payment,
    stored_refund,
)

KEPT_FOR = timedelta(days=30)
"""How long a key and its answer are kept."""

PRUNE_LIMIT = 5_000
"""Most keys forgotten by one statement."""

MAX_KEY_LENGTH = 255
"""Longest key a client may choose."""

_CLAIM = (
    "SELECT outcome, answer_status, answer_location, answer_body "
    "FROM idempotency_claim(%(tenant)s, %(key)s, %(fingerprint)s, %(lease)s, %(payment)s)"
)
_CLAIM_WITH_PAYMENT = f"""
SELECT c.outcome, c.answer_status, c.answer_location, c.answer_body, {PAYMENT_COLUMNS}, {REFUND_COLUMNS}
FROM idempotency_claim(%(tenant)s, %(key)s, %(fingerprint)s, %(lease)s, %(payment)s) AS c
LEFT JOIN payments p ON p.tenant_id = %(tenant)s AND p.id = %(payment)s
LEFT JOIN refunds r ON r.tenant_id = %(tenant)s AND r.id = %(refund)s
"""  # noqa: S608 - constants only
_ANSWER = "SELECT idempotency_answer(%s, %s, %s, %s, %s)"
_RELEASE = "SELECT idempotency_release(%s, %s, %s, %s)"
_FORGET = "SELECT idempotency_forget(%s, %s)"
_PRUNE = "SELECT idempotency_prune(%s, %s)"
_ACCEPTED = "SELECT accepted_body FROM idempotency_keys WHERE tenant_id = %s AND accepted_id = %s LIMIT 1"


class ClaimOutcome(StrEnum):
    """What became of a claim."""

    CLAIMED = "claimed"
    """The caller holds the lease: carry out the request, then answer or release."""
    RESUMED = "resumed"
    """The same, after an earlier caller with this request went without an answer: the work may have begun."""
    ANSWERED = "answered"
    """The same request was answered before; repeat the stored answer."""
    IN_FLIGHT = "in_flight"
    """Another caller with the same request holds the lease."""
    REUSED = "reused"
    """The key belongs to a request with another content."""
    NOT_FOUND = "not_found"
    """The payment that the request is about is none of the tenant's; nothing was claimed."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An HTTP answer as first given."""

    status: int
    location: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The outcome, the stored answer if there is one, and the rows the request is about, if they are written yet."""

    outcome: ClaimOutcome
    answer: StoredAnswer | None = None
    payment: StoredPayment | None = None
    refund: Refund | None = None


def _claim(row: Sequence[Any]) -> Claim:
    outcome, status, location, body = row[:4]
    answer = None if status is None else StoredAnswer(status, location, bytes(body))
    if len(row) == 4 or row[4] is None:
        return Claim(ClaimOutcome(outcome), answer)
    end = 4 + PAYMENT_WIDTH
    refund = None if row[end] is None else stored_refund(row[end:])
    return Claim(ClaimOutcome(outcome), answer, stored_payment(row[4:end]), refund)


class IdempotencyKeys:
    """The keys of all tenants, in PostgreSQL. Every method is one round trip and raises psycopg.Error."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(
        self,
        tenant_id: str,
        key: str,
        fingerprint: bytes,
        lease: timedelta,
        *,
        payment_id: str | None = None,
        refund_id: str | None = None,
    ) -> Claim:
        """Claim a key for `lease`. With `payment_id`, that payment must be the tenant's, and is read along with it."""
        values = {
            "tenant": tenant_id,
            "key": key,
            "fingerprint": fingerprint,
            "lease": lease,
            "payment": payment_id,
            "refund": refund_id,
        }
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_CLAIM if payment_id is None else _CLAIM_WITH_PAYMENT, values)
            row = await cursor.fetchone()
        if row is None:
            raise RuntimeError("idempotency_claim answered nothing")
        return _claim(row)

    async def answer(self, tenant_id: str, key: str, answer: StoredAnswer) -> None:
        """Keep a success (never a 202) as the answer to this key."""
        async with self._pool.connection() as connection:
            await connection.execute(_ANSWER, [tenant_id, key, answer.status, answer.location, answer.body])

    async def release(
        self, tenant_id: str, key: str, *, accepted_id: str | None = None, accepted_body: bytes | None = None
    ) -> None:
        """Give up the lease unanswered; `accepted_*` is what the caller was told instead, for reads to show meanwhile."""
        async with self._pool.connection() as connection:
            await connection.execute(_RELEASE, [tenant_id, key, accepted_id, accepted_body])

    async def forget(self, tenant_id: str, key: str) -> None:
        """Free a key under which nothing was begun."""
        async with self._pool.connection() as connection:
            await connection.execute(_FORGET, [tenant_id, key])

    async def accepted(self, tenant_id: str, resource_id: str) -> bytes | None:
        """Return what a caller was told of a resource that was accepted and, it may be, not written yet."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_ACCEPTED, [tenant_id, resource_id])).fetchone()
        return None if row is None else bytes(row[0])

    async def prune(self, older_than: timedelta = KEPT_FOR, limit: int = PRUNE_LIMIT) -> int:
        """Forget up to `limit` keys older than that; returns how many went."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_PRUNE, [older_than, limit])).fetchone()
        return 0 if row is None else int(row[0])
