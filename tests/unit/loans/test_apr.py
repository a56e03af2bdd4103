"""The annual percentage rate: more examples of Regulation Z, Appendix J (c), and properties against numpy-financial."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy_financial
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.loans.errors import LoanTermsError
from domain.loans.frequency import Frequency, FrequencyUnit
from domain.loans.quote import apr_of_case
from domain.loans.unit_periods import Interval, common_unit, measure, months_back, single_payment_unit
from tests.unit.loans.builders import day, quoted

Series = tuple[int, str, str, str]


def loan(advance: str, on: str, *series: Series) -> dict[str, Any]:
    payments = [
        {"count": count, "amount": amount, "first_on": first, "every": every} for count, amount, first, every in series
    ]
    return {"advance": advance, "advance_on": on, "payments": payments}


EXAMPLES: dict[str, tuple[dict[str, Any], str]] = {
    "(c)(2)(ii) every 4 weeks, long first period, odd first payment": (
        loan("400", "1978-03-18", (1, "39.50", "1978-04-20", "4 weeks"), (11, "38.31", "1978-05-18", "4 weeks")),
        "28.50",
    ),
    "(c)(3)(i) monthly, odd last payment": (
        loan("5000", "1978-01-10", (23, "230", "1978-02-10", "1 month"), (1, "280", "1980-01-10", "1 month")),
        "10.50",
    ),
    "(c)(3)(ii) every 2 weeks, short first period, odd last payment": (
        loan("200", "1978-04-03", (19, "9.50", "1978-04-11", "2 weeks"), (1, "30", "1979-01-02", "2 weeks")),
        "12.22",
    ),
    "(c)(4)(i) monthly, odd first and last payment": (
        loan(
            "5000",
            "1978-01-10",
            (1, "250", "1978-02-10", "1 month"),
            (22, "230", "1978-03-10", "1 month"),
            (1, "280", "1980-01-10", "1 month"),
        ),
        "10.90",
    ),
    "(c)(4)(ii) every 2 months, short first period, odd first and last payment": (
        loan(
            "8000",
            "1978-01-10",
            (1, "449.36", "1978-03-01", "2 months"),
            (18, "465", "1978-05-01", "2 months"),
            (1, "200", "1981-05-01", "2 months"),
        ),
        "7.30",
    ),
    "(c)(5)(i) one payment within a year, by days": (
        loan("1000", "1978-01-03", (1, "1080", "1978-09-15", "1 month")),
        "11.45",
    ),
    "(c)(5)(ii) one payment within a year, by months": (
        loan("1000", "1978-07-15", (1, "1044", "1979-01-15", "1 month")),
        "8.80",
    ),
    "(c)(5)(iii) one payment after a year and a half": (
        loan("1000", "1978-01-17", (1, "1135.19", "1979-07-17", "1 month")),
        "8.76",
    ),
    "(c)(5)(iv) one payment after two years": (
        loan("1000", "1978-01-03", (1, "1240", "1980-01-03", "1 month")),
        "11.36",
    ),
    "construction loan in three advances": (
        {
            "advances": [{"amount": "20000", "on": on} for on in ("1979-04-10", "1979-06-12", "1979-09-18")],
            "payments": [{"count": 240, "amount": "612.36", "first_on": "1979-12-10", "every": "1 month"}],
        },
        "10.25",
    ),
    "daily": (loan("1000", "2023-10-26", (5, "220", "2023-11-30", "1 day")), "94.15"),
    "weekly, regular": (loan("1000", "2023-11-23", (5, "250", "2023-11-30", "1 week")), "412.40"),
    "weekly, short first period": (loan("1000", "2023-11-24", (5, "250", "2023-11-30", "1 week")), "434.30"),
    "yearly": (loan("1000", "2023-10-26", (5, "500", "2023-11-30", "12 months")), "78.34"),
}
"""Appendix J of 12 CFR 1026, and what FSharp.Finance.Personal checks beside it."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_regulation_is_met_to_a_hundredth(name: str) -> None:
    case, expected = EXAMPLES[name]
    assert str(apr_of_case(case)) == expected


@pytest.mark.parametrize("name", EXAMPLES)
def test_dates_alone_tell_the_unit_period_of_an_example(name: str) -> None:
    case, expected = EXAMPLES[name]
    single = [
        {
            "amount": series["amount"],
            "on": Frequency.parse(series["every"]).step(day(series["first_on"]), step).isoformat(),
        }
        for series in case["payments"]
        for step in range(series["count"])
    ]
    assert str(apr_of_case(case | {"payments": single})) == expected


@given(
    st.integers(min_value=2, max_value=360),
    st.decimals(min_value=Decimal("0.1"), max_value=Decimal(60), places=2),
)
def test_a_regular_monthly_loan_agrees_with_numpy_financial(count: int, percent: Decimal) -> None:
    payment = -numpy_financial.pmt(float(percent) / 1200, count, 1_000_000)
    case = loan("1000000", "2024-01-10", (count, f"{payment:.6f}", "2024-02-10", "1 month"))
    assert abs(apr_of_case(case) - percent) <= Decimal("0.01")


