"""What the ledger has booked, as it is read back.

Invariant: a record never changes once it can be read; only a hold's state and what is left of it move on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ledger.entries import TransferKind


class HoldState(StrEnum):
    """Where a hold stands. Only a pending one has something left; the others are final."""

    PENDING = "pending"
    POSTED = "posted"
    VOIDED = "voided"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class BookedTransfer:
    """One line of the ledger. Amounts are minor units; `created_at` is UTC.

    `amount_minor` is what was posted or held, `released_minor` what a capture, void or expiry gave back. `id` grows along
    the statement of any one account. `hold` is the key of the transfer that made the hold this one settles.
    """

    id: int
    entry_key: str
    payment_id: str | None
    key: str
    kind: TransferKind
    debit: str
    credit: str
    currency: str
    amount_minor: int
    released_minor: int
    hold: str | None
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BookedEntry:
    """A journal entry with its transfers in order; `content_digest` is the SHA-256 of what was asked for."""

    tenant_id: str
    key: str
    payment_id: str | None
    description: str
    created_at: datetime
    content_digest: bytes
    transfers: tuple[BookedTransfer, ...]


@dataclass(frozen=True, slots=True)
class StatementPage:
    """A page of an account's transfers; pass `next_cursor` on to get the page after it, None at the end."""

    transfers: tuple[BookedTransfer, ...]
    next_cursor: int | None


@dataclass(frozen=True, slots=True)
class HoldStanding:
    """A hold at the time it was read: its state, what is left of it (minor units), and when it expires (UTC)."""

    key: str
    state: HoldState
    remaining_minor: int
    expires_at: datetime | None
