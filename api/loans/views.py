"""Loans and what belongs to them as clients see them: the contract of the OpenAPI document.

Invariant: amounts are integers in minor units of the `currency` beside them, except in `terms` and quotes, which speak in decimal
strings, as they were sent.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from api.payments.views import Out, TransferView
from domain.loans.credit import Outcome, Reason
from domain.loans.proposals import ProposalKind, ProposalStatus
from domain.loans.status import LoanStatus


class QuotedInstalment(Out):
    """One instalment of a quote; amounts are decimal strings with as many decimals as the currency has."""

    number: int
    due_on: date
    amount: str
    principal: str
    interest: str
    fees: str
    balance_after: str


class LoanQuote(Out):
    """What a loan would cost."""

    currency: str
    instalments: list[QuotedInstalment]
    total_interest: str
    total_fees: str
    total_payments: str
    apr_percent: str = Field(description="Annual percentage rate by the actuarial method (Regulation Z, appendix J).")


class TrancheView(Out):
    """A later payout that was agreed."""

    amount: str
    on: date


class TermsView(Out):
    """The terms, named and written as in a quote."""

    principal: str
    currency: str
    annual_rate_percent: str
    instalments: int
    every: str
    disbursed_on: date
    method: str
    day_count: str
    first_due_on: date | None
    disbursements: list[TrancheView] = Field(description="Later tranches, as agreed.")


class FindingView(Out):
    """A rule that spoke."""

    rule: str
    outcome: Outcome
    reason: Reason
    explanation: str


class ReasonView(Out):
    """A principal reason, as a letter to the applicant words it."""

    code: Reason
    statement: str


class DecisionView(Out):
    """What was decided, and why."""

    outcome: Outcome
    policy: str
    decided_by: str | None = Field(description="The policy's version, or the persons who decided.")
    reasons: list[ReasonView] = Field(description="For an adverse-action letter: at most four.")
    findings: list[FindingView]


class OfferView(Out):
    """What is offered; the day it stands to, included."""

    apr_percent: str
    first_instalment: int
    maturity_on: date
    expires_on: date


class OutstandingView(Out):
    """What is owed on the loan's business date."""

    principal: int
    interest: int
    fees: int
    penalties: int
    total: int


class LoanFailure(Out):
    """Why the application ended, or what went wrong last."""

    code: str = Field(description="Stable; branch on this.")
    message: str = Field(description="For people; may change.")


class LoanLinks(Out):
    """Where to read on."""

    self: str
    schedule: str
    timeline: str
    live: str
    proposals: str
    payoff: str
    temporal_ui: str = Field(description="The workflow in the Temporal UI, for operators.")


class LoanView(Out):
    """A loan."""

    object: Literal["loan"]
    id: str
    status: LoanStatus
    business_date: date = Field(description="The day whose amounts these are.")
    customer: str
    principal: int
    currency: str
    terms: TermsView
    funding_account: str
    payout_account: str
    decision: DecisionView | None
    screening: str | None = Field(description="What the sanctions check answered.")
    offer: OfferView | None
    disbursed_on: date | None
    disbursed: int
    maturity_on: date | None
    closed_on: date | None
    next_due_on: date | None
    next_due: int
    outstanding: OutstandingView
    overpaid: int
    written_off: int
    recovered: int
    days_past_due: int = Field(description="As of today, or of the day the test clock shows.")
    bucket: str = Field(examples=["current", "1-29", "30-59"])
    charged_off_on: date | None
    paused_until: date | None
    failure: LoanFailure | None
    replaces: str | None = Field(description="The loan that was rescheduled, when this one took its place.")
    rescheduled_to: str | None = Field(description="The loan that took this one's place.")
    test_clock: str | None
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime
    trace_id: str | None
    version: int = Field(description="Grows with every change.")
    links: LoanLinks


class LoanPage(Out):
    """Loans, newest first."""

    object: Literal["list"]
    data: list[LoanView]
    has_more: bool
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; none on the last.")


