"""Unit-periods: the time scale of an annual percentage rate, by Regulation Z, Appendix J, (b)(3) to (b)(5).

Invariant: months are all equal and counted back from the later date; what remains is counted forward in days.
"""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.loans.frequency import MONTHS_IN_YEAR, Frequency, FrequencyUnit, add_months, half_month_days

DAYS_IN_YEAR = 365
WEEKS_IN_YEAR = 52
_DAYS_IN_MONTH = 30
_DAYS_IN_HALF_MONTH = 15
_DAYS_IN_WEEK = 7


@dataclass(frozen=True, slots=True)
class UnitPeriod:
    """A standard interval, or the term itself of a loan repaid at once. `per_year`: unit-periods in a year.

    `is_term` marks a single advance with a single payment within a year: the whole term is one unit-period, (b)(5)(vi).
    """

    every: Frequency
    per_year: Decimal
    is_term: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """A time from the beginning of the term: whole unit-periods and a fraction of one."""

    full: int
    fraction: Decimal


def per_year(every: Frequency) -> Decimal:
    """Return how many unit-periods a year has: 365 days, 52 weeks, 24 half months, 12 months, (b)(5)."""
    counts = {
        FrequencyUnit.DAYS: DAYS_IN_YEAR,
        FrequencyUnit.WEEKS: WEEKS_IN_YEAR,
        FrequencyUnit.HALF_MONTHS: 2 * MONTHS_IN_YEAR,
        FrequencyUnit.MONTHS: MONTHS_IN_YEAR,
    }
    return Decimal(counts[every.unit]) / every.count


def single_payment_unit(start: date, end: date) -> UnitPeriod:
    """Return the unit-period of one advance repaid by one payment: the term, but at most a year, (b)(4)(ii)."""
    year = Frequency(MONTHS_IN_YEAR, FrequencyUnit.MONTHS)
    if end >= add_months(start, MONTHS_IN_YEAR):
        return UnitPeriod(year, Decimal(1))
    months, days = months_back(start, end)
    if months and not days:
        return UnitPeriod(year, Decimal(MONTHS_IN_YEAR) / months, is_term=True)
    return UnitPeriod(year, Decimal(DAYS_IN_YEAR) / (end - start).days, is_term=True)


def common_unit(periods: Sequence[tuple[date, date]], named: Sequence[Frequency]) -> UnitPeriod:
    """Return the unit-period of a loan of several advances or payments, (b)(4)(i).

    It is the period that occurs most often, the smaller of two equally frequent ones; with no period occurring twice, the
    standard interval nearest to the average. `periods` are pairs of consecutive dates of advances or payments;
    `named` are those that are known by name, because the payments were said to fall due every so often.
    """
    candidates = [names for names in (_names_of(start, end) for start, end in periods) if names]
    votes = Counter(named)
    for names in candidates:
        votes.update(names)
    # A month of 28 days is also 4 weeks: each period goes by the name it shares with most others.
    counts = Counter(named)
    counts.update(max(names, key=lambda name: (votes[name], -_rank(name))) for names in candidates)
    common = {every: count for every, count in counts.items() if count > 1}
    if common:
        every = min(common, key=lambda each: (-common[each], _days_of(each)))
    else:
        lengths = [(end - start).days for start, end in periods] + [_days_of(every) for every in named]
        every = _nearest_standard(Decimal(sum(lengths)) / len(lengths))
    return UnitPeriod(every, per_year(every))


def measure(unit: UnitPeriod, start: date, end: date, anchor_day: int | None = None) -> Interval:
    """Return the time from `start` to `end` in unit-periods, (b)(5).

    `anchor_day` is the day of the month of a series of payments, so that one due on the 30th is a whole month from its
    last of February, (b)(3)(iv).
    """
    if unit.is_term:
        return Interval(1 if end > start else 0, Decimal(0))
    every = unit.every
    if every.unit in (FrequencyUnit.DAYS, FrequencyUnit.WEEKS):
        return _divide((end - start).days, every.count * (1 if every.unit is FrequencyUnit.DAYS else _DAYS_IN_WEEK))
    months, days = months_back(start, end, anchor_day)
    if every.unit is FrequencyUnit.HALF_MONTHS:
        return _divide(months * _DAYS_IN_MONTH + days, _DAYS_IN_HALF_MONTH)
    if every.count < MONTHS_IN_YEAR:
        return _divide(months * _DAYS_IN_MONTH + days, _DAYS_IN_MONTH * every.count)
    years, rest = divmod(months, MONTHS_IN_YEAR)
    if not days:
        return Interval(years, Decimal(rest) / MONTHS_IN_YEAR)
    beginning = add_months(end, -years * MONTHS_IN_YEAR, anchor_day)
    return Interval(years, Decimal((beginning - start).days) / DAYS_IN_YEAR)


