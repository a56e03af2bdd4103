"""What clients send to apply for a loan.

Invariant: unknown fields are refused; `terms` speak in decimal strings (major units), as a quote does, and every other amount is
an integer in minor units of the loan's currency: the type of a value says its unit.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from api.loans.problems import of_terms
from api.loans.terms import Day, DecimalText, Name, TermsBody, require_valid
from api.money_call import MoneyCall
from api.payments.commands import CARD_GATEWAY
from api.payments.requests import (
    AccountId,
    Amount,
    CardMethod,
    CustomerId,
    Metadata,
    PaymentMethod,
    WalletMethod,
    WireModel,
    source_of,
)
from domain import ids
from domain.errors import DomainError
from domain.loans.allocation import InAdvance, Portion, Strategy, Sweep, Timing
from domain.loans.application import (
    DEFAULT_POLICY,
    MAX_DAYS,
    MAX_RETRY_DAYS,
    MIN_AGE_YEARS,
    Applicant,
    Income,
    LoanApplication,
    Mandate,
    ServicingTerms,
)
from domain.loans.credit import CreditApplication
from domain.loans.credit_policies import POLICIES
from domain.loans.day_count import DayCount
from domain.loans.delinquency import LateFeeRule, PenaltyRate
from domain.money import MAX_AMOUNT_MINOR
from domain.payments.payment import PaymentKind

Minor = Annotated[StrictInt, Field(ge=0, le=MAX_AMOUNT_MINOR)]
"""An amount in minor units, zero included."""
Days = Annotated[StrictInt, Field(ge=0, le=MAX_DAYS)]
ClockId = Annotated[str, StringConstraints(pattern=r"^clk_[a-z0-9]{1,60}$")]
_TEXT = Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})


def _is_in_force(version: str) -> str:
    if version not in POLICIES:
        raise ValueError(f"known are: {', '.join(POLICIES)}")
    return version


PolicyVersion = Annotated[str, Field(json_schema_extra={"enum": [*POLICIES]}), AfterValidator(_is_in_force)]


def mandate_of(method: CardMethod | WalletMethod | None) -> Mandate | None:
    """Return where money is taken from, as loans keep it."""
    if method is None:
        return None
    if isinstance(method, WalletMethod):
        return Mandate(PaymentKind.WALLET, source_of(method))
    return Mandate(PaymentKind.CARD, source_of(method), CARD_GATEWAY)


class ApplicantBody(WireModel):
    """Who applies."""

    customer: CustomerId = Field(description="Your id of the person; what they owe us already counts by it.")
    name: Annotated[str, StringConstraints(min_length=1, max_length=200), _TEXT] = Field(
        description="Full name; it is checked against sanctions lists.", examples=["Sample Borrower"]
    )
    country: Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")] = Field(
        default="US", description="ISO 3166-1 alpha-2."
    )
    date_of_birth: Day | None = Field(
        default=None, description=f"Whoever is under {MIN_AGE_YEARS} is refused; left out, no age is guessed."
    )


class IncomeBody(WireModel):
    """What the applicant declares, a month, in minor units of the loan's currency."""

    monthly_income: Amount
    monthly_debt: Minor = 0


ConsumerScore = Annotated[str, StringConstraints(pattern=r"^([1-5](\.[0-9]{1,9})?|6)$"), Field(examples=["1"])]
MortgageScore = Annotated[str, StringConstraints(pattern=r"^([1-3](\.[0-9]{1,9})?|4)$"), Field(examples=["2"])]


class CreditBody(WireModel):
    """What is known for the decision; what is missing is null or left out, and never guessed. Ratios are shares of 1."""

    debt_to_income: DecimalText | None = Field(default=None, examples=["0.221"])
    housing_to_income: DecimalText | None = None
    loan_to_value: DecimalText | None = None
    consumer_credit_score: ConsumerScore | None = Field(
        default=None, description="`1` no slow payments … `6` 90 days late; estimates have decimals."
    )
    mortgage_credit_score: MortgageScore | None = Field(
        default=None, description="`1` never late … `4` often late; estimates have decimals."
    )
    bureau_score: Annotated[StrictInt, Field(ge=300, le=850)] | None = None
    public_bad_credit_record: StrictBool | None = None
    denied_mortgage_insurance: StrictBool | None = None
    self_employed: StrictBool | None = None
    industry_unemployment_percent: DecimalText | None = None

    def to_domain(self) -> CreditApplication:
        """Return it as the credit policies take it."""
        return CreditApplication.parse({name: value for name, value in self.model_dump().items() if value is not None})


class LateFeeBody(WireModel):
    """A fee for an instalment not paid in time, once an instalment; amounts in minor units."""

    amount: Minor = 0
    percent: DecimalText = Field(default="0", description="Of what is overdue of the instalment.")
    grace_days: Days = 0
    cap: Minor | None = Field(default=None, description="Most for one instalment.")
    loan_cap: Minor | None = Field(default=None, description="Most over the life of the loan.")
    least_overdue: Amount = Field(default=1, description="Below it nothing is charged.")


class PenaltyBody(WireModel):
    """Interest on overdue principal."""

    annual_rate_percent: DecimalText
    grace_days: Days = 0
    day_count: DayCount = DayCount.ACTUAL_365


