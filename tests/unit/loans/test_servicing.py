"""A schedule on any day: accruals, principal owed, payoff."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.loans.amortization import schedule_of
from domain.loans.errors import LoanTermsError
from domain.loans.schedule import plan_of
from domain.loans.servicing import daily_accrual, interest_between, payoff_on, principal_owed
from domain.loans.terms import LoanTerms
from tests.unit.loans.builders import day, scheduled
from tests.unit.loans.test_schedule_properties import loan_terms

SHORT = loan_terms().filter(lambda terms: terms.instalments <= 4 and terms.every.unit.value != "months")


@given(SHORT)
def test_daily_accruals_add_up_to_all_the_interest(terms: LoanTerms) -> None:
    schedule = schedule_of(plan_of(terms))
    days = (schedule.instalments[-1].to_on - terms.disbursed_on).days
    accrued = [daily_accrual(schedule, terms.disbursed_on + timedelta(days=number)) for number in range(-1, days + 3)]
    assert sum(accrued) == schedule.total_interest
    assert accrued[0] == accrued[1] == accrued[-1] == 0


@given(loan_terms(), st.lists(st.integers(min_value=-10, max_value=4000), min_size=3, max_size=3))
def test_interest_between_days_adds_up(terms: LoanTerms, offsets: list[int]) -> None:
    schedule = schedule_of(plan_of(terms))
    first, second, third = sorted(terms.disbursed_on + timedelta(days=offset) for offset in offsets)
    whole = interest_between(schedule, first, third)
    parts = interest_between(schedule, first, second) + interest_between(schedule, second, third)
    assert abs(whole - parts) < Decimal("1e-15")


@given(loan_terms())
def test_interest_over_the_whole_life_is_the_interest_of_the_loan(terms: LoanTerms) -> None:
    schedule = schedule_of(plan_of(terms))
    assert interest_between(schedule, terms.disbursed_on, date(9999, 1, 1)) == schedule.total_interest


@given(loan_terms())
def test_paying_off_on_the_last_due_date_costs_the_last_instalment(terms: LoanTerms) -> None:
    schedule = schedule_of(plan_of(terms))
    last = schedule.instalments[-1]
    payoff = payoff_on(schedule, last.due_on)
    assert (payoff.principal, payoff.interest, payoff.fees) == (last.principal, last.interest, last.fees)
    assert payoff.total == last.amount


def test_on_the_day_of_the_payout_only_principal_is_owed() -> None:
    payoff = payoff_on(scheduled(), day("2024-01-01"))
    assert (payoff.principal, payoff.interest, payoff.total) == (10_000, 0, 10_000)


def test_a_due_instalment_is_part_of_the_payoff_until_it_is_paid() -> None:
    loan = scheduled(fees=[{"amount": "1", "when": "instalment"}])
    unpaid, paid = payoff_on(loan, day("2024-02-01")), payoff_on(loan, day("2024-02-01"), instalments_paid=1)
    assert (unpaid.principal, unpaid.interest, unpaid.fees) == (10_000, 79, 100)
    assert (paid.principal, paid.interest, paid.fees) == (8_366, 0, 0)


def test_overdue_instalments_are_in_the_payoff_with_interest_as_scheduled() -> None:
    loan = scheduled()
    late = payoff_on(loan, day("2025-01-01"), instalments_paid=0)
    assert (late.principal, late.interest) == (10_000, loan.total_interest)


def test_interest_put_off_by_a_grace_is_owed_all_the_same() -> None:
    loan = scheduled(grace={"interest": 2})
    assert payoff_on(loan, day("2024-03-01"), instalments_paid=2).interest == 79 + 66


def test_a_tranche_is_owed_from_its_day_on() -> None:
    loan = scheduled(disbursements=[{"amount": "50", "on": "2024-01-20"}])
    assert principal_owed(loan, day("2024-01-19")) == 10_000
    assert principal_owed(loan, day("2024-01-20")) == 15_000


@given(st.integers(min_value=0, max_value=180))
def test_principal_owed_never_rises_without_a_tranche(offset: int) -> None:
    loan = scheduled()
    today = day("2024-01-01") + timedelta(days=offset)
    assert principal_owed(loan, today + timedelta(days=1)) <= principal_owed(loan, today)


def test_a_payoff_before_the_loan_begins_is_refused() -> None:
    with pytest.raises(LoanTermsError) as refusal:
        payoff_on(scheduled(), day("2023-12-31"))
    assert refusal.value.field == "on"


def test_more_instalments_than_there_are_cannot_have_been_paid() -> None:
    with pytest.raises(LoanTermsError) as refusal:
        payoff_on(scheduled(), day("2024-02-01"), instalments_paid=7)
    assert refusal.value.field == "instalments_paid"