def whole_steps(every: Frequency, start: date, end: date, anchor_day: int | None = None) -> int | None:
    """Return how many unit-periods lie between two payments of a series, or None if it is no whole number."""
    if every.unit in (FrequencyUnit.DAYS, FrequencyUnit.WEEKS):
        steps, rest = divmod(
            (end - start).days, every.count * (1 if every.unit is FrequencyUnit.DAYS else _DAYS_IN_WEEK)
        )
        return None if rest else steps
    if every.unit is FrequencyUnit.HALF_MONTHS:
        steps = round((end - start).days * 24 / DAYS_IN_YEAR)
        return next((n for n in (steps - 1, steps, steps + 1) if every.step(start, n) == end), None)
    months, days = months_back(start, end, anchor_day)
    return None if days or months % every.count else months // every.count


def months_back(start: date, end: date, anchor_day: int | None = None) -> tuple[int, int]:
    """Return the full months between two dates, counted back from the later, and the days left before them."""
    anchor = anchor_day if anchor_day is not None and _is_anchored(end, anchor_day) else end.day
    months = (end.year - start.year) * MONTHS_IN_YEAR + end.month - start.month
    if add_months(end, -months, anchor) < start:
        months -= 1
    return months, (add_months(end, -months, anchor) - start).days


def _is_anchored(on: date, anchor_day: int) -> bool:
    return on.day == min(anchor_day, calendar.monthrange(on.year, on.month)[1])


def _divide(days: int, length: int) -> Interval:
    full, rest = divmod(days, length)
    return Interval(full, Decimal(rest) / length)


def _names_of(start: date, end: date) -> set[Frequency]:
    """Return the names a stretch of time answers to: 1 February to 1 March is a month, 4 weeks and 28 days."""
    days = (end - start).days
    if not 0 < days <= DAYS_IN_YEAR + 1:
        return set()
    names = {Frequency(days, FrequencyUnit.DAYS)}
    if not days % _DAYS_IN_WEEK:
        names.add(Frequency(days // _DAYS_IN_WEEK, FrequencyUnit.WEEKS))
    months, rest = months_back(start, end, max(start.day, end.day))
    if months and not rest:
        names.add(Frequency(months, FrequencyUnit.MONTHS))
    half = Frequency(1, FrequencyUnit.HALF_MONTHS)
    if start.day in half_month_days(start.day) and half.step(start, 1) == end:
        names.add(half)
    return names


def _days_of(every: Frequency) -> int:
    lengths = {
        FrequencyUnit.DAYS: 1,
        FrequencyUnit.WEEKS: _DAYS_IN_WEEK,
        FrequencyUnit.HALF_MONTHS: _DAYS_IN_HALF_MONTH,
        FrequencyUnit.MONTHS: _DAYS_IN_MONTH,
    }
    return lengths[every.unit] * every.count


def _rank(every: Frequency) -> int:
    """Order names of one length by how likely they are meant: months, half months, weeks, then days."""
    order = (FrequencyUnit.MONTHS, FrequencyUnit.HALF_MONTHS, FrequencyUnit.WEEKS, FrequencyUnit.DAYS)
    return order.index(every.unit)


def _nearest_standard(days: Decimal) -> Frequency:
    """Return the standard interval nearest to an average length, the shorter of two equally near, (b)(4)(i)(B)."""
    standards = [
        Frequency(1, FrequencyUnit.DAYS),
        Frequency(1, FrequencyUnit.HALF_MONTHS),
        *(Frequency(weeks, FrequencyUnit.WEEKS) for weeks in range(1, WEEKS_IN_YEAR + 1)),
        *(Frequency(months, FrequencyUnit.MONTHS) for months in range(1, MONTHS_IN_YEAR + 1)),
    ]
    return min(standards, key=lambda every: (abs(_days_of(every) - days), _days_of(every)))
