"""Accounts: a normal side, a currency, and whether they may go negative.

Invariant: an account's currency, side and tenant never change after it is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NormalSide(StrEnum):
    """The side on which an account grows: assets and expenses debit, liabilities, income and equity credit."""

    DEBIT = "debit"
    CREDIT = "credit"


class AccountStatus(StrEnum):
    """Whether an account takes new postings. A closed one still settles the holds it has."""

    OPEN = "open"
    CLOSED = "closed"


class AccountResult(StrEnum):
    """The ledger's answer to opening or closing one account. An account that exists is the same as a new one."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_CONTENT = "exists_with_different_content"
    ACCOUNT_IS_MALFORMED = "account_is_malformed"
    """The id or purpose is empty, longer than 200 characters or holds control characters; the currency is no code."""
    TENANT_NOT_FOUND = "tenant_not_found"
    CLOSED = "closed"
    ALREADY_CLOSED = "already_closed"
    ACCOUNT_NOT_EMPTY = "account_not_empty"
    """It has a balance or live holds, and was to be closed only without."""
    ACCOUNT_NOT_FOUND = "account_not_found"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of one tenant and currency. `purpose` is `wallet`, `merchant`, `gateway` or `fees`, for instance."""

    tenant_id: str
    id: str
    currency: str
    normal_side: NormalSide
    purpose: str = "wallet"
    may_go_negative: bool = False
    status: AccountStatus = AccountStatus.OPEN


@dataclass(frozen=True, slots=True)
class Balances:
    """Sums of an account in minor units, all >= 0: pending are live holds, posted is booked for good."""

    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    def posted(self, side: NormalSide) -> int:
        """Return the booked balance on the account's normal side (negative when overdrawn)."""
        net = self.credits_posted - self.debits_posted
        return net if side is NormalSide.CREDIT else -net

    def available(self, side: NormalSide) -> int:
        """Return what may still be spent: the booked balance less the holds that will reduce it."""
        outgoing = self.debits_pending if side is NormalSide.CREDIT else self.credits_pending
        return self.posted(side) - outgoing
