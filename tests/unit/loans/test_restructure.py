"""Changes to a running loan: what they keep, what they move, and that changing nothing moves nothing."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.loans.errors import LoanTermsError
from domain.loans.restructure import (
    HolidayInterest,
    PrepaymentEffect,
    add_tranche,
    change_rate,
    move_due_date,
    payment_holiday,
    prepay,
    re_age,
    re_amortize,
)
from domain.loans.schedule import Schedule
from domain.loans.servicing import interest_between, payoff_on, principal_owed
from tests.unit.loans.builders import day, quoted, scheduled

METHODS = st.sampled_from(["annuity", "equal_principal", "flat", "interest_only"])
COUNTS = st.integers(min_value=3, max_value=36)
RATES = st.integers(min_value=0, max_value=300).map(lambda tenths: str(Decimal(tenths) / 10))


def loan(method: str, count: int, rate: str) -> Schedule:
    return scheduled(
        principal="12000", method=method, instalments=count, annual_rate_percent=rate, day_count="actual/365"
    )


def within(schedule: Schedule, share: int) -> date:
    """Return a day a share (of 100) into the loan, before its last instalment."""
    first, last = schedule.instalments[0].from_on, schedule.instalments[-1].to_on
    return first + timedelta(days=(last - first).days * share // 100)


def assert_pays_back(schedule: Schedule, lent: int) -> None:
    rows = schedule.all_instalments
    assert sum(row.principal for row in rows) == lent
    assert rows[-1].balance_after == 0
    assert all(min(row.principal, row.interest) >= 0 for row in rows)
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))


@given(METHODS, COUNTS, RATES, RATES, st.integers(min_value=1, max_value=99))
def test_a_new_rate_leaves_what_was_due_before_it(method: str, count: int, rate: str, other: str, share: int) -> None:
    before = loan(method, count, rate)
    on = within(before, share)
    after = change_rate(before, on + timedelta(days=1), Decimal(other))
    assert_pays_back(after, 1_200_000)
    settled = [row for row in before.instalments if row.to_on <= on]
    assert list(after.instalments[: len(settled)]) == settled
    assert change_rate(after, on + timedelta(days=1), Decimal(rate)).instalments == before.instalments


@given(METHODS, COUNTS, RATES, RATES, st.integers(min_value=1, max_value=99))
def test_a_rate_agreed_beforehand_and_one_agreed_later_make_one_schedule(
    method: str, count: int, rate: str, other: str, share: int
) -> None:
    later = loan(method, count, rate)
    on = within(later, share) + timedelta(days=1)
    assume(rate != other)
    known = quoted(
        principal="12000",
        method=method,
        instalments=count,
        annual_rate_percent=rate,
        day_count="actual/365",
        rate_changes=[{"annual_rate_percent": other, "on": on.isoformat()}],
    )
    assert change_rate(later, on, Decimal(other)).instalments == known.instalments


@given(METHODS, COUNTS, RATES, st.integers(min_value=0, max_value=99), st.integers(min_value=1, max_value=10**6))
def test_a_tranche_and_a_prepayment_of_one_day_undo_each_other(
    method: str, count: int, rate: str, share: int, amount: int
) -> None:
    before = loan(method, count, rate)
    on = within(before, share)
    more = add_tranche(before, on, amount)
    assert_pays_back(more, 1_200_000 + amount)
    back = prepay(more, on, amount, PrepaymentEffect.REDUCE_INSTALMENT)
    plain = add_tranche(before, on, 1)
    plain = prepay(plain, on, 1, PrepaymentEffect.REDUCE_INSTALMENT)
    assert [row.principal for row in back.instalments] == [row.principal for row in plain.instalments]


@given(COUNTS, RATES, st.integers(min_value=1, max_value=99), st.integers(min_value=1, max_value=99))
def test_a_prepayment_makes_instalments_smaller_or_fewer_and_saves_interest(
    count: int, rate: str, share: int, percent: int
) -> None:
    before = loan("annuity", count, rate)
    on = within(before, share)
    amount = principal_owed(before, on, sum(row.to_on <= on for row in before.instalments)) * percent // 100
    assume(amount > 0)
    smaller = prepay(before, on, amount, PrepaymentEffect.REDUCE_INSTALMENT)
    fewer = prepay(before, on, amount, PrepaymentEffect.REDUCE_TERM)
    for after in (smaller, fewer):
        assert_pays_back(after, 1_200_000 - amount)
        assert after.total_interest <= before.total_interest
    assert len(smaller.instalments) == count >= len(fewer.instalments)
    assert fewer.total_interest <= smaller.total_interest + count
    assert {row.amount for row in fewer.instalments[:-2]} <= {row.amount for row in before.instalments[:-1]}


@given(METHODS, COUNTS, RATES, st.integers(min_value=0, max_value=99))
def test_re_amortizing_a_loan_that_is_paid_as_scheduled_changes_nothing_of_note(
    method: str, count: int, rate: str, share: int
) -> None:
    before = loan(method, count, rate)
    after = re_amortize(before, within(before, share))
    assert_pays_back(after, 1_200_000)
    assert len(after.all_instalments) == count
    moved = [abs(new.amount - old.amount) for new, old in zip(after.all_instalments, before.instalments, strict=True)]
    # What rounding had left for the last instalment is spread anew over those that remain: half a cent of each amount and
    # half a cent of each interest, with compound interest from then on.
    growth = 1 + Decimal(rate) / 1200
    assert max(moved) <= 1 + sum(growth**period for period in range(count))


def test_re_amortizing_folds_what_is_overdue_into_what_is_to_come() -> None:
    before = scheduled(annual_rate_percent="0", principal="500", instalments=4, every="15 days")
    after = re_amortize(before, day("2024-02-05"), outstanding_principal=50_000)
    assert [row.amount for row in after.instalments] == [25_000, 25_000]
    assert [row.due_on for row in after.instalments] == [row.due_on for row in before.instalments[2:]]


def test_overdue_interest_falls_due_on_top_of_the_next_instalment() -> None:
    before = scheduled()
    after = re_amortize(before, day("2024-02-15"), overdue_interest=79)
    assert after.instalments[0].interest == before.instalments[1].interest + 79
    assert after.instalments[1] == before.instalments[2]


@given(
    METHODS,
    COUNTS,
    RATES,
    st.integers(min_value=0, max_value=99),
    st.integers(min_value=1, max_value=48),
    st.booleans(),
)
def test_re_aging_repays_principal_and_interest_owed(
    method: str, count: int, rate: str, share: int, instalments: int, capitalize: bool
) -> None:
    before = loan(method, count, rate)
    on = within(before, share)
    paid = sum(row.due_on <= on for row in before.instalments)
    owed = payoff_on(before, on, paid)
    after = re_age(before, on, on + timedelta(days=20), instalments, capitalize_interest=capitalize)
    assert len(after.instalments) == instalments
    assert list(after.past) == list(before.instalments[:paid])
    principal = owed.principal + (owed.interest if capitalize else 0)
    assert sum(row.principal for row in after.instalments) == principal
    earned = sum(row.interest_earned for row in after.instalments)
    assert sum(row.interest for row in after.instalments) == earned + (0 if capitalize else owed.interest)
    assert after.instalments[-1].balance_after == 0


@given(METHODS, COUNTS, RATES, st.sampled_from(HolidayInterest), st.data())
def test_a_payment_holiday_pauses_principal_and_pays_it_later(
    method: str, count: int, rate: str, interest: HolidayInterest, data: st.DataObject
) -> None:
    before = loan(method, count, rate)
    first = data.draw(st.integers(min_value=1, max_value=count))
    pause = data.draw(st.integers(min_value=1, max_value=min(4, count - first + 1)))
    after = payment_holiday(before, first, pause, interest)
    assert_pays_back(after, 1_200_000)
    assert len(after.all_instalments) == count + pause
    paused = after.all_instalments[first - 1 : first - 1 + pause]
    assert all(row.principal == 0 for row in paused)
    if interest is HolidayInterest.WAIVED:
        assert all(row.interest_earned == 0 for row in paused)
    if interest is HolidayInterest.DEFERRED:
        assert all(row.interest == 0 for row in paused)
    assert after.all_instalments[: first - 1] == before.instalments[: first - 1]


def test_a_payment_holiday_within_the_term_makes_what_is_left_larger() -> None:
    before = scheduled(principal="6000", annual_rate_percent="0")
    after = payment_holiday(before, 2, 2, HolidayInterest.PAID, extend_term=False)
    assert [row.amount for row in after.all_instalments] == [100_000, 0, 0, 166_667, 166_667, 166_666]


def test_a_due_date_moved_to_where_it_is_changes_nothing() -> None:
    before = scheduled()
    assert move_due_date(before, 3, day("2024-04-01")).all_instalments == before.instalments


def test_a_loan_can_be_changed_again_and_again() -> None:
    loan = scheduled(principal="10000", instalments=24)
    loan = change_rate(loan, day("2024-03-02"), Decimal(12))
    loan = payment_holiday(loan, 5, 2, HolidayInterest.DEFERRED)
    loan = prepay(loan, day("2024-09-10"), 100_000, PrepaymentEffect.REDUCE_TERM)
    loan = move_due_date(loan, 12, day("2025-01-15"))
    loan = re_age(loan, day("2025-02-20"), day("2025-03-15"), 12)
    assert_pays_back(loan, 900_000)
    assert interest_between(loan, day("2024-01-01"), day("2030-01-01")) == sum(
        row.interest_earned for row in loan.all_instalments
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda loan: change_rate(loan, day("2030-01-01"), Decimal(5)), "effective_on"),
        (lambda loan: add_tranche(loan, day("2024-07-01"), 100), "on"),
        (lambda loan: add_tranche(loan, day("2024-02-01"), 0), "amount"),
        (lambda loan: prepay(loan, day("2024-02-01"), 8_366, PrepaymentEffect.REDUCE_TERM), "amount"),
        (lambda loan: payment_holiday(loan, 9, 1, HolidayInterest.PAID), "number"),
        (lambda loan: payment_holiday(loan, 4, 3, HolidayInterest.PAID, extend_term=False), "instalments"),
        (lambda loan: payment_holiday(loan, 1, 7, HolidayInterest.PAID), "instalments"),
        (lambda loan: payment_holiday(loan, 1, 2_000, HolidayInterest.WAIVED), "instalments"),
        (lambda loan: payment_holiday(loan, 6, 1, HolidayInterest.PAID, extend_term=False), "instalments"),
        (lambda _: payment_holiday(scheduled(instalments=60), 1, 25, HolidayInterest.PAID), "instalments"),
        (lambda loan: move_due_date(loan, 2, day("2024-02-01")), "due_on"),
        (lambda loan: re_amortize(loan, day("2024-07-01")), "on"),
        (lambda loan: re_age(loan, day("2024-03-01"), day("2024-03-01"), 6), "first_due_on"),
        (lambda loan: re_age(loan, day("2024-03-01"), day("2024-04-01"), 0), "instalments"),
        (lambda loan: re_age(loan, day("2024-03-01"), day("9999-12-31"), 6), "first_due_on"),
        (lambda loan: re_age(loan, day("2024-03-01"), day("8999-01-01"), 2_000), "first_due_on"),
        (lambda loan: move_due_date(loan, 2, day("9999-12-31")), "due_on"),
        (lambda loan: change_rate(loan, day("2024-03-01"), Decimal("-0.01")), "annual_rate_percent"),
        (lambda loan: change_rate(loan, day("2024-03-01"), Decimal(10) ** 20), "annual_rate_percent"),
        (lambda loan: add_tranche(loan, day("2024-02-01"), 10**18), "principal"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_by_field(change: object, field: str) -> None:
    assert callable(change)
    with pytest.raises(LoanTermsError) as refusal:
        change(scheduled())
    assert refusal.value.field == field
    assert refusal.value.advice
