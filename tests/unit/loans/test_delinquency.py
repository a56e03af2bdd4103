"""Days past due, buckets, late fees and penalty interest."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.loans.allocation import InstalmentBalance
from domain.loans.delinquency import (
    LateFeeRule,
    PenaltyRate,
    bucket_of,
    delinquency_on,
    late_fee,
    penalty_accrual,
    penalty_interest,
)
from domain.loans.errors import LoanTermsError
from tests.unit.loans.builders import day

OPEN = InstalmentBalance(1, day("2024-01-15"), principal=50_000, interest=5_000)


@pytest.mark.parametrize(
    ("days", "name"),
    [
        (0, "current"),
        (1, "1-29"),
        (29, "1-29"),
        (30, "30-59"),
        (89, "60-89"),
        (90, "90-119"),
        (179, "150-179"),
        (180, "180+"),
        (999, "180+"),
    ],
)
def test_a_number_of_days_falls_in_one_bucket(days: int, name: str) -> None:
    assert bucket_of(days).name == name


def test_days_past_due_are_counted_from_the_oldest_unpaid_instalment() -> None:
    later = InstalmentBalance(2, day("2024-02-15"), principal=50_000, fee=700)
    state = delinquency_on([later, OPEN], day("2024-03-20"))
    assert (state.days_past_due, state.bucket.name, state.oldest_due_on) == (65, "60-89", day("2024-01-15"))
    assert (state.overdue_principal, state.overdue_interest, state.overdue_charges) == (100_000, 5_000, 700)
    assert state.overdue == 105_700


def test_an_instalment_is_not_late_on_its_due_date() -> None:
    assert delinquency_on([OPEN], OPEN.due_on).days_past_due == 0
    assert delinquency_on([OPEN], OPEN.due_on + timedelta(days=1)).days_past_due == 1


def test_a_paid_instalment_is_not_late() -> None:
    state = delinquency_on([replace(OPEN, principal=0, interest=0)], day("2024-12-01"))
    assert (state.days_past_due, state.bucket.name, state.oldest_due_on) == (0, "current", None)


def test_a_late_fee_waits_for_the_days_of_grace() -> None:
    rule = LateFeeRule(amount=2_500, grace_days=10)
    assert late_fee(rule, OPEN, day("2024-01-25")) == 0
    assert late_fee(rule, OPEN, day("2024-01-26")) == 2_500
    assert late_fee(rule, OPEN, day("2024-02-26"), already_charged=True) == 0


def test_a_late_fee_is_a_percentage_up_to_its_cap() -> None:
    rule = LateFeeRule(percent=Decimal(5), cap=2_000)
    assert late_fee(replace(rule, cap=None), OPEN, day("2024-02-01")) == 2_750
    assert late_fee(rule, OPEN, day("2024-02-01")) == 2_000
    assert late_fee(replace(rule, loan_cap=5_000), OPEN, day("2024-02-01"), charged_on_loan=4_200) == 800
    assert late_fee(replace(rule, loan_cap=5_000), OPEN, day("2024-02-01"), charged_on_loan=5_200) == 0


def test_no_fee_is_charged_on_fees_or_on_a_trifle() -> None:
    rule = LateFeeRule(percent=Decimal(5), least_overdue=1_000)
    only_fees = replace(OPEN, principal=0, interest=900, fee=90_000)
    assert late_fee(rule, only_fees, day("2024-03-01")) == 0


def test_a_negative_late_fee_is_refused() -> None:
    with pytest.raises(LoanTermsError):
        LateFeeRule(percent=Decimal(-1))


def test_penalty_interest_counts_from_the_due_date_once_the_grace_is_over() -> None:
    rate = PenaltyRate(Decimal("7.3"), grace_days=5)
    assert penalty_interest(rate, 1_000_000, day("2024-01-15"), day("2024-01-20")) == 0
    assert penalty_interest(rate, 1_000_000, day("2024-01-15"), day("2024-01-21")) == 1_200


@given(
    st.integers(min_value=1, max_value=10**8),
    st.integers(min_value=0, max_value=400),
    st.integers(min_value=0, max_value=30),
)
def test_daily_penalty_accruals_add_up(principal: int, days: int, grace: int) -> None:
    rate = PenaltyRate(Decimal("12.5"), grace_days=grace)
    due_on = day("2024-01-15")
    accrued = [penalty_accrual(rate, principal, due_on, due_on + timedelta(days=number)) for number in range(days + 1)]
    assert sum(accrued) == penalty_interest(rate, principal, due_on, due_on + timedelta(days=days))
    assert all(amount >= 0 for amount in accrued)
