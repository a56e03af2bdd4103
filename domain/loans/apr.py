"""The annual percentage rate by the actuarial method of US Regulation Z, Appendix J (12 CFR 1026).

Invariant: the rate found makes the advances and the payments, each discounted to the beginning of the term, equal by the
general equation (b)(8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import pairwise

from domain.loans.errors import LoanTermsError
from domain.loans.frequency import Frequency
from domain.loans.rounding import LOAN_CONTEXT
from domain.loans.unit_periods import Interval, UnitPeriod, common_unit, measure, single_payment_unit, whole_steps

MAX_ITERATIONS = 200
"""Bisections and Newton steps together; 120 halvings of the widest bracket already end below the tolerance."""
MAX_UNIT_RATE = Decimal(10**9)
MAX_HALVINGS = 100
"""How near the search comes to a rate of -100 % a unit-period, which itself makes no sense."""
_TOLERANCE = Decimal("1e-20")
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Flow:
    """An advance or a payment: an amount, in any one unit, on a day.

    A payment of a series that falls due every so often has `every`, and `follows`, the day of the one before it.
    """

    amount: Decimal
    on: date
    every: Frequency | None = None
    follows: date | None = None


@dataclass(frozen=True, slots=True)
class _Term:
    """One term of the general equation: an amount and its time."""

    amount: Decimal
    time: Interval


def annual_percentage_rate(advances: Sequence[Flow], payments: Sequence[Flow], start: date | None = None) -> Decimal:
    """Return the rate in percent a year, to 0.01.

    `start` is the day the finance charge begins to be earned; the first advance unless given. Raises LoanTermsError when
    no rate makes the two sides equal.
    """
    with localcontext(LOAN_CONTEXT):
        rate, unit = _solve(advances, payments, start)
        return (rate * unit.per_year * 100).quantize(_HUNDREDTH, rounding=ROUND_HALF_UP)


def _solve(advances: Sequence[Flow], payments: Sequence[Flow], start: date | None) -> tuple[Decimal, UnitPeriod]:
    out = sorted((flow for flow in advances if flow.amount), key=lambda flow: flow.on)
    back = sorted((flow for flow in payments if flow.amount), key=lambda flow: flow.on)
    if not out or not back or back[-1].on <= out[0].on:
        raise LoanTermsError(
            "payments",
            "nothing is paid back after the advance.",
            advice="Send an advance and at least one later payment.",
        )
    begin = start or out[0].on
    unit = _unit(begin, out, back)
    anchor = _anchor_day(back)
    first = measure(unit, begin, back[0].on, anchor)
    left = [_Term(flow.amount, measure(unit, begin, flow.on)) for flow in out]
    right = [_Term(flow.amount, _time(unit, begin, back[0].on, first, flow.on, anchor)) for flow in back]
    return _unit_rate(left, right), unit


def _unit(begin: date, out: Sequence[Flow], back: Sequence[Flow]) -> UnitPeriod:
    if len(out) == len(back) == 1:
        return single_payment_unit(begin, back[0].on)
    named = [after.every for before, after in pairwise(back) if after.every is not None and after.follows == before.on]
    measured = [
        (before.on, after.on) for before, after in pairwise(back) if after.every is None or after.follows != before.on
    ]
    advance_days = sorted({begin, *(flow.on for flow in out)})
    periods = [*pairwise(advance_days), (begin, back[0].on), *measured]
    return common_unit([(earlier, later) for earlier, later in periods if earlier < later], named)


def _time(unit: UnitPeriod, begin: date, first_on: date, first: Interval, on: date, anchor: int | None) -> Interval:
    """Return the time of a payment: whole steps after the first one where it is part of its series, else measured alone."""
    if unit.is_term:
        return first
    steps = whole_steps(unit.every, first_on, on, anchor)
    return measure(unit, begin, on, anchor) if steps is None else Interval(first.full + steps, first.fraction)


def _anchor_day(flows: Sequence[Flow]) -> int | None:
    """Return the day of the month a series of payments falls on where the month has it: 30 for 30 January, 28 February."""
    day = max(flow.on.day for flow in flows)
    return day if all(flow.on.day in (day, _last_day(flow.on)) for flow in flows) else None


def _last_day(on: date) -> int:
    following = date(on.year + on.month // 12, on.month % 12 + 1, 1)
    return (following - on.replace(day=1)).days


def _unit_rate(left: Sequence[_Term], right: Sequence[_Term]) -> Decimal:
    """Return the rate per unit-period at which both sides are worth the same, by bracketing and bisected Newton steps."""
    low, high = _bracket(left, right)
    rate = (low + high) / 2
    for _ in range(MAX_ITERATIONS):
        excess, slope = _excess(left, right, rate)
        if excess > 0:
            low = rate
        else:
            high = rate
        step = rate - excess / slope if slope else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - rate) < _TOLERANCE:
            return following
        rate = following
    return rate


def _bracket(left: Sequence[_Term], right: Sequence[_Term]) -> tuple[Decimal, Decimal]:
    """Return rates at which the payments are worth more, and less, than the advances."""
    at_zero, _ = _excess(left, right, Decimal(0))
    if at_zero < 0:
        low = Decimal("-0.5")
        for _ in range(MAX_HALVINGS):
            if _excess(left, right, low)[0] > 0:
                return low, Decimal(0)
            low = (low - 1) / 2
        raise _no_rate()
    low, high = Decimal(0), Decimal("0.01")
    while high <= MAX_UNIT_RATE:
        if _excess(left, right, high)[0] <= 0:
            return low, high
        low, high = high, high * 4
    raise _no_rate()


def _no_rate() -> LoanTermsError:
    return LoanTermsError(
        "payments",
        "no annual percentage rate makes them worth the advances.",
        advice="Check the amounts and the dates.",
    )


def _excess(left: Sequence[_Term], right: Sequence[_Term], rate: Decimal) -> tuple[Decimal, Decimal]:
    """Return what the payments are worth beyond the advances at a unit-period rate, and how that changes with the rate."""
    value, slope = Decimal(0), Decimal(0)
    for sign, terms in ((-1, left), (1, right)):
        for term in terms:
            growth = 1 + rate
            simple = 1 + term.time.fraction * rate
            worth = sign * term.amount / (simple * growth**term.time.full)
            value += worth
            slope -= worth * (term.time.full / growth + term.time.fraction / simple)
    return value, slope
