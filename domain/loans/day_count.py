"""Day counts: what share of a year interest is earned for.

Invariant: the shares of the parts of a period add up to the share of the period. Interest days are numbered by the day
on which they end: a period excludes its first day and includes its last.
"""

from __future__ import annotations

import calendar
from datetime import date
from decimal import Decimal
from enum import StrEnum

from domain.loans.frequency import MONTHS_IN_YEAR, Frequency, FrequencyUnit, add_months

DAYS_PER_MONTH = 30


class DayCount(StrEnum):
    """The convention of a loan. Values are the names used in a quote.

    `nominal` (a loan that names none) gives each period its share of a year by name: a month 1/12, a week 1/52, a day
    1/365. `actual/364` is the weekly lender's year of 52 weeks.
    """

    THIRTY_360 = "30/360"
    ACTUAL_360 = "actual/360"
    ACTUAL_364 = "actual/364"
    ACTUAL_365 = "actual/365"
    ACTUAL_ACTUAL = "actual/actual"
    NOMINAL = "nominal"


_YEAR_DAYS = {DayCount.ACTUAL_360: 360, DayCount.ACTUAL_364: 364, DayCount.ACTUAL_365: 365}


def months_between(start: date, end: date) -> Decimal:
    """Return the months between two dates: whole ones counted forward, then the share of the month the rest begins.

    From 1 January to 18 February 2024 it is 1 + 17/29: what is left of a month is earned evenly over its actual days.
    """
    whole = (end.year - start.year) * MONTHS_IN_YEAR + end.month - start.month
    if add_months(start, whole) > end:
        whole -= 1
    reached, following = add_months(start, whole), add_months(start, whole + 1)
    return whole + Decimal((end - reached).days) / (following - reached).days


def actual_actual(start: date, end: date) -> Decimal:
    """Return the share of a year with each day counted in the year it ends in.

    From 12 December 2023 to 12 January 2024 it is 19/365 + 12/366.
    """
    share = Decimal(0)
    for year in range(start.year, end.year):
        year_end = date(year, 12, 31)
        share += Decimal((year_end - start).days) / _days_in_year(year)
        start = year_end
    return share + Decimal((end - start).days) / _days_in_year(end.year)


def _days_in_year(year: int) -> int:
    return 366 if calendar.isleap(year) else 365


def year_share(
    convention: DayCount, every: Frequency, *, regular: bool, whole: tuple[date, date], part: tuple[date, date]
) -> Decimal:
    """Return the share of a year that `part`, a stretch of the accrual period `whole`, earns interest for.

    A `regular` period is one step of `every`. Under 30/360 such a period has its nominal length (a month 30 days of 360),
    any other is measured by `months_between`; inside a period interest is earned evenly over its actual days, so a
    tranche paid out on the 8th of a 31-day month leaves 7/31 of the month before it.
    """
    start, end = part
    if convention is DayCount.NOMINAL:
        convention = _nominal(every)
    if convention is DayCount.ACTUAL_ACTUAL:
        return actual_actual(start, end)
    days = Decimal((end - start).days)
    if convention in _YEAR_DAYS:
        return days / _YEAR_DAYS[convention]
    whole_days = Decimal((whole[1] - whole[0]).days)
    if not whole_days:
        return Decimal(0)
    return _thirty_360_length(every, regular, whole) * days / (360 * whole_days)


def _nominal(every: Frequency) -> DayCount:
    if every.unit is FrequencyUnit.WEEKS:
        return DayCount.ACTUAL_364
    return DayCount.ACTUAL_365 if every.unit is FrequencyUnit.DAYS else DayCount.THIRTY_360


def _thirty_360_length(every: Frequency, regular: bool, whole: tuple[date, date]) -> Decimal:
    """Return the length of a period in days of a 360-day year. Weeks and days have their actual length."""
    if every.unit in (FrequencyUnit.DAYS, FrequencyUnit.WEEKS):
        return Decimal((whole[1] - whole[0]).days)
    if not regular:
        return DAYS_PER_MONTH * months_between(*whole)
    return (
        Decimal(DAYS_PER_MONTH) / 2
        if every.unit is FrequencyUnit.HALF_MONTHS
        else Decimal(DAYS_PER_MONTH * every.count)
    )
