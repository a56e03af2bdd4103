"""Day counts against QuantLib, and the conventions that published schedules fix."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.loans.day_count import DayCount, actual_actual, months_between, year_share
from domain.loans.frequency import Frequency, add_months
from tests.unit.loans import oracles
from tests.unit.loans.builders import day

DATES = st.dates(min_value=date(1990, 1, 1), max_value=date(2060, 12, 31))
MONTH = Frequency.parse("1 month")
TINY = Decimal("1e-12")


def share(convention: DayCount, start: date, end: date, every: Frequency = MONTH, *, regular: bool = False) -> Decimal:
    return year_share(convention, every, regular=regular, whole=(start, end), part=(start, end))


@given(DATES, st.integers(min_value=0, max_value=2000))
@pytest.mark.parametrize("convention", [DayCount.ACTUAL_360, DayCount.ACTUAL_365])
def test_actual_days_over_a_fixed_year_agree_with_quantlib(convention: DayCount, start: date, days: int) -> None:
    end = start + timedelta(days=days)
    expected = Decimal(oracles.year_fraction(convention.value, start, end))
    assert abs(share(convention, start, end) - expected) < TINY


@given(DATES, st.integers(min_value=0, max_value=2000))
def test_actual_actual_agrees_with_quantlib_on_days_numbered_by_their_end(start: date, days: int) -> None:
    """ISDA numbers a day by its beginning; moving both ends by a day makes the two conventions one."""
    end = start + timedelta(days=days)
    expected = oracles.year_fraction("actual/actual", start + timedelta(days=1), end + timedelta(days=1))
    assert abs(actual_actual(start, end) - Decimal(expected)) < TINY


@given(DATES.filter(lambda on: on.day <= 28), st.integers(min_value=1, max_value=120))
def test_whole_months_agree_with_quantlib_under_30_360(start: date, months: int) -> None:
    end = add_months(start, months)
    expected = Decimal(oracles.year_fraction("30/360", start, end))
    assert abs(share(DayCount.THIRTY_360, start, end) - expected) < TINY


@given(DATES, st.integers(min_value=2, max_value=400), st.data())
@pytest.mark.parametrize("convention", list(DayCount))
@pytest.mark.parametrize("every", ["1 month", "2 weeks", "half month", "10 days"])
def test_the_shares_of_the_parts_add_up_to_the_share_of_the_period(
    convention: DayCount, every: str, start: date, days: int, data: st.DataObject
) -> None:
    end = start + timedelta(days=days)
    middle = start + timedelta(days=data.draw(st.integers(min_value=1, max_value=days - 1)))
    parts = [
        year_share(convention, Frequency.parse(every), regular=True, whole=(start, end), part=part)
        for part in ((start, middle), (middle, end))
    ]
    whole = year_share(convention, Frequency.parse(every), regular=True, whole=(start, end), part=(start, end))
    assert abs(sum(parts) - whole) < TINY


def test_actual_actual_counts_each_day_in_the_year_it_ends_in() -> None:
    assert actual_actual(day("2023-12-12"), day("2024-01-12")) == Decimal(19) / 365 + Decimal(12) / 366


def test_a_regular_month_is_thirty_days_however_long_it_is() -> None:
    twelfth = Decimal(30) / 360
    assert share(DayCount.THIRTY_360, day("2024-01-31"), day("2024-02-29"), regular=True) == twelfth
    assert share(DayCount.THIRTY_360, day("2024-02-29"), day("2024-03-31"), regular=True) == twelfth


def test_a_month_and_a_half_is_a_month_and_the_actual_share_of_the_next() -> None:
    assert months_between(day("2024-01-01"), day("2024-02-18")) == 1 + Decimal(17) / 29


@pytest.mark.parametrize(
    ("every", "start", "end", "expected"),
    [
        ("1 month", "2024-01-15", "2024-02-15", Decimal(1) / 12),
        ("3 months", "2024-01-15", "2024-04-15", Decimal(1) / 4),
        ("half month", "2024-01-01", "2024-01-16", Decimal(1) / 24),
        ("1 week", "2024-01-01", "2024-01-08", Decimal(1) / 52),
        ("2 weeks", "2024-01-01", "2024-01-15", Decimal(1) / 26),
        ("10 days", "2024-01-01", "2024-01-11", Decimal(10) / 365),
    ],
)
def test_without_a_day_count_a_period_is_its_share_of_a_year_by_name(
    every: str, start: str, end: str, expected: Decimal
) -> None:
    got = share(DayCount.NOMINAL, day(start), day(end), Frequency.parse(every), regular=True)
    assert abs(got - expected) < TINY
