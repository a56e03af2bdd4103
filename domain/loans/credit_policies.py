"""The credit policies in force: which limits lead to which outcome, and why.

Invariant: a policy in force is never edited; a change is a new version beside it, so that an old decision can be shown
to follow from what was in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from domain.loans.credit import Comparison, Condition, Outcome, Policy, Reason, Rule
from domain.loans.errors import LoanTermsError

_D, _R = Outcome.DECLINE, Outcome.REFER


def _above(field: str, limit: str) -> Condition:
    return Condition(field, Comparison.ABOVE, Decimal(limit))


def _at_least(field: str, limit: int) -> Condition:
    return Condition(field, Comparison.AT_LEAST, Decimal(limit))


def _yes(field: str) -> Condition:
    return Condition(field, Comparison.IS, limit=True)


_RECORD = _yes("public_bad_credit_record")

MORTGAGE = Policy(
    version="mortgage-2026-1",
    required=(
        "debt_to_income",
        "housing_to_income",
        "loan_to_value",
        "consumer_credit_score",
        "mortgage_credit_score",
        "public_bad_credit_record",
        "denied_mortgage_insurance",
        "self_employed",
    ),
    rules=(
        Rule("insurance-refused", _D, Reason.OTHER_INSURANCE, (_yes("denied_mortgage_insurance"),)),
        Rule("record-and-late", _D, Reason.JUDGMENT_OR_BANKRUPTCY, (_RECORD, _at_least("consumer_credit_score", 5))),
        Rule("debt-over-half", _D, Reason.EXCESSIVE_OBLIGATIONS, (_above("debt_to_income", "0.50"),)),
        # 43 % is the limit of the qualified mortgage of Regulation Z, 1026.43(e)(2)(vi), in its first form.
        Rule("debt-over-43", _R, Reason.EXCESSIVE_OBLIGATIONS, (_above("debt_to_income", "0.43"),)),
        Rule("housing-over-36", _R, Reason.INSUFFICIENT_INCOME, (_above("housing_to_income", "0.36"),)),
        Rule("value-over-95", _R, Reason.COLLATERAL, (_above("loan_to_value", "0.95"),)),
        Rule("public-record", _R, Reason.JUDGMENT_OR_BANKRUPTCY, (_RECORD,)),
        Rule("90-days-late", _R, Reason.DELINQUENT_OBLIGATIONS, (_at_least("consumer_credit_score", 6),)),
        Rule("mortgage-often-late", _R, Reason.DELINQUENT_OBLIGATIONS, (_at_least("mortgage_credit_score", 4),)),
        Rule(
            "thin-history",
            _R,
            Reason.LIMITED_EXPERIENCE,
            (Condition("consumer_credit_score", Comparison.IS, Decimal(4)),),
        ),
        Rule(
            "own-business-stretched",
            _R,
            Reason.EMPLOYMENT,
            (_yes("self_employed"), _above("debt_to_income", "0.40")),
        ),
    ),
)
"""For a loan secured on a home: affordability, collateral, and how earlier debts were paid."""

PERSONAL = Policy(
    version="personal-2026-1",
    required=("debt_to_income", "instalment_to_income", "exposure_to_income", "bureau_score"),
    rules=(
        Rule("score-under-580", _D, Reason.BUREAU_SCORE, (Condition("bureau_score", Comparison.BELOW, Decimal(580)),)),
        Rule("debt-over-half", _D, Reason.EXCESSIVE_OBLIGATIONS, (_above("debt_to_income", "0.50"),)),
        Rule("instalment-over-35", _D, Reason.INSUFFICIENT_INCOME, (_above("instalment_to_income", "0.35"),)),
        Rule("exposure-over-income", _D, Reason.EXCESSIVE_OBLIGATIONS, (_above("exposure_to_income", "1.00"),)),
        Rule("score-under-660", _R, Reason.BUREAU_SCORE, (Condition("bureau_score", Comparison.BELOW, Decimal(660)),)),
        Rule("debt-over-40", _R, Reason.EXCESSIVE_OBLIGATIONS, (_above("debt_to_income", "0.40"),)),
        Rule("instalment-over-25", _R, Reason.INSUFFICIENT_INCOME, (_above("instalment_to_income", "0.25"),)),
        Rule("exposure-over-60", _R, Reason.EXCESSIVE_OBLIGATIONS, (_above("exposure_to_income", "0.60"),)),
        Rule(
            "own-business-stretched",
            _R,
            Reason.EMPLOYMENT,
            (_yes("self_employed"), _above("debt_to_income", "0.36")),
        ),
    ),
)
"""For a loan without security: income, debt, bureau score, and what is already owed to us."""

POLICIES: Mapping[str, Policy] = MappingProxyType({policy.version: policy for policy in (MORTGAGE, PERSONAL)})


def policy(version: str) -> Policy:
    """Return a policy by its version. Raises LoanTermsError when there is none."""
    try:
        return POLICIES[version]
    except KeyError:
        raise LoanTermsError(
            "policy_version", f"{version!r} is not known.", advice=f"Known are: {', '.join(POLICIES)}."
        ) from None
