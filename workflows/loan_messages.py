"""What loan workflows are started with, told and asked: their wire format, so fields are only ever added, with defaults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from domain.loans.account import LoanAccount, LoanInstalment, Owed
from domain.loans.allocation import Portion
from domain.loans.application import LoanApplication, Mandate
from domain.loans.changes import Restructure
from domain.loans.loan import Loan
from domain.loans.proposals import Proposal
from domain.loans.restructure import PrepaymentEffect

STATE_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class LoanState:
    """All of a loan that its workflow carries from run to run.

    `attempts` numbers disbursements, `payments` the payments begun: both are part of ids. `clock_date` is the day a test
    clock shows; None is real time. `recent_updates` are the ids of commands carried out, newest last.
    """

    loan: Loan
    account: LoanAccount | None = None
    proposals: tuple[Proposal, ...] = ()
    proposal_count: int = 0
    attempts: int = 0
    payments: int = 0
    clock_date: date | None = None
    recent_updates: tuple[str, ...] = ()
    schema_version: int = STATE_SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class LoanOrder:
    """Start a loan, or go on with one: with `state`, everything else is what it was. `today` is the test clock's day.

    `payment_task_queue` is where its payments are served (None: where the loan is); `max_days_per_run` bounds a run.
    """

    application: LoanApplication
    today: date | None = None
    state: LoanState | None = None
    payment_task_queue: str | None = None
    max_days_per_run: int | None = None


# Commands. Each says who acts where it matters; amounts are minor units.


@dataclass(frozen=True, slots=True)
class AcceptOffer:
    """The borrower accepts the offer."""

    actor: str = "borrower"


@dataclass(frozen=True, slots=True)
class WithdrawApplication:
    """The borrower wants the loan no more. Possible until the money is paid out."""

    reason: str = "requested_by_client"


@dataclass(frozen=True, slots=True)
class ApproveApplication:
    """A person finds that a referred application, or one with a weak sanctions match, may go on. Needs a second one."""

    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class DeclineApplication:
    """A person declines a referred application, or one that matches a sanctions list."""

    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class RetryDisbursement:
    """Try again to pay an approved loan out."""

    actor: str


@dataclass(frozen=True, slots=True)
class Repay:
    """Take a repayment through the payment path, from `source` or the mandate. `effect` makes all in advance a prepayment."""

    amount_minor: int
    effect: PrepaymentEffect | None = None
    source: Mandate | None = None


@dataclass(frozen=True, slots=True)
class PayOff:
    """Take what pays the loan off today."""

    source: Mandate | None = None


@dataclass(frozen=True, slots=True)
class RefundOverpayment:
    """Give an overpayment back to the borrower's wallet."""

    actor: str


@dataclass(frozen=True, slots=True)
class ReverseRepayment:
    """A payment was taken back (chargeback, return): the money goes back and what it paid is owed again."""

    number: int
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class WaiveCharge:
    """Give up an unpaid fee or penalty of an instalment."""

    instalment: int
    portion: Portion
    amount_minor: int
    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class PauseLoan:
    """Rest collections, late fees and penalty interest until a day."""

    until: date
    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ResumeLoan:
    """End a pause."""

    actor: str


@dataclass(frozen=True, slots=True)
class RestructureLoan:
    """Propose other terms. Needs a second person."""

    change: Restructure
    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ChargeOff:
    """Expect nothing any more: an accounting event, the loan stays active."""

    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class WriteOff:
    """Propose to give the claim up. Needs a second person."""

    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class CheckProposal:
    """A second person approves or rejects what was proposed."""

    number: int
    actor: str
    approve: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Recover:
    """Take money on a loan that was written off, from `source` or the mandate."""

    amount_minor: int
    actor: str
    source: Mandate | None = None


LoanCommand = (
    AcceptOffer
    | WithdrawApplication
    | ApproveApplication
    | DeclineApplication
    | RetryDisbursement
    | Repay
    | PayOff
    | RefundOverpayment
    | ReverseRepayment
    | WaiveCharge
    | PauseLoan
    | ResumeLoan
    | RestructureLoan
    | ChargeOff
    | WriteOff
    | CheckProposal
    | Recover
)


# Answers


@dataclass(frozen=True, slots=True)
class PayoffQuote:
    """What pays the loan off on a day."""

    on: date
    owed: Owed
    currency: str

    @property
    def total_minor(self) -> int:
        """The whole amount."""
        return self.owed.total


@dataclass(frozen=True, slots=True)
class LoanProgress:
    """The live state of a loan, straight from its workflow."""

    loan: Loan
    step: str
    waits_for: str
    wakes_on: date | None
    proposals: tuple[Proposal, ...]
    compensations: list[str]
    waiting_commands: int
    instalments: tuple[LoanInstalment, ...]
