"""Frequencies and the dates they lead to, and how holidays move them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
import QuantLib
from hypothesis import given
from hypothesis import strategies as st

from domain.loans.business_days import BusinessDayConvention, BusinessDays
from domain.loans.errors import LoanTermsError
from domain.loans.frequency import Frequency, FrequencyUnit, add_months
from tests.unit.loans.builders import quoted
from tests.unit.loans.oracles import python_date, quantlib_date

DATES = st.dates(min_value=date(1990, 1, 1), max_value=date(2060, 12, 31))


def due_dates(**terms: object) -> list[str]:
    return [row.due_on.isoformat() for row in quoted(**terms).instalments]


@pytest.mark.parametrize(
    ("text", "count", "unit"),
    [
        ("1 month", 1, FrequencyUnit.MONTHS),
        ("2 weeks", 2, FrequencyUnit.WEEKS),
        ("half month", 1, FrequencyUnit.HALF_MONTHS),
        ("15 days", 15, FrequencyUnit.DAYS),
        ("1 quarter", 3, FrequencyUnit.MONTHS),
        ("Fortnightly", 2, FrequencyUnit.WEEKS),
        ("12 months", 12, FrequencyUnit.MONTHS),
        ("1 year", 12, FrequencyUnit.MONTHS),
    ],
)
def test_a_frequency_is_read_from_words(text: str, count: int, unit: FrequencyUnit) -> None:
    assert Frequency.parse(text) == Frequency(count, unit)
    assert Frequency.parse(str(Frequency.parse(text))) == Frequency(count, unit)


@pytest.mark.parametrize(
    "text", ["", "0 months", "13 months", "2 years", "every now and then", "1.5 weeks", "-1 week", "400 days"]
)
def test_nonsense_is_no_frequency(text: str) -> None:
    with pytest.raises(LoanTermsError) as refusal:
        Frequency.parse(text)
    assert refusal.value.field == "every"


@given(DATES, st.integers(min_value=-600, max_value=600))
def test_adding_months_agrees_with_quantlib(start: date, months: int) -> None:
    moved = quantlib_date(start) + QuantLib.Period(months, QuantLib.Months)
    assert add_months(start, months) == python_date(moved)


@given(
    DATES,
    st.integers(min_value=0, max_value=300),
    st.sampled_from(["1 week", "half month", "1 month", "3 months", "10 days"]),
)
def test_due_dates_only_ever_go_forward(start: date, steps: int, every: str) -> None:
    frequency = Frequency.parse(every)
    assert frequency.step(start, steps) < frequency.step(start, steps + 1)


def test_a_loan_of_the_31st_comes_back_to_the_31st_after_a_short_month() -> None:
    dates = due_dates(disbursed_on="2023-10-31", instalments=5)
    assert dates == ["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]


def test_half_months_fall_due_on_two_days_of_each_month() -> None:
    assert due_dates(every="half month", first_due_on="2024-02-01", instalments=4) == [
        "2024-02-01",
        "2024-02-16",
        "2024-03-01",
        "2024-03-16",
    ]


def test_the_fifteenth_goes_with_the_last_day_of_the_month() -> None:
    assert due_dates(every="half month", first_due_on="2024-01-15", instalments=4) == [
        "2024-01-15",
        "2024-01-31",
        "2024-02-15",
        "2024-02-29",
    ]


def test_a_first_due_date_sets_the_pace_of_all() -> None:
    assert due_dates(every="3 months", first_due_on="2024-05-20", instalments=3) == [
        "2024-05-20",
        "2024-08-20",
        "2024-11-20",
    ]


@given(DATES, st.sampled_from(["following", "modified_following", "preceding"]))
def test_moving_off_weekends_agrees_with_quantlib(on: date, convention: str) -> None:
    conventions = {
        "following": QuantLib.Following,
        "modified_following": QuantLib.ModifiedFollowing,
        "preceding": QuantLib.Preceding,
    }
    expected = python_date(QuantLib.WeekendsOnly().adjust(quantlib_date(on), conventions[convention]))
    assert BusinessDays(BusinessDayConvention(convention)).adjust(on) == expected


def test_independence_day_moves_a_due_date_by_each_convention() -> None:
    terms = {"disbursed_on": "2024-06-04", "instalments": 1, "holiday_calendar": "US"}
    assert due_dates(**terms) == ["2024-07-04"]
    assert due_dates(**terms, business_day_convention="following") == ["2024-07-05"]
    assert due_dates(**terms, business_day_convention="preceding") == ["2024-07-03"]


def test_modified_following_stays_in_its_month() -> None:
    terms = {"disbursed_on": "2024-02-29", "first_due_on": "2024-03-31", "instalments": 1, "holiday_calendar": "DE"}
    assert due_dates(**terms, business_day_convention="following") == ["2024-04-02"]
    assert due_dates(**terms, business_day_convention="modified following") == ["2024-03-28"]


def test_a_state_has_holidays_of_its_own() -> None:
    terms = {"disbursed_on": "2024-10-01", "instalments": 1, "business_day_convention": "following"}
    assert due_dates(**terms, holiday_calendar="DE-BY") == ["2024-11-04"]
    assert due_dates(**terms, holiday_calendar={"country": "DE", "subdivision": "BE"}) == ["2024-11-01"]


def test_amounts_do_not_depend_on_holidays_unless_asked_to() -> None:
    terms = {
        "disbursed_on": "2024-06-04",
        "holiday_calendar": "US",
        "business_day_convention": "following",
        "day_count": "actual/365",
    }
    plain = quoted(disbursed_on="2024-06-04", day_count="actual/365")
    assert [row.interest for row in quoted(**terms).instalments] == [row.interest for row in plain.instalments]
    moved = quoted(**terms, principal="100000", accrual_end="moved").instalments[0]
    assert moved.interest == round(100_000_00 * Decimal("0.094822") * 31 / 365)


def test_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(LoanTermsError) as refusal:
        quoted(holiday_calendar="XX", business_day_convention="following")
    assert refusal.value.field == "holiday_calendar"
