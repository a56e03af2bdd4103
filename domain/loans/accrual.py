"""Interest earned: on a balance that tranches and prepayments move, at a rate that steps, over a period or part of it.

Invariant: amounts are exact and nothing here rounds them; what a period earns is the sum of what its parts earn. Only
the rate of a stretch has a last digit.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from domain.loans.day_count import year_share
from domain.loans.schedule import Period, Plan
from domain.loans.terms import BalanceMove, Method

ONE_DAY = timedelta(days=1)
RATE_DIGITS = 19
"""Decimals of the rate of a stretch, as many as Apache Fineract's rate factor has. It shows where an amount comes to half a
unit: 750 at 7 % earn 4.374999… in a month of 30/360, not 4.375, because a twelfth of 7 % has no end."""

_RATE_QUANTUM = Decimal(1).scaleb(-RATE_DIGITS)


def share_of_year(plan: Plan, period: Period, start: date, end: date) -> Decimal:
    """Return the share of a year from `start` to `end`, both inside `period`."""
    return year_share(
        plan.day_count, plan.every, regular=period.regular, whole=(period.from_on, period.to_on), part=(start, end)
    )


def period_rate(plan: Plan, period: Period) -> Decimal:
    """Return what one unit owed all through the period earns: the sum of rate times share of a year."""
    if not period.bears_interest:
        return Decimal(0)
    return sum(
        (_rate_of_stretch(plan, period, start, end) for start, end in _stretches(plan, period, period.to_on, ())),
        Decimal(0),
    )


def interest_earned(plan: Plan, period: Period, balance: int, until: date | None = None) -> Decimal:
    """Return the exact interest in minor units that a period earns up to `until` (its end unless given).

    `balance` is what interest is charged on when the period begins: the principal owed, or under the flat method the
    principal ever paid out. Moves of the plan dated inside the period change it from their day on.
    """
    end_on = period.to_on if until is None else min(until, period.to_on)
    if not period.bears_interest or end_on <= period.from_on:
        return Decimal(0)
    moves = [move for move in plan.moves if effective_in(period, move)]
    earned = Decimal(0)
    for start, end in _stretches(plan, period, end_on, moves):
        owed = balance + sum(move.amount for move in moves if move.on <= start)
        earned += owed * _rate_of_stretch(plan, period, start, end)
    return earned


def effective_in(period: Period, move: BalanceMove) -> bool:
    """Return whether a move belongs to a period: dated on its first day or inside it. One on the last day is the next's."""
    return period.from_on <= move.on < period.to_on


def charged_on(plan: Plan, balance: int, paid_out: int) -> int:
    """Return what interest is charged on: the balance, or under the flat method all that was ever paid out."""
    return paid_out if plan.method is Method.FLAT else balance


def _rate_of_stretch(plan: Plan, period: Period, start: date, end: date) -> Decimal:
    """Return what one unit earns over a stretch that has one rate."""
    rate = plan.rate_on(start + ONE_DAY) / 100 * share_of_year(plan, period, start, end)
    return rate.quantize(_RATE_QUANTUM)


def _stretches(
    plan: Plan, period: Period, end_on: date, moves: list[BalanceMove] | tuple[()]
) -> list[tuple[date, date]]:
    """Cut a period where the balance or the rate changes. A rate for day D begins with the interest that ends on D."""
    cuts = {move.on for move in moves} | {step.effective_on - ONE_DAY for step in plan.rates}
    points = sorted({period.from_on, end_on} | {cut for cut in cuts if period.from_on < cut < end_on})
    return list(pairwise(points))
