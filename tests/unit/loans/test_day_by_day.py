"""Every schedule against a ledger kept day by day: each day earns its share on what is owed that day at that day's rate.

The day counts that count actual days leave nothing to convention, so the ledger needs none of the project's arithmetic.
"""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.loans.frequency import Frequency
from domain.loans.restructure import (
    HolidayInterest,
    PrepaymentEffect,
    add_tranche,
    change_rate,
    move_due_date,
    payment_holiday,
    prepay,
    re_age,
)
from domain.loans.schedule import Schedule
from domain.loans.servicing import payoff_on
from tests.unit.loans.builders import scheduled

BEGIN = date(2023, 11, 14)
ONE_DAY = timedelta(days=1)
DAY_COUNTS = st.sampled_from(["actual/360", "actual/365", "actual/actual"])
METHODS = st.sampled_from(["annuity", "equal_principal", "interest_only"])
CHANGES = (
    "tranche",
    "rate",
    "prepay",
    "prepay_term",
    "move",
    "holiday_paid",
    "holiday_deferred",
    "holiday_waived",
    "age",
)


def year_of(day_count: str, day: date) -> int:
    """Return how many days the year of a day has."""
    if day_count == "actual/actual":
        return 366 if calendar.isleap(day.year) else 365
    return int(day_count.split("/")[1])


def changed(loan: Schedule, change: str, at: int) -> Schedule:
    """Return the loan with one change, made a few days into a period."""
    row = loan.instalments[at]
    on = row.from_on + timedelta(days=(row.to_on - row.from_on).days // 3)
    match change:
        case "tranche":
            return add_tranche(loan, on, 123_457)
        case "rate":
            return change_rate(loan, on, Decimal("3.75"))
        case "prepay" | "prepay_term":
            effect = PrepaymentEffect.REDUCE_TERM if change == "prepay_term" else PrepaymentEffect.REDUCE_INSTALMENT
            return prepay(loan, on, 99_999, effect)
        case "move":
            return move_due_date(loan, row.number, row.to_on + timedelta(days=11))
        case "age":
            return re_age(loan, on, on + timedelta(days=40), 7, every=Frequency.parse("2 weeks"))
        case _:
            return payment_holiday(loan, row.number, 2, HolidayInterest(change.removeprefix("holiday_")))


def earned_by_days(loan: Schedule, day_count: str, until: date) -> Fraction:
    """Return what the days of the period that is under way on a day have earned up to it."""
    plan = loan.plan
    rows = [(row, period) for row, period in zip(loan.instalments, plan.periods, strict=False) if row.from_on < until]
    row, period = rows[-1]
    owed = plan.opening_principal - sum(each.principal for each, _ in rows[:-1])
    owed += sum(move.amount for move in plan.moves if move.on < row.from_on)
    total = Fraction(0)
    day = row.from_on
    while day < min(until, row.to_on) and period.bears_interest:
        owed += sum(move.amount for move in plan.moves if move.on == day)
        day += ONE_DAY
        rate = [step.annual_rate_percent for step in plan.rates if step.effective_on <= day or step is plan.rates[0]][
            -1
        ]
        total += owed * Fraction(rate) / 100 / year_of(day_count, day)
    return total


@pytest.mark.parametrize("change", CHANGES)
@given(METHODS, DAY_COUNTS, st.integers(min_value=0, max_value=7), st.decimals(min_value=0, max_value=30, places=2))
def test_each_period_earns_what_its_days_do(
    change: str, method: str, day_count: str, at: int, percent: Decimal
) -> None:
    loan = scheduled(
        principal="10000",
        annual_rate_percent=str(percent),
        instalments=10,
        method=method,
        day_count=day_count,
        disbursed_on=BEGIN.isoformat(),
    )
    loan = changed(loan, change, at)
    for row in loan.instalments:
        assert abs(row.interest_earned - earned_by_days(loan, day_count, row.to_on)) <= Fraction(1, 2) + Fraction(
            1, 10**9
        )
    assert sum(row.principal for row in loan.all_instalments) == 1_000_000 + {
        "tranche": 123_457,
        "prepay": -99_999,
        "prepay_term": -99_999,
    }.get(change, 0)
    if change != "age":  # Re-aging moves interest of the period it breaks off into the first new instalment.
        assert sum(row.interest for row in loan.all_instalments) == sum(
            row.interest_earned for row in loan.all_instalments
        )


@given(METHODS, DAY_COUNTS, st.integers(min_value=1, max_value=300), st.decimals(min_value=0, max_value=30, places=2))
def test_a_payoff_is_what_is_unpaid_and_what_the_days_since_have_earned(
    method: str, day_count: str, days: int, percent: Decimal
) -> None:
    loan = scheduled(
        principal="10000",
        annual_rate_percent=str(percent),
        instalments=10,
        method=method,
        day_count=day_count,
        disbursed_on=BEGIN.isoformat(),
        disbursements=[{"amount": "500", "on": "2024-03-03"}],
        rate_changes=[{"annual_rate_percent": "4", "on": "2024-05-20"}],
    )
    on = BEGIN + timedelta(days=days)
    for paid in {0, sum(row.due_on < on for row in loan.instalments)}:
        owed = payoff_on(loan, on, paid)
        lent = 1_000_000 + (50_000 if on >= date(2024, 3, 3) else 0)
        assert owed.principal == lent - sum(row.principal for row in loan.instalments[:paid])
        due = sum(row.interest for row in loan.instalments[paid:] if row.to_on < on)
        assert abs(owed.interest - due - earned_by_days(loan, day_count, on)) <= Fraction(1, 2) + Fraction(1, 10**9)