class AllocationBody(WireModel):
    """In which order a repayment pays what is owed."""

    order: Annotated[list[tuple[Timing, Portion]], Field(min_length=12, max_length=12)] | None = Field(
        default=None,
        description="All twelve pairs of timing and portion; none: what is oldest first, and of that charges first.",
    )
    sweep: Sweep = Sweep.HORIZONTAL
    in_advance: InAdvance = InAdvance.NEXT_INSTALMENT


class ServicingBody(WireModel):
    """How the loan is served once it runs. Days are calendar days."""

    late_fee: LateFeeBody = Field(default_factory=LateFeeBody)
    penalty: PenaltyBody | None = None
    allocation: AllocationBody = Field(default_factory=AllocationBody)
    retry_days: Annotated[list[Days], Field(max_length=MAX_RETRY_DAYS)] = Field(
        default=[3, 7], description="Days after a due date on which a failed collection is tried again."
    )
    reminder_days: Annotated[list[Days], Field(max_length=MAX_RETRY_DAYS)] = Field(
        default=[3], description="Days before a due date on which the borrower is reminded."
    )
    offer_days: Days = Field(default=30, description="How long an offer stands.")
    reopen_days: Days = Field(default=180, description="For how long a returned payment can open a closed loan again.")
    recovery_days: Days = Field(default=MAX_DAYS, description="For how long a written-off loan waits for recoveries.")

    def to_domain(self) -> ServicingTerms:
        """Return it as the loan keeps it. Raises LoanTermsError."""
        fee, penalty, allocation = self.late_fee, self.penalty, self.allocation
        return ServicingTerms(
            strategy=Strategy(sweep=allocation.sweep, in_advance=allocation.in_advance)
            if allocation.order is None
            else Strategy(tuple(allocation.order), allocation.sweep, allocation.in_advance),
            late_fee=LateFeeRule(
                fee.amount, Decimal(fee.percent), fee.grace_days, fee.cap, fee.loan_cap, fee.least_overdue
            ),
            penalty=None
            if penalty is None
            else PenaltyRate(Decimal(penalty.annual_rate_percent), penalty.grace_days, penalty.day_count),
            retry_days=tuple(self.retry_days),
            reminder_days=tuple(self.reminder_days),
            offer_days=self.offer_days,
            reopen_days=self.reopen_days,
            recovery_days=self.recovery_days,
        )


class ApplyForLoan(WireModel):
    """An application for a loan."""

    applicant: ApplicantBody
    terms: TermsBody
    funding_account: AccountId = Field(description="The lender's account that pays out and is repaid.")
    payout_account: AccountId = Field(description="The borrower's wallet.")
    policy: PolicyVersion = Field(default=DEFAULT_POLICY, description="The rules that decide, by their version.")
    income: IncomeBody | None = Field(default=None, description="The ratios of the policy are calculated from it.")
    credit: CreditBody = Field(
        default_factory=CreditBody, description="What was found out already; it takes precedence."
    )
    mandate: PaymentMethod | None = Field(
        default=None, description="Where instalments are collected when they fall due."
    )
    servicing: ServicingBody = Field(default_factory=ServicingBody)
    test_clock: ClockId | None = Field(
        default=None, description="A test clock whose days the loan follows; none: real time."
    )
    metadata: Metadata = Field(default_factory=dict, description="Your own names and values; returned as they are.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "applicant": {"customer": "cus_17", "name": "Sample Borrower", "country": "US"},
                    "terms": {
                        "principal": "1200.00",
                        "currency": "USD",
                        "annual_rate_percent": "12",
                        "instalments": 12,
                        "every": "1 month",
                    },
                    "funding_account": "lender",
                    "payout_account": "borrower",
                    "income": {"monthly_income": 500000, "monthly_debt": 50000},
                    "mandate": {"type": "wallet", "account": "borrower"},
                    "servicing": {"late_fee": {"amount": 1500, "grace_days": 5}},
                }
            ]
        }
    )

    def application(self, call: MoneyCall, today: date) -> LoanApplication:
        """Return the application; its id follows from tenant and key alone. Raises Problem 422 naming the field."""
        applicant, income = self.applicant, self.income
        try:
            servicing = self.servicing.to_domain()
        except DomainError as error:
            raise of_terms(error, "/servicing") from None
        asked = LoanApplication(
            tenant_id=call.tenant_id,
            id=ids.loan_id(call.tenant_id, call.key),
            applicant=Applicant(applicant.customer, applicant.name, applicant.country, applicant.date_of_birth),
            terms=self.terms.terms(today),
            funding_account=self.funding_account,
            payout_account=self.payout_account,
            created_at=datetime.now(UTC),
            credit=self.credit.to_domain(),
            income=None if income is None else Income(income.monthly_income, income.monthly_debt),
            policy_version=self.policy,
            mandate=mandate_of(self.mandate),
            servicing=servicing,
            test_clock=self.test_clock,
            metadata=self.metadata,
            trace_id=call.trace_id,
        )
        require_valid(asked, today)
        return asked


class CreateClock(WireModel):
    """A test clock to make."""

    on: Day | None = Field(default=None, description="The day it shows at first; none: today.")
    name: Name = ""

    model_config = ConfigDict(json_schema_extra={"examples": [{"on": "2026-01-15", "name": "a year in a minute"}]})


class AdvanceClockBody(WireModel):
    """A later day for a test clock to show."""

    to: Day

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": "2026-02-15"}]})
