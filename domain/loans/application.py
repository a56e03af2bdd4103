"""What is applied for: who, how much, on which terms, from which accounts, and how the loan will be served.

Invariant: an application never changes; what is decided about it is kept beside it, in the loan.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from domain.loans.allocation import Strategy
from domain.loans.amortization import schedule_of
from domain.loans.credit import CreditApplication
from domain.loans.credit_policies import policy
from domain.loans.delinquency import LateFeeRule, PenaltyRate
from domain.loans.errors import LoanTermsError
from domain.loans.schedule import plan_of
from domain.loans.terms import LoanTerms
from domain.money import positive
from domain.payments.payment import PaymentKind

DEFAULT_POLICY = "personal-2026-1"
MAX_NAME = 200
MIN_AGE_YEARS = 18
"""Who is younger cannot bind themselves by a loan's contract; Regulation B lets a lender ask for that (12 CFR 1002.2(z))."""
MAX_RETRY_DAYS = 10
MAX_DAYS = 3_650


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who applies. `customer` is the client's own id of the person; `country` is ISO 3166-1 alpha-2."""

    customer: str
    name: str
    country: str = "US"
    date_of_birth: date | None = None

    def validate(self, on: date) -> None:
        """Raise LoanTermsError when this person cannot apply on a day. Without a date of birth no age is guessed."""
        if not 0 < len(self.name.strip()) <= MAX_NAME:
            raise LoanTermsError("applicant.name", "it is empty or too long.", advice="Send the applicant's full name.")
        born_on = self.date_of_birth
        if born_on is None:
            return
        if born_on >= on:
            raise LoanTermsError(
                "applicant.date_of_birth", f"{born_on} is not in the past.", advice="Send the applicant's own."
            )
        age = on.year - born_on.year - ((on.month, on.day) < (born_on.month, born_on.day))
        if age < MIN_AGE_YEARS:
            raise LoanTermsError(
                "applicant.date_of_birth",
                f"the applicant is under {MIN_AGE_YEARS} on {on}.",
                advice=f"Apply for somebody of at least {MIN_AGE_YEARS}.",
            )


@dataclass(frozen=True, slots=True)
class Income:
    """What the applicant declares, in minor units of the loan's currency, a month."""

    monthly_income: int
    monthly_debt: int = 0


@dataclass(frozen=True, slots=True)
class Mandate:
    """Where instalments are collected: a wallet's account, or a card token kept by a gateway."""

    kind: PaymentKind
    source: str
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class ServicingTerms:
    """How the loan is served once it runs. Days are calendar days.

    `retry_days`: days after a due date on which a failed collection is tried again. `reminder_days`: days before it on which
    the borrower is reminded. `reopen_days`: for how long after closing a returned payment can open the loan again.
    `recovery_days`: for how long a written-off loan waits for recoveries.
    """

    strategy: Strategy = field(default_factory=Strategy)
    late_fee: LateFeeRule = field(default_factory=LateFeeRule)
    penalty: PenaltyRate | None = None
    retry_days: tuple[int, ...] = (3, 7)
    reminder_days: tuple[int, ...] = (3,)
    offer_days: int = 30
    reopen_days: int = 180
    recovery_days: int = MAX_DAYS

    def __post_init__(self) -> None:
        days = (*self.retry_days, *self.reminder_days, self.offer_days, self.reopen_days, self.recovery_days)
        if min(days) < 0 or max(days) > MAX_DAYS or max(len(self.retry_days), len(self.reminder_days)) > MAX_RETRY_DAYS:
            raise LoanTermsError(
                "servicing", "a number of days is negative or too large.", advice=f"Send days from 0 to {MAX_DAYS}."
            )


@dataclass(frozen=True, slots=True)
class LoanApplication:
    """One application. `terms.disbursed_on` is the expected day; the real one replaces it when the money goes out.

    `funding_account` is the lender's account that pays out and is repaid, `payout_account` the borrower's wallet.
    `credit` holds what is known for the decision; with `income`, the ratios are calculated, our exposure included.
    `replaces` is the loan that this one takes the place of, when a loan was rescheduled: it begins with what that one owed.
    """

    tenant_id: str
    id: str
    applicant: Applicant
    terms: LoanTerms
    funding_account: str
    payout_account: str
    created_at: datetime
    credit: CreditApplication = field(default_factory=CreditApplication)
    income: Income | None = None
    policy_version: str = DEFAULT_POLICY
    mandate: Mandate | None = None
    servicing: ServicingTerms = field(default_factory=ServicingTerms)
    test_clock: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    trace_id: str | None = None
    replaces: str | None = None

    def validate(self, on: date) -> None:
        """Raise LoanTermsError or InvalidAmount, naming the field, when this, applied for on a day, can never become a loan."""
        positive(self.terms.principal, self.terms.currency)
        policy(self.policy_version)
        self.applicant.validate(on)
        if self.funding_account == self.payout_account:
            raise LoanTermsError(
                "payout_account", "it is the funding account.", advice="Send the borrower's own wallet account."
            )
        for index, tranche in enumerate(self.terms.tranches):
            if self.terms.withheld(tranche.amount, first=False) >= tranche.amount:
                raise LoanTermsError(
                    f"disbursements[{index}].amount",
                    "the fees withheld from it leave nothing to pay out.",
                    advice="Send a larger tranche, or smaller disbursement fees.",
                )
        schedule_of(plan_of(self.terms))

    def terms_from(self, on: date) -> LoanTerms:
        """Return the terms with the money paid out on a day. A first due date not after it moves by whole periods."""
        first = self.terms.first_due_on
        if first is not None and first <= on:
            steps = next(n for n in range(1, MAX_DAYS) if self.terms.every.step(first, n) > on)
            first = self.terms.every.step(first, steps)
        return replace(self.terms, disbursed_on=on, first_due_on=first)

    def assess(self, *, exposure: int, bureau_score: int | None) -> CreditApplication:
        """Return what the decision is made on: what was sent, completed by income, our exposure and the bureau's score.

        `exposure` is what the customer owes us already, in minor units. What was sent takes precedence.
        """
        sent = self.credit
        score = Decimal(bureau_score) if bureau_score is not None and sent.bureau_score is None else sent.bureau_score
        if self.income is None:
            return replace(sent, bureau_score=score)
        ratios = CreditApplication.of_income(
            monthly_income=self.income.monthly_income,
            monthly_debt=self.income.monthly_debt,
            instalment=_monthly(self.terms),
            requested=self.terms.lent,
            exposure=exposure,
        )
        return replace(
            sent,
            bureau_score=score,
            debt_to_income=sent.debt_to_income if sent.debt_to_income is not None else ratios.debt_to_income,
            instalment_to_income=ratios.instalment_to_income,
            exposure_to_income=ratios.exposure_to_income,
        )


def _monthly(terms: LoanTerms) -> int:
    """Return what the loan costs in an average month: all instalments over the months it runs, at least one."""
    rows = schedule_of(plan_of(terms)).instalments
    months = max(Decimal((rows[-1].due_on - terms.disbursed_on).days) * 12 / 365, Decimal(1))
    return int(sum(row.amount for row in rows) / months)
