"""More figures that Apache Fineract publishes in its own tests: tranches, rate changes, other periods and day counts.

Source: `ProgressiveEMICalculatorTest.java`, `EMICalculation-Part1.feature`, `LoanRepayment.feature`, `LoanReschedule.feature`.
Only inputs and results are taken over.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain.loans.frequency import Frequency
from domain.loans.restructure import (
    HolidayInterest,
    PrepaymentEffect,
    change_rate,
    move_due_date,
    payment_holiday,
    prepay,
    re_age,
)
from domain.loans.servicing import daily_accrual, payoff_on
from tests.unit.loans.builders import day, figures, quoted, scheduled, table

PUBLISHED: dict[str, tuple[dict[str, object], str]] = {
    "tranche on a due date": (
        {"disbursements": [{"amount": "100", "on": "2024-03-01"}]},
        """
        17.13 0.79 16.34 83.66
        17.13 0.66 16.47 167.19
        42.63 1.32 41.31 125.88
        42.63 0.99 41.64 84.24
        42.63 0.67 41.96 42.28
        42.61 0.33 42.28 0
        """,
    ),
    "tranche in the first period": (
        {"disbursements": [{"amount": "200", "on": "2024-01-08"}]},
        """
        51.33 2.01 49.32 250.68
        51.33 1.98 49.35 201.33
        51.33 1.59 49.74 151.59
        51.33 1.20 50.13 101.46
        51.33 0.80 50.53 50.93
        51.33 0.40 50.93 0
        """,
    ),
    "tranche in the second period": (
        {"disbursements": [{"amount": "100", "on": "2024-02-15"}]},
        """
        17.13 0.79 16.34 83.66
        37.53 1.07 36.46 147.20
        37.53 1.16 36.37 110.83
        37.53 0.88 36.65 74.18
        37.53 0.59 36.94 37.24
        37.53 0.29 37.24 0
        """,
    ),
    "short first period with two tranches of one day": (
        {
            "disbursed_on": "2024-01-05",
            "first_due_on": "2024-02-01",
            "disbursements": [{"amount": "50", "on": "2024-01-08"}, {"amount": "25", "on": "2024-01-08"}],
        },
        """
        29.94 1.15 28.79 146.21
        29.94 1.16 28.78 117.43
        29.94 0.93 29.01 88.42
        29.94 0.70 29.24 59.18
        29.94 0.47 29.47 29.71
        29.94 0.23 29.71 0
        """,
    ),
    "rate changed for a whole period": (
        {"annual_rate_percent": "7", "rate_changes": [{"annual_rate_percent": "4", "on": "2024-02-02"}]},
        """
        17.01 0.58 16.43 83.57
        16.88 0.28 16.60 66.97
        16.88 0.22 16.66 50.31
        16.88 0.17 16.71 33.60
        16.88 0.11 16.77 16.83
        16.89 0.06 16.83 0
        """,
    ),
    "rate changed within a period": (
        {"annual_rate_percent": "7", "rate_changes": [{"annual_rate_percent": "4", "on": "2024-02-15"}]},
        """
        17.01 0.58 16.43 83.57
        16.90 0.37 16.53 67.04
        16.90 0.22 16.68 50.36
        16.90 0.17 16.73 33.63
        16.90 0.11 16.79 16.84
        16.90 0.06 16.84 0
        """,
    ),
    "weekly": (
        {"every": "1 week", "day_count": "actual/364"},
        """
        16.77 0.18 16.59 83.41
        16.77 0.15 16.62 66.79
        16.77 0.12 16.65 50.14
        16.77 0.09 16.68 33.46
        16.77 0.06 16.71 16.75
        16.78 0.03 16.75 0
        """,
    ),
    "fortnightly under 30/360": (
        {"every": "2 weeks"},
        """
        16.88 0.37 16.51 83.49
        16.88 0.31 16.57 66.92
        16.88 0.25 16.63 50.29
        16.88 0.19 16.69 33.60
        16.88 0.12 16.76 16.84
        16.90 0.06 16.84 0
        """,
    ),
    "every 15 days": (
        {"every": "15 days", "day_count": "actual/360"},
        """
        16.90 0.40 16.50 83.50
        16.90 0.33 16.57 66.93
        16.90 0.26 16.64 50.29
        16.90 0.20 16.70 33.59
        16.90 0.13 16.77 16.82
        16.89 0.07 16.82 0
        """,
    ),
    "every second month": (
        {"principal": "3333", "annual_rate_percent": "19.99", "disbursed_on": "2023-10-29", "every": "2 months"},
        """
        622.04 111.04 511.00 2822.00
        622.04 94.02 528.02 2293.98
        622.04 76.43 545.61 1748.37
        622.04 58.25 563.79 1184.58
        622.04 39.47 582.57 602.01
        622.07 20.06 602.01 0
        """,
    ),
    "from the last day of a month": (
        {
            "principal": "245000",
            "annual_rate_percent": "45",
            "disbursed_on": "2023-10-31",
            "day_count": "actual/actual",
        },
        """
        46343.27 9061.64 37281.63 207718.37
        46343.27 7938.83 38404.44 169313.93
        46343.27 6453.36 39889.91 129424.02
        46343.27 4614.71 41728.56 87695.46
        46343.27 3342.49 43000.78 44694.68
        46343.25 1648.57 44694.68 0
        """,
    ),
    "flat by days": (
        {
            "principal": "2000",
            "annual_rate_percent": "12",
            "instalments": 4,
            "method": "flat",
            "day_count": "actual/actual",
        },
        """
        519.84 20.33 499.51 1500.49
        519.84 19.02 500.82 999.67
        519.84 20.33 499.51 500.16
        519.83 19.67 500.16 0
        """,
    ),
    "flat with a tranche": (
        {
            "principal": "1000",
            "annual_rate_percent": "12",
            "instalments": 4,
            "method": "flat",
            "disbursements": [{"amount": "250", "on": "2024-02-06"}],
        },
        """
        260.00 10.00 250.00 750.00
        345.69 12.07 333.62 666.38
        345.69 12.50 333.19 333.19
        345.69 12.50 333.19 0
        """,
    ),
    "flat without a day count, whole units": (
        {
            "principal": "1250",
            "annual_rate_percent": "15",
            "instalments": 4,
            "method": "flat",
            "day_count": None,
            "instalment_rounding": "1",
            "disbursed_on": "2023-09-01",
        },
        """
        328.00 15.62 312.38 937.62
        328.00 15.62 312.38 625.24
        328.00 15.62 312.38 312.86
        328.50 15.64 312.86 0
        """,
    ),
    "no interest": (
        {"principal": "1000", "annual_rate_percent": "0", "instalments": 4},
        """
        250 0 250 750
        250 0 250 500
        250 0 250 250
        250 0 250 0
        """,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_another_published_schedule_is_met_to_the_cent(name: str) -> None:
    terms, rows = PUBLISHED[name]
    assert table(quoted(**terms).instalments) == figures(rows)


LONG = {"principal": "5000", "annual_rate_percent": "12", "instalments": 18, "disbursed_on": "2022-11-01"}


def test_equal_principal_leaves_the_remainder_to_the_last_instalment() -> None:
    result = quoted(**LONG, method="equal_principal")
    rows = result.instalments
    assert {row.principal for row in rows[:-1]} == {27778}
    assert (rows[-1].principal, rows[3].interest, rows[-1].amount, result.total_interest) == (27774, 4167, 28052, 47500)


def test_a_grace_on_principal_is_paid_back_over_the_instalments_that_are_left() -> None:
    result = quoted(**LONG, instalment_rounding="1", grace={"principal": 3})
    rows = result.instalments
    assert [row.amount for row in rows[:3]] == [5000] * 3
    assert {row.amount for row in rows[3:-1]} == {36100}
    assert (rows[-1].amount, result.total_interest) == (35487, 55887)


def test_interest_put_off_by_a_grace_falls_due_with_the_first_instalment_after_it() -> None:
    result = quoted(**LONG, instalment_rounding="1", grace={"principal": 6, "interest": 3})
    rows = result.instalments
    assert [row.amount for row in rows[:6]] == [0, 0, 0, 20000, 5000, 5000]
    assert {row.amount for row in rows[6:-1]} == {44400}
    assert (rows[-1].amount, result.total_interest) == (44709, 63109)


def test_a_loan_repaid_at_its_end_pays_only_interest_until_then() -> None:
    rows = quoted(annual_rate_percent="30", instalments=8, method="interest_only").instalments
    assert [row.amount for row in rows] == [250] * 7 + [10250]


MOVED = {
    ("7", 1, "2024-03-01"): """
        17.01 1.17 15.84 84.16
        17.01 0.49 16.52 67.64
        17.01 0.39 16.62 51.02
        17.01 0.30 16.71 34.31
        17.01 0.20 16.81 17.50
        17.60 0.10 17.50 0
        """,
    ("7", 2, "2024-04-15"): """
        17.01 0.58 16.43 83.57
        17.01 1.20 15.81 67.76
        17.01 0.40 16.61 51.15
        17.01 0.30 16.71 34.44
        17.01 0.20 16.81 17.63
        17.73 0.10 17.63 0
        """,
    ("9.4822", 1, "2024-02-18"): """
        17.13 1.25 15.88 84.12
        17.13 0.66 16.47 67.65
        17.13 0.53 16.60 51.05
        17.13 0.40 16.73 34.32
        17.13 0.27 16.86 17.46
        17.60 0.14 17.46 0
        """,
}


@pytest.mark.parametrize(("rate", "number", "due_on"), MOVED)
def test_a_moved_due_date_keeps_the_amounts_and_settles_with_the_last(rate: str, number: int, due_on: str) -> None:
    moved = move_due_date(scheduled(annual_rate_percent=rate), number, day(due_on))
    assert table(moved.all_instalments) == figures(MOVED[rate, number, due_on])


def test_a_prepayment_reduces_the_instalments_that_follow() -> None:
    loan = scheduled(**LONG | {"instalments": 6}, day_count="actual/365", instalment_rounding="1")
    for paid_on, paid in (("2022-12-01", 100_000), ("2023-01-01", 200_000)):
        due = next(row for row in loan.all_instalments if row.due_on == day(paid_on))
        loan = prepay(loan, day(paid_on), paid - due.amount, PrepaymentEffect.REDUCE_INSTALMENT)
    assert table(loan.all_instalments)[2:] == figures("""
        536 21.31 514.69 1575.90
        536 14.51 521.49 1054.41
        536 10.75 525.25 529.16
        534.38 5.22 529.16 0
    """)


def test_a_payment_holiday_adds_an_instalment_at_the_end() -> None:
    loan = scheduled(principal="3000", annual_rate_percent="0", instalments=3, method="flat", disbursed_on="2023-07-01")
    paused = payment_holiday(loan, 2, 1, HolidayInterest.PAID)
    assert [row.amount for row in paused.all_instalments] == [100_000, 0, 100_000, 100_000]
    assert paused.all_instalments[-1].due_on == day("2023-11-01")


def test_a_new_rate_on_a_flat_loan_counts_on_all_that_was_lent() -> None:
    loan = scheduled(
        principal="3000", annual_rate_percent="12", instalments=3, method="flat", disbursed_on="2023-07-01"
    )
    changed = change_rate(loan, day("2023-08-02"), Decimal(6))
    assert [row.amount for row in changed.all_instalments] == [103_000, 101_500, 101_500]


def test_re_aging_spreads_what_is_overdue_over_new_instalments() -> None:
    loan = scheduled(principal="1000", annual_rate_percent="0", instalments=4, every="15 days")
    aged = re_age(
        loan,
        day("2024-02-20"),
        day("2024-03-01"),
        6,
        every=Frequency.parse("1 month"),
        outstanding_principal=75_000,
        unpaid_interest=0,
    )
    assert [row.amount for row in aged.instalments] == [12_500] * 6
    assert [row.due_on.isoformat() for row in aged.instalments][::5] == ["2024-03-01", "2024-08-01"]


def test_a_payoff_within_a_period_counts_interest_by_the_day() -> None:
    loan = scheduled(annual_rate_percent="7")
    assert payoff_on(loan, day("2024-02-15")).interest == 24
    assert payoff_on(loan, day("2024-03-01")).interest == 49


def test_the_days_of_a_month_accrue_exactly_its_interest() -> None:
    loan = scheduled(principal="1000", annual_rate_percent="7", instalments=1)
    days = [daily_accrual(loan, day("2024-01-01").replace(day=number)) for number in range(2, 32)]
    days.append(daily_accrual(loan, day("2024-02-01")))
    assert days[:9] == [19, 19, 18, 19, 19, 19, 19, 19, 18]
    assert sum(days) == 583
