"""Credit decisions: approve, refer to a person, or decline, each with the reasons an adverse-action letter needs.

Invariant: a decision follows from the application and a versioned policy alone, and names every rule that spoke. The
worst outcome of any rule is the decision; a value the policy needs and does not have is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum

from domain.loans.errors import LoanTermsError
from domain.loans.fields import read_decimal

MAX_LETTER_REASONS = 4
"""More than four reasons do not help an applicant (Regulation B, 12 CFR 1002, comment 9(b)(2)-1)."""

_MISSING = frozenset(("", "na", "n/a", "none"))
_BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}


class Outcome(StrEnum):
    """What is decided, from best to worst."""

    APPROVE = "approve"
    REFER = "refer"
    DECLINE = "decline"


class Reason(StrEnum):
    """Reasons as the sample notices of Regulation B word them (12 CFR 1002, appendix C, form C-1), and one for approval."""

    MEETS_POLICY = "meets_policy"
    INCOMPLETE = "credit_application_incomplete"
    INSUFFICIENT_INCOME = "income_insufficient_for_amount_of_credit_requested"
    EXCESSIVE_OBLIGATIONS = "excessive_obligations_in_relation_to_income"
    LIMITED_EXPERIENCE = "limited_credit_experience"
    DELINQUENT_OBLIGATIONS = "delinquent_past_or_present_credit_obligations_with_others"
    JUDGMENT_OR_BANKRUPTCY = "collection_action_judgment_foreclosure_or_bankruptcy"
    COLLATERAL = "value_or_type_of_collateral_not_sufficient"
    EMPLOYMENT = "temporary_or_irregular_employment"
    OTHER_INSURANCE = "other_mortgage_insurance_refused"
    BUREAU_SCORE = "poor_credit_performance_in_bureau_report"


STATEMENTS: Mapping[Reason, str] = {
    Reason.MEETS_POLICY: "The application meets the credit policy.",
    Reason.INCOMPLETE: "Credit application incomplete",
    Reason.INSUFFICIENT_INCOME: "Income insufficient for amount of credit requested",
    Reason.EXCESSIVE_OBLIGATIONS: "Excessive obligations in relation to income",
    Reason.LIMITED_EXPERIENCE: "Limited credit experience",
    Reason.DELINQUENT_OBLIGATIONS: "Delinquent past or present credit obligations with others",
    Reason.JUDGMENT_OR_BANKRUPTCY: "Collection action, judgment, foreclosure or bankruptcy",
    Reason.COLLATERAL: "Value or type of collateral not sufficient",
    Reason.EMPLOYMENT: "Temporary or irregular employment",
    Reason.OTHER_INSURANCE: "Other: mortgage insurance was refused",
    Reason.BUREAU_SCORE: "Poor credit performance in the bureau report",
}


@dataclass(frozen=True, slots=True)
class CreditApplication:
    """What a decision is made on; None is missing. Ratios are shares of 1.

    `debt_to_income` and `housing_to_income` are monthly payments over monthly income, the new loan included;
    `instalment_to_income` is the new loan's alone; `exposure_to_income` all that is owed to us, the new loan included,
    over a year's income. `consumer_credit_score`: 1 no slow payments, 2 one or two, 3 more, 4 too little history, 5 60 days
    late, 6 90 days late. `mortgage_credit_score`: 1 never late, 2 no history, 3 once or twice late, 4 more often.
    `bureau_score` runs from 300 to 850.
    """

    debt_to_income: Decimal | None = None
    housing_to_income: Decimal | None = None
    instalment_to_income: Decimal | None = None
    exposure_to_income: Decimal | None = None
    loan_to_value: Decimal | None = None
    consumer_credit_score: Decimal | None = None
    mortgage_credit_score: Decimal | None = None
    bureau_score: Decimal | None = None
    public_bad_credit_record: bool | None = None
    denied_mortgage_insurance: bool | None = None
    self_employed: bool | None = None
    industry_unemployment_percent: Decimal | None = None

    @classmethod
    def parse(cls, data: Mapping[str, object]) -> CreditApplication:
        """Read the fields by name; empty and `NA` are missing, others are ignored. Raises LoanTermsError on nonsense."""
        return cls(**{each.name: _read(each.name, data.get(each.name)) for each in fields(cls)})  # type: ignore[arg-type]

    @classmethod
    def of_income(
        cls,
        *,
        monthly_income: int,
        monthly_debt: int,
        instalment: int,
        requested: int,
        exposure: int = 0,
        bureau_score: int | None = None,
        self_employed: bool | None = None,
    ) -> CreditApplication:
        """Return an application for a loan without security. Amounts in minor units of one currency; income above zero."""
        if monthly_income <= 0:
            raise LoanTermsError("monthly_income", "it is not greater than zero.", advice="Send the income of a month.")
        income = Decimal(monthly_income)
        return cls(
            debt_to_income=(monthly_debt + instalment) / income,
            instalment_to_income=instalment / income,
            exposure_to_income=(exposure + requested) / (12 * income),
            bureau_score=None if bureau_score is None else Decimal(bureau_score),
            self_employed=self_employed,
        )


def _read(name: str, value: object) -> Decimal | bool | None:
    text = str(value).strip().lower()
    if value is None or text in _MISSING:
        return None
    if name in ("public_bad_credit_record", "denied_mortgage_insurance", "self_employed"):
        if text not in _BOOLEANS:
            raise LoanTermsError(name, f"{value!r} is neither yes nor no.", advice="Send yes or no, or leave it out.")
        return _BOOLEANS[text]
    return read_decimal(text, name)


class Comparison(StrEnum):
    """How a value is compared with a limit."""

    ABOVE = "above"
    BELOW = "below"
    AT_LEAST = "at_least"
    IS = "is"


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one field with a limit. A missing value meets no condition."""

    field: str
    comparison: Comparison
    limit: Decimal | bool

    def holds(self, application: CreditApplication) -> bool:
        """Return whether the application's value meets the condition."""
        value = getattr(application, self.field)
        if value is None:
            return False
        match self.comparison:
            case Comparison.ABOVE:
                return bool(value > self.limit)
            case Comparison.BELOW:
                return bool(value < self.limit)
            case Comparison.AT_LEAST:
                return bool(value >= self.limit)
            case Comparison.IS:
                return bool(value == self.limit)

    def __str__(self) -> str:
        limit = ("yes" if self.limit else "no") if isinstance(self.limit, bool) else str(self.limit)
        return f"{self.field} {self.comparison.value.replace('_', ' ')} {limit}"


