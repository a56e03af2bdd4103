"""Interest accrued day by day, in a form that a database can carry out for many loans at once.

A segment is a stretch of an accrual period over which interest grows evenly: from the balance, the rate and the year of its
days. The rule, here and in `loan_accrual_target` of the database: by a day inside a segment the loan has accrued

    base + round(before + earned * days passed / days of the segment)

and at the end of a period exactly `base + total`. So exact fractions are carried inside a period, whole minor units are
posted, and the days of a period add up to the schedule's interest to the last unit.

Invariant: `accrued_by` never depends on which days were accrued before, so a missed day is made good by the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import pairwise

from domain.loans.accrual import ONE_DAY, interest_earned
from domain.loans.rounding import LOAN_CONTEXT, RoundingMode, round_minor
from domain.loans.schedule import Instalment, Period, Schedule

FRACTION_DIGITS = 9
"""Decimals of a minor unit kept before rounding: a billionth below a half is a half, here and in the database alike."""

_QUANTUM = Decimal(1).scaleb(-FRACTION_DIGITS)


@dataclass(frozen=True, slots=True)
class AccrualSegment:
    """After `from_on` up to and including `to_on`. Amounts in minor units; `total` only where a period ends."""

    from_on: date
    to_on: date
    base: int
    before: Decimal
    earned: Decimal
    total: int | None

    def accrued_by(self, on: date, rounding: RoundingMode) -> int:
        """Return the interest of the loan accrued by a day inside the segment."""
        if on >= self.to_on and self.total is not None:
            return self.base + self.total
        with localcontext(LOAN_CONTEXT):
            passed, length = (min(on, self.to_on) - self.from_on).days, (self.to_on - self.from_on).days
            exact = self.before + self.earned * passed / length
            return self.base + round_minor(exact.quantize(_QUANTUM, ROUND_HALF_UP), rounding)


def accrued_by(schedule: Schedule, on: date, accrued_before: int) -> int:
    """Return all the interest in minor units accrued by a day; `accrued_before` is that of before the present plan."""
    base = accrued_before
    for index, row in enumerate(schedule.instalments):
        if on <= row.from_on:
            break
        if on >= row.to_on:
            base += row.interest_earned
            continue
        segments = _segments_of(schedule, row, schedule.plan.periods[index], base)
        return next(each for each in segments if on <= each.to_on).accrued_by(on, schedule.plan.rounding)
    return base


def segments_from(schedule: Schedule, on: date, accrued_before: int, periods: int) -> tuple[AccrualSegment, ...]:
    """Return the segments that a day's accrual and those after it need, of at most so many periods."""
    base = accrued_before
    found: list[AccrualSegment] = []
    taken = 0
    for row, period in zip(schedule.instalments, schedule.plan.periods, strict=False):
        if row.to_on > on and taken < periods:
            found.extend(each for each in _segments_of(schedule, row, period, base) if each.to_on > on)
            taken += 1
        base += row.interest_earned
    return tuple(found)


def _segments_of(schedule: Schedule, row: Instalment, period: Period, base: int) -> list[AccrualSegment]:
    """Cut a period where the balance, the rate or the year changes."""
    plan = schedule.plan
    cuts = {move.on for move in plan.moves} | {step.effective_on - ONE_DAY for step in plan.rates}
    cuts |= {date(year, 12, 31) for year in range(row.from_on.year, row.to_on.year + 1)}
    points = sorted({row.from_on, row.to_on} | {cut for cut in cuts if row.from_on < cut < row.to_on})
    with localcontext(LOAN_CONTEXT):
        exact = [interest_earned(plan, period, row.interest_base, until=point) for point in points]
        return [
            AccrualSegment(start, end, base, before, after - before, row.interest_earned if end == row.to_on else None)
            for (start, end), (before, after) in zip(pairwise(points), pairwise(exact), strict=True)
        ]
