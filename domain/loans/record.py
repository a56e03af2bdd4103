"""What one step of a loan writes in one transaction: the booking, the rows clients read, its timeline, the accrual.

Invariant: all of a record is written or none of it, and writing it again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from domain.ledger.accounts import Account
from domain.ledger.entries import JournalEntry
from domain.loans.account import LoanAccount, LoanInstalment, Repayment
from domain.loans.loan import RUNNING, Loan
from domain.loans.proposals import Proposal
from domain.loans.rounding import RoundingMode
from domain.loans.segments import AccrualSegment
from domain.loans.status import LoanStatus


@dataclass(frozen=True, slots=True)
class LoanEvent:
    """One line of a loan's story. `key` makes it unique, `name` is stable, `text` is for people, `on` its business day."""

    key: str
    name: str
    text: str
    at: datetime
    on: date
    actor: str | None = None
    amount_minor: int | None = None
    entry_key: str | None = None
    payment_id: str | None = None


@dataclass(frozen=True, slots=True)
class LoanPosition:
    """How interest is accrued: by which segments, from when, and to what end.

    `accrue_to`: the day up to which this record accrues first. `accrued_total`: the interest accrued in all by that day; a
    position that ends (`accrues` false) is brought to exactly that. `suspended`: into the allowance, no longer as income.
    """

    accrues: bool
    accrue_to: date
    accrued_total: int
    rounding: RoundingMode
    suspended: bool
    segments: tuple[AccrualSegment, ...]


@dataclass(frozen=True, slots=True)
class LoanRecord:
    """One atomic step."""

    loan: Loan
    event: LoanEvent
    from_status: LoanStatus
    entry: JournalEntry | None = None
    accounts: tuple[Account, ...] = ()
    instalments: tuple[LoanInstalment, ...] = ()
    dropped: tuple[int, ...] = ()
    repayments: tuple[Repayment, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    position: LoanPosition | None = None


def position_of(loan: Loan, account: LoanAccount) -> LoanPosition:
    """Return how the interest of a loan is accrued after a record on its business date."""
    on = loan.business_date
    return LoanPosition(
        accrues=loan.status in RUNNING and account.accrual_ended is None,
        accrue_to=on,
        accrued_total=account.accrued(on),
        rounding=account.schedule.plan.rounding,
        suspended=account.charged_off_on is not None,
        segments=account.segments(on),
    )
