"""What every schedule keeps, whatever its terms; and its amounts against numpy-financial and QuantLib."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.loans.amortization import schedule_of
from domain.loans.business_days import BusinessDays
from domain.loans.day_count import DayCount
from domain.loans.frequency import Frequency
from domain.loans.rounding import RoundingMode
from domain.loans.schedule import due_dates_of, plan_of
from domain.loans.terms import BalanceMove, Fee, FeeWhen, Grace, LoanTerms, Method, RateStep
from tests.unit.loans import oracles
from tests.unit.loans.builders import quoted, scheduled

RATES = st.decimals(min_value=0, max_value=80, places=3)


@st.composite
def loan_terms(draw: st.DrawFn) -> LoanTerms:
    """Draw any loan: every method, day count, period and rounding, with tranches, rate changes, graces and fees."""
    disbursed_on = draw(st.dates(min_value=date(2000, 1, 1), max_value=date(2040, 12, 31)))
    every = Frequency.parse(
        draw(st.sampled_from(["1 week", "2 weeks", "half month", "1 month", "3 months", "10 days"]))
    )
    count = draw(st.integers(min_value=1, max_value=30))
    first_due_on = draw(
        st.one_of(
            st.none(), st.integers(min_value=1, max_value=120).map(lambda days: disbursed_on + timedelta(days=days))
        )
    )
    terms = LoanTerms(
        principal=draw(st.integers(min_value=1, max_value=10**9)),
        currency="USD",
        annual_rate_percent=draw(RATES),
        instalments=count,
        every=every,
        disbursed_on=disbursed_on,
        method=draw(st.sampled_from(Method)),
        day_count=draw(st.sampled_from(DayCount)),
        rounding=draw(st.sampled_from(RoundingMode)),
        instalment_multiple=draw(st.sampled_from([None, None, 100, 500])),
        first_due_on=first_due_on,
        grace=Grace(*(draw(st.integers(min_value=0, max_value=count - 1)) for _ in range(3))),
        fees=(Fee(FeeWhen.INSTALMENT, amount=draw(st.integers(min_value=0, max_value=1000))),),
        business_days=BusinessDays(),
    )
    last = due_dates_of(terms).nominal(count)
    inside = st.dates(min_value=disbursed_on, max_value=last - timedelta(days=1))
    tranches = draw(st.lists(st.builds(BalanceMove, inside, st.integers(min_value=1, max_value=10**8)), max_size=3))
    changes = draw(st.lists(st.builds(RateStep, inside.map(lambda on: on + timedelta(days=1)), RATES), max_size=2))
    lent = terms.principal + sum(tranche.amount for tranche in tranches)
    balloon = 0 if terms.method is Method.INTEREST_ONLY else draw(st.sampled_from([0, 0, lent // 3]))
    values = {name: getattr(terms, name) for name in terms.__slots__}
    return LoanTerms(**values | {"tranches": tuple(tranches), "rate_changes": tuple(changes), "balloon": balloon})


@given(loan_terms())
def test_a_schedule_pays_back_exactly_what_was_lent(terms: LoanTerms) -> None:
    rows = schedule_of(plan_of(terms)).instalments
    assert len(rows) == terms.instalments
    assert sum(row.principal for row in rows) == terms.principal + sum(tranche.amount for tranche in terms.tranches)
    assert rows[-1].balance_after == 0
    assert all(min(row.principal, row.interest, row.fees, row.balance_after) >= 0 for row in rows)


@given(loan_terms())
def test_the_balance_only_grows_by_a_tranche(terms: LoanTerms) -> None:
    rows = schedule_of(plan_of(terms)).instalments
    balance = terms.principal + sum(tranche.amount for tranche in terms.tranches if tranche.on == terms.disbursed_on)
    for row in rows:
        arrived = sum(tranche.amount for tranche in terms.tranches if row.from_on < tranche.on <= row.to_on)
        assert row.balance_after == balance - row.principal + arrived
        balance = row.balance_after


@given(loan_terms())
def test_all_interest_earned_falls_due(terms: LoanTerms) -> None:
    rows = schedule_of(plan_of(terms)).instalments
    assert sum(row.interest for row in rows) == sum(row.interest_earned for row in rows)
    spared = rows[: min(terms.grace.interest, len(rows) - 1)]
    assert all(row.interest == 0 for row in spared)
    assert all(row.interest_earned == 0 for row in rows[: terms.grace.interest_free])


@given(loan_terms())
def test_an_instalment_keeps_its_date_and_its_number(terms: LoanTerms) -> None:
    rows = schedule_of(plan_of(terms)).instalments
    assert [row.number for row in rows] == list(range(1, terms.instalments + 1))
    assert [row.due_on for row in rows] == [due_dates_of(terms).nominal(row.number) for row in rows]
    assert all(before.to_on == after.from_on for before, after in pairwise(rows))


@given(
    st.decimals(min_value=Decimal(1), max_value=Decimal(40), places=2),
    st.integers(min_value=2, max_value=120),
    st.sampled_from([("1 month", 12), ("3 months", 4), ("half month", 24)]),
    st.integers(min_value=0, max_value=50),
)
def test_a_level_instalment_agrees_with_numpy_financial(
    percent: Decimal, count: int, pace: tuple[str, int], share: int
) -> None:
    every, a_year = pace
    balloon = share * 10_000
    result = quoted(
        principal="1000000", annual_rate_percent=str(percent), instalments=count, every=every, balloon=str(balloon)
    )
    expected = oracles.level_instalment(Decimal(1_000_000), percent, a_year, count, Decimal(balloon))
    rows = result.instalments
    assert all(abs(row.amount / 100 - expected) < 0.015 for row in rows[:-1])
    # A cent of rounding in each instalment earns interest until the last.
    growth = 1 + float(percent) / 100 / a_year
    assert abs(rows[-1].amount / 100 - expected - balloon) < 0.01 * (growth**count - 1) / (growth - 1)


@given(
    st.decimals(min_value=Decimal(1), max_value=Decimal(20), places=2),
    st.integers(min_value=24, max_value=360),
    st.integers(min_value=0, max_value=600),
)
def test_a_tranche_of_any_day_leaves_the_last_instalment_level_with_the_others(
    percent: Decimal, count: int, days: int
) -> None:
    on = date(2024, 1, 1) + timedelta(days=days)
    rows = quoted(
        principal="100000",
        annual_rate_percent=str(percent),
        instalments=count,
        disbursements=[{"amount": "50000", "on": on.isoformat()}],
    ).instalments
    after = [row for row in rows if row.to_on > on]
    growth = 1 + float(percent) / 1200
    unit = (growth ** len(after) - 1) / (growth - 1)
    assert len({row.amount for row in after[:-1]}) == 1
    # What rounding of the level and of each interest comes to by the end; without spreading it would be dollars.
    assert abs(after[-1].amount - after[0].amount) <= 2 * unit + len(after)


@given(st.decimals(min_value=Decimal(1), max_value=Decimal(40), places=2), st.integers(min_value=2, max_value=120))
def test_the_balances_of_an_annuity_agree_with_quantlib(percent: Decimal, months: int) -> None:
    rows = quoted(principal="1000000", annual_rate_percent=str(percent), instalments=months).instalments
    expected = oracles.declining_balances(Decimal(1_000_000), percent, months)[1:]
    growth = 1 + float(percent) / 1200
    for row, balance in zip(rows, expected, strict=True):
        assert abs(row.balance_after / 100 - balance) < 0.01 * (growth**row.number - 1) / (growth - 1) + 0.01


@given(st.integers(min_value=1, max_value=10**7), st.integers(min_value=1, max_value=60), RATES)
def test_flat_interest_is_the_principal_times_rate_times_years(principal: int, months: int, percent: Decimal) -> None:
    result = quoted(
        principal=str(principal), annual_rate_percent=str(percent), instalments=months, method="flat", day_count=None
    )
    exact = principal * percent * months / 12
    assert abs(result.total_interest - exact) <= Decimal("0.5") + Decimal("1e-12")


@given(st.integers(min_value=1, max_value=400), st.integers(min_value=1, max_value=100))
def test_a_higher_rate_costs_more_interest(tenths: int, more: int) -> None:
    cheap = quoted(principal="100000", annual_rate_percent=str(Decimal(tenths) / 10))
    dear = quoted(principal="100000", annual_rate_percent=str(Decimal(tenths + more) / 10))
    assert cheap.total_interest < dear.total_interest
    assert cheap.apr_percent < dear.apr_percent


@given(st.integers(min_value=2, max_value=120), st.integers(min_value=1, max_value=60))
def test_a_longer_term_costs_more_interest_in_smaller_instalments(count: int, more: int) -> None:
    short = quoted(principal="100000", instalments=count)
    long = quoted(principal="100000", instalments=count + more)
    assert short.total_interest < long.total_interest
    assert short.instalments[0].amount > long.instalments[0].amount


@given(
    st.sampled_from(["annuity", "equal_principal", "flat"]),
    st.sampled_from(["1", "5", "0.25"]),
    st.integers(min_value=2, max_value=24),
)
def test_all_but_the_last_instalment_are_multiples(method: str, multiple: str, count: int) -> None:
    rows = quoted(principal="5000", method=method, instalments=count, instalment_rounding=multiple).instalments
    assert all(Decimal(row.amount) / 100 % Decimal(multiple) == 0 for row in rows[:-1])


def test_a_currency_without_decimals_has_whole_instalments() -> None:
    answer = quoted(principal="100000", currency="JPY").as_dict()
    rows = answer["instalments"]
    assert isinstance(rows, list)
    assert all("." not in row["amount"] for row in rows)


def test_a_currency_of_three_decimals_keeps_them() -> None:
    answer = quoted(principal="1000.125", currency="KWD").as_dict()
    rows = answer["instalments"]
    assert isinstance(rows, list)
    assert all(len(row["amount"].partition(".")[2]) == 3 for row in rows)


def test_interest_beyond_a_level_instalment_is_carried_and_never_added_to_the_balance() -> None:
    """A first period of ten years earns more than an instalment, whose balance must not grow for it."""
    rows = scheduled(
        annual_rate_percent="30", first_due_on="2034-01-01", instalments=4, instalment_rounding="1"
    ).instalments
    assert [row.balance_after for row in rows[:1]] == [10000]
    assert sum(row.interest for row in rows) == sum(row.interest_earned for row in rows)


def test_the_same_request_always_gives_the_same_quote() -> None:
    assert quoted().as_dict() == quoted().as_dict()