class PortionsView(Out):
    """An amount by what it is for."""

    principal: int
    interest: int
    fees: int
    penalties: int
    total: int


class InstalmentView(Out):
    """An instalment, and what was actually paid of it."""

    number: int
    due_on: date
    due: PortionsView
    paid: PortionsView
    unpaid: int
    balance_after: int = Field(description="Principal that remains when this and all before it are paid.")
    status: Literal["paid", "overdue", "due", "upcoming"]
    paid_on: date | None


class RepaymentPartView(Out):
    """What a repayment paid; `instalment` 0 is principal ahead of the schedule."""

    instalment: int
    portion: str
    amount: int


class RepaymentView(Out):
    """Money that came in, and what it paid."""

    number: int
    received_on: date
    amount: int
    overpaid: int
    payment: str
    source: str
    parts: list[RepaymentPartView]
    reversed_on: date | None


class LoanSchedule(Out):
    """The schedule with what was actually paid; before the payout, as it is expected."""

    object: Literal["loan_schedule"]
    loan: str
    currency: str
    on: date = Field(description="The day as of which an instalment is due or overdue.")
    is_expected: bool = Field(description="Whether nothing is paid out yet.")
    instalments: list[InstalmentView]
    prepaid_principal: int = Field(
        description="Principal paid ahead of the schedule, which was made smaller by it: with what the instalments were "
        "paid, it is all that was received and not overpaid."
    )
    repayments: list[RepaymentView]


class PayoffView(Out):
    """What pays the loan off on a day, if nothing else happens until then."""

    object: Literal["loan_payoff"]
    loan: str
    on: date
    currency: str
    principal: int
    interest: int
    fees: int
    penalties: int
    total: int


class ProposalView(Out):
    """What one person proposed, and what another decided."""

    object: Literal["proposal"]
    id: str
    loan: str
    number: int
    kind: ProposalKind
    status: ProposalStatus
    maker: str
    made_at: datetime
    note: str
    restructure: dict[str, Any] | None = Field(description="The change of terms, for a restructuring.")
    checker: str | None
    checked_at: datetime | None


class ProposalList(Out):
    """A loan's proposals, oldest first."""

    object: Literal["list"]
    data: list[ProposalView]


class LoanEventView(Out):
    """One step of a loan."""

    key: str
    name: str = Field(description="Stable; branch on this.")
    text: str = Field(description="For people; may change.")
    at: datetime
    on: date = Field(description="The business day.")
    actor: str | None
    amount: int | None
    payment: str | None = Field(description="The payment that moved the money.")
    entry_key: str | None = Field(description="The journal entry that was booked.")
    transfers: list[TransferView]


class LoanTimeline(Out):
    """A loan's story, oldest first, to each ledger entry."""

    object: Literal["loan_timeline"]
    loan: str
    trace_id: str | None
    events: list[LoanEventView]
    has_more: bool
    next_cursor: str | None


class LiveLoan(Out):
    """What a loan is doing right now, as its workflow says; once it has ended, as it is written."""

    object: Literal["live_loan"]
    loan: LoanView
    step: str = Field(
        description="What it is doing; `waiting` while `waits_for` says for what, `done` when it has ended."
    )
    waits_for: str = Field(description="Whom or what it waits for; empty when it works.")
    wakes_on: date | None = Field(description="The day on which it goes on by itself.")
    compensations: list[str] = Field(description="What would be undone, in this order, if it failed now.")
    waiting_commands: int
    open_proposals: list[int]


class ClockLinks(Out):
    """Where to read on."""

    self: str
    temporal_ui: str


class ClockResource(Out):
    """A test clock; its loans have all reached the day it shows."""

    object: Literal["test_clock"]
    id: str
    name: str
    on: date
    advancing_to: date | None = Field(description="The day its loans are being moved to.")
    links: ClockLinks
