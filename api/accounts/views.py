"""Accounts, balances and entries as clients send and see them.

Invariant: amounts are integers in minor units; a balance is stated on the account's normal side, so that what a wallet has is
positive.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StringConstraints

from api.payments.presenter import transfer_view
from api.payments.requests import AccountId, Currency, WireModel
from api.payments.views import Out, TransferView
from domain.ledger.accounts import AccountStatus, Balances, NormalSide
from domain.ledger.records import BookedTransfer
from domain.money import exponent_of
from infra.postgres.account_reads import StoredAccount

GATEWAY_PURPOSE = "gateway"
"""Accounts that hold what a gateway owes; the API opens them itself."""


class CreateAccount(WireModel):
    """An account to open: a credit-normal liability, such as a wallet or what a merchant is owed."""

    currency: Currency = Field(description="ISO 4217 code.")
    id: AccountId | None = Field(
        default=None, description="Your id; none: one is made (from the Idempotency-Key, if you send one)."
    )
    purpose: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = Field(
        default="wallet",
        description="What it is for; `gateway` is ours.",
        json_schema_extra={"not": {"const": "gateway"}},
    )
    may_go_negative: StrictBool = Field(default=False, description="Whether it may be overdrawn.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"id": "acct_merchant", "currency": "USD", "purpose": "merchant"},
                {"id": "acct_guest", "currency": "JPY"},
            ]
        }
    )


class AccountLinks(Out):
    """Where to read on."""

    self: str
    balances: str
    entries: str


class AccountView(Out):
    """An account."""

    object: Literal["account"]
    id: str
    currency: str
    exponent: int = Field(description="Decimals of the currency: 2 for USD, 0 for JPY, 3 for KWD.")
    normal_side: NormalSide
    purpose: str
    may_go_negative: bool
    status: AccountStatus
    created_at: datetime
    closed_at: datetime | None
    links: AccountLinks


class AccountPage(Out):
    """Accounts, in the order they were opened."""

    object: Literal["list"]
    data: list[AccountView]
    has_more: bool
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; none on the last.")


class BalancesView(Out):
    """What an account has, in minor units. Pending sums are live holds, posted ones are booked for good."""

    object: Literal["balances"]
    account: str
    currency: str
    posted: int = Field(description="Booked, on the account's normal side; negative when overdrawn.")
    available: int = Field(description="Posted, less the holds that will reduce it.")
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int


class EntryView(TransferView):
    """One transfer on an account."""

    entry_key: str
    payment: str | None = Field(description="The payment that asked for it.")
    direction: Literal["debit", "credit"] = Field(description="The side of this account.")


class EntryPage(Out):
    """An account's transfers, newest first."""

    object: Literal["list"]
    data: list[EntryView]
    has_more: bool
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; none on the last.")


def account_view(stored: StoredAccount) -> dict[str, Any]:
    """Return an AccountView."""
    account = stored.account
    path = f"/v1/accounts/{account.id}"
    return {
        "object": "account",
        "id": account.id,
        "currency": account.currency,
        "exponent": exponent_of(account.currency),
        "normal_side": account.normal_side,
        "purpose": account.purpose,
        "may_go_negative": account.may_go_negative,
        "status": account.status,
        "created_at": stored.created_at,
        "closed_at": stored.closed_at,
        "links": {"self": path, "balances": f"{path}/balances", "entries": f"{path}/entries"},
    }


def balances_view(stored: StoredAccount, balances: Balances) -> dict[str, Any]:
    """Return a BalancesView."""
    account = stored.account
    return {
        "object": "balances",
        "account": account.id,
        "currency": account.currency,
        "posted": balances.posted(account.normal_side),
        "available": balances.available(account.normal_side),
        "debits_pending": balances.debits_pending,
        "debits_posted": balances.debits_posted,
        "credits_pending": balances.credits_pending,
        "credits_posted": balances.credits_posted,
    }


def entry_view(transfer: BookedTransfer, account_id: str) -> dict[str, Any]:
    """Return an EntryView."""
    return transfer_view(transfer) | {
        "entry_key": transfer.entry_key,
        "payment": transfer.payment_id,
        "direction": "debit" if transfer.debit == account_id else "credit",
    }
