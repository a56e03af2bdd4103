"""Credit decisions: every one explained, no missing value guessed."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.loans.credit import STATEMENTS, CreditApplication, Outcome, Reason, decide
from domain.loans.credit_policies import MORTGAGE, PERSONAL, POLICIES, policy
from domain.loans.errors import LoanTermsError

GOOD = CreditApplication(
    debt_to_income=Decimal("0.30"),
    housing_to_income=Decimal("0.25"),
    loan_to_value=Decimal("0.80"),
    consumer_credit_score=Decimal(1),
    mortgage_credit_score=Decimal(1),
    public_bad_credit_record=False,
    denied_mortgage_insurance=False,
    self_employed=False,
    industry_unemployment_percent=Decimal("3.9"),
)
RATIOS = st.one_of(st.none(), st.decimals(min_value=0, max_value=3, places=2))
FLAGS = st.one_of(st.none(), st.booleans())
APPLICATIONS = st.builds(
    CreditApplication,
    debt_to_income=RATIOS,
    housing_to_income=RATIOS,
    instalment_to_income=RATIOS,
    exposure_to_income=RATIOS,
    loan_to_value=RATIOS,
    consumer_credit_score=st.one_of(st.none(), st.integers(min_value=1, max_value=6).map(Decimal)),
    mortgage_credit_score=st.one_of(st.none(), st.integers(min_value=1, max_value=4).map(Decimal)),
    bureau_score=st.one_of(st.none(), st.integers(min_value=300, max_value=850).map(Decimal)),
    public_bad_credit_record=FLAGS,
    denied_mortgage_insurance=FLAGS,
    self_employed=FLAGS,
)


def test_an_application_within_the_policy_is_approved() -> None:
    decision = decide(GOOD, MORTGAGE)
    assert (decision.outcome, decision.reasons, decision.policy_version) == (
        Outcome.APPROVE,
        (Reason.MEETS_POLICY,),
        "mortgage-2026-1",
    )


@pytest.mark.parametrize(
    ("change", "outcome", "reason"),
    [
        ({"denied_mortgage_insurance": True}, Outcome.DECLINE, Reason.OTHER_INSURANCE),
        ({"debt_to_income": Decimal("0.51")}, Outcome.DECLINE, Reason.EXCESSIVE_OBLIGATIONS),
        ({"debt_to_income": Decimal("0.50")}, Outcome.REFER, Reason.EXCESSIVE_OBLIGATIONS),
        ({"public_bad_credit_record": True}, Outcome.REFER, Reason.JUDGMENT_OR_BANKRUPTCY),
        (
            {"public_bad_credit_record": True, "consumer_credit_score": Decimal(5)},
            Outcome.DECLINE,
            Reason.JUDGMENT_OR_BANKRUPTCY,
        ),
        ({"loan_to_value": Decimal("0.96")}, Outcome.REFER, Reason.COLLATERAL),
        ({"housing_to_income": Decimal("0.40")}, Outcome.REFER, Reason.INSUFFICIENT_INCOME),
        ({"consumer_credit_score": Decimal(4)}, Outcome.REFER, Reason.LIMITED_EXPERIENCE),
        ({"consumer_credit_score": Decimal(6)}, Outcome.REFER, Reason.DELINQUENT_OBLIGATIONS),
        ({"mortgage_credit_score": None}, Outcome.REFER, Reason.INCOMPLETE),
    ],
)
def test_each_rule_speaks_for_its_reason(
    change: dict[str, Decimal | bool | None], outcome: Outcome, reason: Reason
) -> None:
    decision = decide(replace(GOOD, **change), MORTGAGE)  # type: ignore[arg-type]
    assert (decision.outcome, decision.reasons) == (outcome, (reason,))


def test_a_finding_says_what_was_found_and_what_the_limit_is() -> None:
    decision = decide(replace(GOOD, debt_to_income=Decimal("0.47")), MORTGAGE)
    assert decision.findings[0].explanation == "debt_to_income above 0.43 (is 0.47)"


def test_a_decline_names_its_own_reasons_and_not_those_of_a_referral() -> None:
    decision = decide(replace(GOOD, debt_to_income=Decimal("0.70"), loan_to_value=Decimal("1.10")), MORTGAGE)
    assert decision.reasons == (Reason.EXCESSIVE_OBLIGATIONS,)
    assert {finding.reason for finding in decision.findings} == {Reason.EXCESSIVE_OBLIGATIONS, Reason.COLLATERAL}


def test_a_missing_value_is_referred_even_where_all_else_is_well() -> None:
    decision = decide(CreditApplication.parse({"debt_to_income": "0.2", "self_employed": "NA"}), MORTGAGE)
    assert (decision.outcome, decision.reasons) == (Outcome.REFER, (Reason.INCOMPLETE,))
    assert "self_employed" in decision.findings[0].explanation


def test_a_loan_without_security_is_judged_by_income_score_and_exposure() -> None:
    application = CreditApplication.of_income(
        monthly_income=400_000,
        monthly_debt=60_000,
        instalment=40_000,
        requested=1_000_000,
        exposure=200_000,
        bureau_score=720,
    )
    assert (application.debt_to_income, application.instalment_to_income) == (Decimal("0.25"), Decimal("0.1"))
    assert application.exposure_to_income == Decimal("0.25")
    assert decide(application, PERSONAL).outcome is Outcome.APPROVE


@pytest.mark.parametrize(
    ("field", "value", "outcome", "reason"),
    [
        ("bureau_score", "579", Outcome.DECLINE, Reason.BUREAU_SCORE),
        ("bureau_score", "659", Outcome.REFER, Reason.BUREAU_SCORE),
        ("instalment_to_income", "0.36", Outcome.DECLINE, Reason.INSUFFICIENT_INCOME),
        ("exposure_to_income", "1.2", Outcome.DECLINE, Reason.EXCESSIVE_OBLIGATIONS),
        ("exposure_to_income", "0.7", Outcome.REFER, Reason.EXCESSIVE_OBLIGATIONS),
        ("bureau_score", None, Outcome.REFER, Reason.INCOMPLETE),
    ],
)
def test_a_personal_loan_has_limits_of_its_own(field: str, value: str | None, outcome: Outcome, reason: Reason) -> None:
    sound = {"debt_to_income": "0.2", "instalment_to_income": "0.1", "exposure_to_income": "0.3", "bureau_score": "700"}
    decision = decide(CreditApplication.parse(sound | {field: value}), PERSONAL)
    assert (decision.outcome, decision.reasons) == (outcome, (reason,))


@given(APPLICATIONS, st.sampled_from([MORTGAGE, PERSONAL]))
def test_every_decision_has_its_reasons(application: CreditApplication, rules: object) -> None:
    decision = decide(application, rules)  # type: ignore[arg-type]
    assert decision.reasons
    assert all(reason in STATEMENTS for reason in decision.reasons)
    assert decision == decide(application, rules)  # type: ignore[arg-type]
    assert (decision.outcome is Outcome.APPROVE) == (decision.reasons == (Reason.MEETS_POLICY,))


@given(APPLICATIONS, st.sampled_from(["debt_to_income", "housing_to_income", "loan_to_value", "consumer_credit_score"]))
def test_a_worse_value_never_leads_to_a_better_outcome(application: CreditApplication, field: str) -> None:
    gravity = [Outcome.APPROVE, Outcome.REFER, Outcome.DECLINE]
    value = getattr(application, field)
    if value is not None and not (field == "consumer_credit_score" and value in (3, 4)):
        worse = replace(application, **{field: value + 1})
        assert gravity.index(decide(worse, MORTGAGE).outcome) >= gravity.index(decide(application, MORTGAGE).outcome)


def test_every_policy_is_known_by_its_version_and_reads_only_fields_there_are() -> None:
    names = {each.name for each in fields(CreditApplication)}
    for version, rules in POLICIES.items():
        assert policy(version) is rules
        assert set(rules.required) <= names
        assert {condition.field for rule in rules.rules for condition in rule.conditions} <= names
        assert len({rule.code for rule in rules.rules}) == len(rules.rules)


def test_an_unknown_policy_and_an_unreadable_value_are_refused() -> None:
    with pytest.raises(LoanTermsError):
        policy("mortgage-1999-1")
    with pytest.raises(LoanTermsError) as refusal:
        CreditApplication.parse({"self_employed": "perhaps"})
    assert refusal.value.field == "self_employed"
