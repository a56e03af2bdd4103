"""What is written to the ledger: transfers gathered in journal entries.

Invariant: a transfer has one debit, one credit, one amount and one currency, so every entry sums to zero by its shape.
Names follow TigerBeetle's two-phase transfers: a hold is pending until it is captured, voided or expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TransferKind(StrEnum):
    """What a transfer does to the balances."""

    POST = "post"
    """Move posted money now."""
    HOLD = "hold"
    """Reserve: counts against the payer at once, and for the payee not at all, until captured."""
    CAPTURE = "capture"
    """Post all or part of a hold; `final` releases what is left."""
    VOID = "void"
    """Release what is left of a hold."""
    EXPIRE = "expire"
    """What the ledger books itself when a hold passes its time; never asked for."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One line of a journal entry.

    `amount_minor` is in minor units, > 0 except for a capture, where 0 is allowed (it releases the hold) and None means
    all that is left. `debit`, `credit` and `currency` are given for posts and holds; a capture or void takes them from
    its hold, named by `hold` = the key of the transfer that made it. `final=False` keeps the rest of a hold pending, so
    that it can be captured again.
    """

    key: str
    kind: TransferKind
    debit: str | None = None
    credit: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    hold: str | None = None
    final: bool = True
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A set of transfers that is booked whole or not at all, once for ever under its key.

    `key` is `<payment id>:<step>:<number>`; `payment_id` links the entry back to what asked for it.
    """

    tenant_id: str
    key: str
    transfers: tuple[Transfer, ...]
    payment_id: str | None = None
    description: str = ""


def post(key: str, debit: str, credit: str, amount_minor: int, currency: str) -> Transfer:
    """Return a transfer that moves `amount_minor` (minor units) from `debit` to `credit` now."""
    return Transfer(key, TransferKind.POST, debit, credit, amount_minor, currency)


def hold(
    key: str, debit: str, credit: str, amount_minor: int, currency: str, expires_at: datetime | None = None
) -> Transfer:
    """Return a transfer that reserves `amount_minor` (minor units), until captured, voided, or `expires_at` (UTC)."""
    return Transfer(key, TransferKind.HOLD, debit, credit, amount_minor, currency, expires_at=expires_at)


def capture(key: str, hold_key: str, amount_minor: int | None = None, *, final: bool = True) -> Transfer:
    """Return a transfer that posts `amount_minor` of a hold (None: all that is left)."""
    return Transfer(key, TransferKind.CAPTURE, amount_minor=amount_minor, hold=hold_key, final=final)


def void(key: str, hold_key: str) -> Transfer:
    """Return a transfer that releases what is left of a hold."""
    return Transfer(key, TransferKind.VOID, hold=hold_key)


MAX_KEY_LENGTH = 200
"""Longest key of an entry or transfer, id of an account or payment, in characters."""
MAX_DESCRIPTION_LENGTH = 1_000
"""Longest description of an entry, in characters."""
MAX_TRANSFERS_PER_ENTRY = 1_000
"""Most transfers of one entry."""
MAX_BALANCE_MINOR = 4 * 10**18
"""Largest sum of pending and posted on one side of an account, in minor units; two of them fit in a bigint."""
RESERVED_KEY_PREFIX = "expire:"
"""Keys of the entries by which the ledger itself releases expired holds."""


class LedgerResult(StrEnum):
    """The ledger's answer for one entry. `created` and `exists` mean booked; anything else means nothing was written."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_CONTENT = "exists_with_different_content"
    """Its key stands for another entry already, or a transfer's key for another transfer."""
    ENTRY_IS_EMPTY = "entry_is_empty"
    ENTRY_IS_MALFORMED = "entry_is_malformed"
    """A key is empty, too long or reserved, a text holds what cannot be stored, or a field its kind needs is missing."""
    AMOUNT_MUST_BE_POSITIVE = "amount_must_be_positive"
    AMOUNT_TOO_LARGE = "amount_too_large"
    DEBIT_ACCOUNT_NOT_FOUND = "debit_account_not_found"
    CREDIT_ACCOUNT_NOT_FOUND = "credit_account_not_found"
    DEBIT_ACCOUNT_CLOSED = "debit_account_closed"
    CREDIT_ACCOUNT_CLOSED = "credit_account_closed"
    ACCOUNTS_MUST_BE_DIFFERENT = "accounts_must_be_different"
    CURRENCY_MISMATCH = "currency_mismatch"
    EXCEEDS_CREDITS = "exceeds_credits"
    """A credit-normal account that may not go negative has too little (TigerBeetle's name)."""
    EXCEEDS_DEBITS = "exceeds_debits"
    """A debit-normal account that may not go negative has too little."""
    BALANCE_TOO_LARGE = "balance_too_large"
    """An account would go beyond MAX_BALANCE_MINOR."""
    EXPIRES_IN_THE_PAST = "expires_in_the_past"
    PENDING_TRANSFER_NOT_FOUND = "pending_transfer_not_found"
    PENDING_TRANSFER_NOT_PENDING = "pending_transfer_not_pending"
    EXCEEDS_PENDING_TRANSFER_AMOUNT = "exceeds_pending_transfer_amount"
    PENDING_TRANSFER_ALREADY_POSTED = "pending_transfer_already_posted"
    PENDING_TRANSFER_ALREADY_VOIDED = "pending_transfer_already_voided"
    PENDING_TRANSFER_EXPIRED = "pending_transfer_expired"

    @property
    def booked(self) -> bool:
        """Whether the entry stands in the ledger."""
        return self in (LedgerResult.CREATED, LedgerResult.EXISTS)


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    """What became of one entry; `failed_transfer` is the key of the transfer that stopped it, if one did."""

    result: LedgerResult
    failed_transfer: str | None = None
