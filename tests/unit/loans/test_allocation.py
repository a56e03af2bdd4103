"""Repayments allocated in every order."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.loans.allocation import (
    DEFAULT_ORDER,
    InAdvance,
    InstalmentBalance,
    Portion,
    Strategy,
    Sweep,
    Timing,
    allocate,
)
from domain.loans.errors import LoanTermsError
from tests.unit.loans.builders import day

TODAY = day("2024-03-15")
LATE = InstalmentBalance(1, day("2024-02-15"), principal=1000, interest=100, fee=10, penalty=5)
DUE = InstalmentBalance(2, TODAY, principal=1000, interest=90, fee=10)
NEXT = InstalmentBalance(3, day("2024-04-15"), principal=1000, interest=80)
LAST = InstalmentBalance(4, day("2024-05-15"), principal=1000)
ALL = (LATE, DUE, NEXT, LAST)

AMOUNTS = st.integers(min_value=0, max_value=500)
BALANCES = st.lists(
    st.builds(
        InstalmentBalance,
        st.integers(min_value=1, max_value=9),
        st.integers(min_value=-60, max_value=60).map(lambda days: TODAY + timedelta(days=days)),
        AMOUNTS,
        AMOUNTS,
        AMOUNTS,
        AMOUNTS,
    ),
    max_size=6,
    unique_by=lambda each: each.number,
)
STRATEGIES = st.builds(
    Strategy, st.permutations(list(DEFAULT_ORDER)).map(tuple), st.sampled_from(Sweep), st.sampled_from(InAdvance)
)


def paid(amount: int, strategy: Strategy | None = None) -> list[tuple[int, str, int]]:
    return [(part.number, part.portion.value, part.amount) for part in allocate(amount, TODAY, ALL, strategy).parts]


def order(*steps: str) -> tuple[tuple[Timing, Portion], ...]:
    """Return a full order that begins with the given steps, such as `in_advance principal`."""
    first = [(Timing(step.split()[0]), Portion(step.split()[1])) for step in steps]
    return (*first, *(step for step in DEFAULT_ORDER if step not in first))


def test_the_oldest_debt_is_paid_first_and_of_it_what_costs_most() -> None:
    assert paid(1300) == [
        (1, "penalty", 5),
        (1, "fee", 10),
        (1, "interest", 100),
        (1, "principal", 1000),
        (2, "fee", 10),
        (2, "interest", 90),
        (2, "principal", 85),
    ]


def test_principal_may_be_agreed_to_come_before_interest() -> None:
    strategy = Strategy(order("past_due principal", "past_due interest", "past_due fee", "past_due penalty"))
    assert paid(1050, strategy) == [(1, "principal", 1000), (1, "interest", 50)]


def test_a_vertical_sweep_pays_one_portion_of_all_instalments_before_the_next() -> None:
    late = InstalmentBalance(5, day("2024-03-01"), principal=500, interest=50)
    strategy = Strategy(order("past_due interest", "past_due principal"), Sweep.VERTICAL)
    parts = allocate(200, TODAY, [LATE, late], strategy).parts
    assert [(part.number, part.portion.value, part.amount) for part in parts] == [
        (1, "interest", 100),
        (5, "interest", 50),
        (1, "principal", 50),
    ]


def test_a_horizontal_sweep_finishes_an_instalment_first() -> None:
    late = InstalmentBalance(5, day("2024-03-01"), principal=500, interest=50)
    strategy = Strategy(order("past_due interest", "past_due principal"), Sweep.HORIZONTAL)
    parts = allocate(1150, TODAY, [LATE, late], strategy).parts
    assert [(part.number, part.portion.value) for part in parts] == [
        (1, "interest"),
        (1, "principal"),
        (1, "penalty"),
        (1, "fee"),
        (5, "interest"),
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (InAdvance.NEXT_INSTALMENT, [(3, "interest", 80), (3, "principal", 520)]),
        (InAdvance.LAST_INSTALMENT, [(4, "principal", 600)]),
        (InAdvance.EVENLY, [(3, "interest", 80), (3, "principal", 260), (4, "principal", 260)]),
    ],
)
def test_what_is_paid_in_advance_goes_where_it_was_agreed(
    rule: InAdvance, expected: list[tuple[int, str, int]]
) -> None:
    result = allocate(600, TODAY, [NEXT, LAST], Strategy(in_advance=rule))
    assert [(part.number, part.portion.value, part.amount) for part in result.parts] == expected


def test_what_is_more_than_everything_is_left_over() -> None:
    result = allocate(10_000, TODAY, ALL)
    assert result.unallocated == 10_000 - 4295
    assert result.total(Portion.PRINCIPAL) == 4000
    assert all(balance.of(portion) == 0 for balance, portion in product(result.balances, Portion))


@given(st.integers(min_value=1, max_value=20_000), BALANCES, STRATEGIES)
def test_nothing_is_lost_and_no_balance_is_overpaid(
    amount: int, balances: list[InstalmentBalance], strategy: Strategy
) -> None:
    result = allocate(amount, TODAY, balances, strategy)
    owed = sum(balance.of(portion) for balance, portion in product(balances, Portion))
    assert sum(part.amount for part in result.parts) + result.unallocated == amount
    assert result.unallocated == max(amount - owed, 0)
    before = {balance.number: balance for balance in balances}
    for after, portion in product(result.balances, Portion):
        took = sum(part.amount for part in result.parts if (part.number, part.portion) == (after.number, portion))
        assert after.of(portion) == before[after.number].of(portion) - took >= 0


@given(st.integers(min_value=1, max_value=5000), BALANCES, STRATEGIES)
def test_a_later_step_is_paid_only_when_the_earlier_ones_are_settled(
    amount: int, balances: list[InstalmentBalance], strategy: Strategy
) -> None:
    vertical = Strategy(strategy.order, Sweep.VERTICAL, strategy.in_advance)
    result = allocate(amount, TODAY, balances, vertical)
    left = {
        step: sum(each.of(step[1]) for each in result.balances if each.timing(TODAY) is step[0])
        for step in vertical.order
    }
    touched = [vertical.order.index((part.timing, part.portion)) for part in result.parts]
    assert touched == sorted(touched)
    assert all(left[step] == 0 for step in vertical.order[: max(touched, default=0)])


def test_a_repayment_of_nothing_is_refused() -> None:
    with pytest.raises(LoanTermsError):
        allocate(0, TODAY, ALL)


def test_an_order_that_forgets_a_portion_is_refused() -> None:
    with pytest.raises(LoanTermsError) as refusal:
        Strategy(DEFAULT_ORDER[:-1])
    assert refusal.value.field == "order"