@dataclass(frozen=True, slots=True)
class Rule:
    """All conditions together lead to an outcome, for a reason."""

    code: str
    outcome: Outcome
    reason: Reason
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A set of rules under a version, and the fields without which a person has to decide."""

    version: str
    required: tuple[str, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that spoke: what it was about, in words, and what that leads to."""

    rule: str
    outcome: Outcome
    reason: Reason
    explanation: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, by which version of which policy, and every finding, the gravest first."""

    outcome: Outcome
    policy_version: str
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Return the principal reasons of the outcome for a letter to the applicant, at most four, none twice."""
        of_outcome = dict.fromkeys(finding.reason for finding in self.findings if finding.outcome is self.outcome)
        return tuple(of_outcome)[:MAX_LETTER_REASONS]


_GRAVITY = {Outcome.DECLINE: 0, Outcome.REFER: 1, Outcome.APPROVE: 2}


def decide(application: CreditApplication, policy: Policy) -> Decision:
    """Return the decision of a policy on an application."""
    findings = [
        Finding(
            rule.code,
            rule.outcome,
            rule.reason,
            "; ".join(f"{each} (is {getattr(application, each.field)})" for each in rule.conditions),
        )
        for rule in policy.rules
        if all(condition.holds(application) for condition in rule.conditions)
    ]
    missing = [name for name in policy.required if getattr(application, name) is None]
    if missing:
        findings.append(Finding("incomplete", Outcome.REFER, Reason.INCOMPLETE, f"missing: {', '.join(missing)}"))
    if not findings:
        findings.append(
            Finding("policy", Outcome.APPROVE, Reason.MEETS_POLICY, "no rule speaks against the application")
        )
    findings.sort(key=lambda finding: _GRAVITY[finding.outcome])
    return Decision(findings[0].outcome, policy.version, tuple(findings))