@given(
    st.lists(st.integers(min_value=1, max_value=5000), min_size=1, max_size=6), st.integers(min_value=3, max_value=60)
)
def test_several_advances_are_worth_what_their_payments_are(amounts: list[int], count: int) -> None:
    """Advances a month apart and level payments priced at 1 % a month: the rate found is 12 %."""
    monthly = Decimal("0.01")
    worth = sum((Decimal(amount) / (1 + monthly) ** index for index, amount in enumerate(amounts)), Decimal(0))
    factor = sum((1 / (1 + monthly) ** (number + len(amounts)) for number in range(count)), Decimal(0))
    step = Frequency(1, FrequencyUnit.MONTHS)
    case = {
        "advances": [
            {"amount": amount, "on": step.step(day("2024-01-10"), index).isoformat()}
            for index, amount in enumerate(amounts)
        ],
        "payments": [
            {
                "count": count,
                "amount": str((worth / factor).quantize(Decimal("1e-9"))),
                "first_on": step.step(day("2024-01-10"), len(amounts)).isoformat(),
                "every": "1 month",
            }
        ],
    }
    assert str(apr_of_case(case)) == "12.00"


def test_skipped_payments_keep_the_unit_period_of_the_others() -> None:
    """Ten payments a year, none in July and August, priced at 1 % a month on the months from the advance."""
    months = [month for month in range(1, 37) if (month - 1) % 12 + 1 not in (7, 8)]
    worth = sum((Decimal(100) / Decimal("1.01") ** month for month in months), Decimal(0))
    payments = [
        {"amount": "100", "on": Frequency(1, FrequencyUnit.MONTHS).step(day("2023-12-15"), month).isoformat()}
        for month in months
    ]
    case = {"advance": str(worth.quantize(Decimal("1e-9"))), "advance_on": "2023-12-15", "payments": payments}
    assert str(apr_of_case(case)) == "12.00"


@given(st.decimals(min_value=Decimal(1), max_value=Decimal(30), places=2), st.integers(min_value=2, max_value=120))
def test_the_rate_of_a_regular_loan_without_fees_is_its_nominal_rate(percent: Decimal, count: int) -> None:
    result = quoted(principal="10000000", annual_rate_percent=str(percent), instalments=count)
    assert abs(result.apr_percent - percent) <= Decimal("0.01")


@given(st.integers(min_value=0, max_value=40), st.integers(min_value=1, max_value=40))
def test_a_higher_fee_never_lowers_the_rate(fee: int, more: int) -> None:
    cheap = quoted(principal="1000", fees=[{"amount": str(fee)}])
    dear = quoted(principal="1000", fees=[{"amount": str(fee + more)}])
    assert dear.apr_percent > cheap.apr_percent
    assert dear.instalments == cheap.instalments


def test_a_fee_with_each_instalment_raises_the_rate_too() -> None:
    plain, charged = quoted(), quoted(fees=[{"amount": "0.50", "when": "instalment"}])
    assert [row.fees for row in charged.instalments] == [50] * 6
    assert charged.instalments[0].amount == plain.instalments[0].amount + 50
    assert charged.apr_percent > plain.apr_percent


def test_payments_that_only_return_the_advance_cost_nothing() -> None:
    assert str(apr_of_case(loan("1000", "2024-01-01", (10, "100", "2024-02-01", "1 month")))) == "0.00"


def test_payments_that_return_less_have_a_negative_rate() -> None:
    assert apr_of_case(loan("1000", "2024-01-01", (9, "100", "2024-02-01", "1 month"))) < 0


def test_a_loan_with_nothing_paid_back_is_refused() -> None:
    with pytest.raises(LoanTermsError) as refusal:
        apr_of_case(loan("1000", "2024-03-01", (1, "100", "2024-02-01", "1 month")))
    assert refusal.value.field == "payments"


def test_months_are_counted_back_from_the_later_date() -> None:
    assert months_back(day("1978-02-10"), day("1978-04-01")) == (1, 19)
    assert months_back(day("2024-01-31"), day("2024-02-29")) == (0, 29)
    assert months_back(day("2024-01-31"), day("2024-02-29"), anchor_day=31) == (1, 0)


def test_a_quarter_is_ninety_days_of_thirty_day_months() -> None:
    unit = common_unit([], [Frequency(3, FrequencyUnit.MONTHS)] * 2)
    assert measure(unit, day("1978-05-23"), day("1978-10-01")) == Interval(1, Decimal(39) / 90)


def test_of_two_equally_common_periods_the_smaller_is_the_unit() -> None:
    month, quarter = Frequency(1, FrequencyUnit.MONTHS), Frequency(3, FrequencyUnit.MONTHS)
    assert common_unit([], [quarter, quarter, month, month]).every == month


def test_without_a_common_period_the_average_is_taken_to_a_standard_one() -> None:
    dates = [(day("2024-01-01"), day("2024-01-22")), (day("2024-01-22"), day("2024-03-01"))]
    assert common_unit(dates, []).every == Frequency(1, FrequencyUnit.MONTHS)


def test_one_payment_after_exactly_a_year_is_measured_in_years() -> None:
    unit = single_payment_unit(day("2024-01-15"), day("2025-01-15"))
    assert unit.per_year == 1
    assert not unit.is_term
