"""The annual percentage rate: properties against numpy-financial, and the published examples told in other ways."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
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

VECTORS = Path(__file__).parents[2] / "vectors"
Series = tuple[int, str, str, str]


def loan(advance: str, on: str, *series: Series) -> dict[str, Any]:
    payments = [
        {"count": count, "amount": amount, "first_on": first, "every": every} for count, amount, first, every in series
    ]
    return {"advance": advance, "advance_on": on, "payments": payments}


EXAMPLES = [case for file in ("apr.json", "apr_more.json") for case in json.loads((VECTORS / file).read_text())]


@pytest.mark.parametrize("case", EXAMPLES, ids=lambda case: case["name"])
def test_dates_alone_tell_the_unit_period_of_an_example(case: dict[str, Any]) -> None:
    single = [
        {
            "amount": series["amount"],
            "on": Frequency.parse(series["every"]).step(day(series["first_on"]), step).isoformat(),
        }
        if "every" in series
        else series
        for series in case["payments"]
        for step in range(series.get("count", 1))
    ]
    assert str(apr_of_case(case | {"payments": single})) == case["apr_percent"]


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
