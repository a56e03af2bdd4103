"""What loan workflows are started with, told and asked: their wire format, so fields are only ever added, with defaults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from domain.loans.account import LoanAccount, LoanInstalment, Owed
from domain.loans.allocation import Portion
from domain.loans.application import LoanApplication, Mandate
from domain.loans.changes import Restructure
from domain.loans.loan import Loan
from domain.loans.payout import Payout
from domain.loans.proposals import Proposal
from domain.loans.restructure import PrepaymentEffect
from domain.payments.payment import Payment

STATE_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class UnbookedPayment:
    """A payment that has moved money for a loan and is not booked on it: what it was for, on which day, and who asked for it."""

    payment: Payment
    purpose: str
    on: date
    effect: PrepaymentEffect | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True)
class LoanState:
    """All of a loan that its workflow carries from run to run.

    `attempts` numbers disbursements, `payments` the payments begun: both are part of ids. `clock_date` is the day a test
    clock shows; None is real time. `recent_updates` are the ids of commands carried out, newest last. `take_backs` numbers
    refunds of payouts. `approval_undone`: two persons must approve again. `before_write_off` is the account to return to.
    `clock_told` are days that the test clock has not shown yet. `unbooked` is booked before anything else happens.
    """

    loan: Loan
    account: LoanAccount | None = None
    proposals: tuple[Proposal, ...] = ()
    proposal_count: int = 0
    attempts: int = 0
    payments: int = 0
    clock_date: date | None = None
    recent_updates: tuple[str, ...] = ()
    paid_out: tuple[Payout, ...] = ()
    take_backs: int = 0
    approval_undone: bool = False
    before_write_off: LoanAccount | None = None
    clock_told: tuple[date, ...] = ()
    unbooked: UnbookedPayment | None = None
    schema_version: int = STATE_SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class LoanOrder:
    """Start a loan, or go on with one: with `state`, everything else is what it was. `today` is the test clock's day.

    `payment_task_queue` is where its payments are served (None: where the loan is); `max_days_per_run` bounds a run.
    `packed` is a state too large to carry as it is (see `workflows.loans.state`).
    """

    application: LoanApplication
    today: date | None = None
    state: LoanState | None = None
    payment_task_queue: str | None = None
    max_days_per_run: int | None = None
    packed: str | None = None


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
class UndoApproval:
    """Take the approval of a loan that is not paid out back. Two persons must approve it again, or one declines."""

    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class RetryDisbursement:
    """Try again to pay an approved loan out, or the tranches of an active one that were withheld."""

    actor: str


@dataclass(frozen=True, slots=True)
class UndoDisbursal:
    """Take the payout of an active loan back, on which nothing was repaid or charged: it is approved again."""

    actor: str
    note: str = ""


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
class AddCharge:
    """Charge a fee by hand; it falls due at once, and opens a closed loan again."""

    amount_minor: int
    actor: str
    note: str = ""


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
class UndoWriteOff:
    """Propose to claim again what was given up. Needs a second person."""

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
    | UndoApproval
    | RetryDisbursement
    | UndoDisbursal
    | Repay
    | PayOff
    | RefundOverpayment
    | ReverseRepayment
    | AddCharge
    | WaiveCharge
    | PauseLoan
    | ResumeLoan
    | RestructureLoan
    | ChargeOff
    | WriteOff
    | UndoWriteOff
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
