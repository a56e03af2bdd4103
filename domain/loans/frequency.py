"""How often an instalment falls due, and the dates that follow from it.

Invariant: dates are counted from the first one, never from the one before, so a loan due on the 31st comes back to the
31st after February.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from domain.loans.errors import LoanTermsError

MAX_COUNT = {"days": 366, "weeks": 53, "half_months": 1, "months": 12}
"""A period is at most a year long; Regulation Z knows no longer unit-period."""

MONTHS_IN_YEAR = 12
_NAMES = {
    "daily": (1, "days"),
    "weekly": (1, "weeks"),
    "fortnightly": (2, "weeks"),
    "biweekly": (2, "weeks"),
    "semimonthly": (1, "half_months"),
    "half month": (1, "half_months"),
    "monthly": (1, "months"),
    "quarterly": (3, "months"),
    "yearly": (12, "months"),
    "annually": (12, "months"),
}
_UNITS = {
    "day": (1, "days"),
    "week": (1, "weeks"),
    "month": (1, "months"),
    "quarter": (3, "months"),
    "year": (12, "months"),
}
_PATTERN = re.compile(r"(?P<count>[1-9][0-9]{0,3}) ?(?P<unit>day|week|month|quarter|year)s?")
_MID_MONTH = 15
_LONGEST_MONTH = 31


class FrequencyUnit(StrEnum):
    """What a frequency counts."""

    DAYS = "days"
    WEEKS = "weeks"
    HALF_MONTHS = "half_months"
    MONTHS = "months"


@dataclass(frozen=True, slots=True)
class Frequency:
    """`count` units between two due dates, such as 2 weeks or 3 months; half a month stands for two due days a month."""

    count: int
    unit: FrequencyUnit

    @classmethod
    def parse(cls, text: str, field: str = "every") -> Frequency:
        """Read `1 month`, `2 weeks`, `15 days`, `half month`, or a name such as `fortnightly`. Raises LoanTermsError."""
        words = " ".join(str(text).lower().split())
        match = _PATTERN.fullmatch(words)
        if words in _NAMES:
            count, unit = _NAMES[words]
        elif match:
            factor, unit = _UNITS[match["unit"]]
            count = int(match["count"]) * factor
        else:
            raise LoanTermsError(
                field,
                f"{text!r} is no frequency.",
                advice="Send a number of days, weeks or months, such as '2 weeks', or 'half month'.",
            )
        if count > MAX_COUNT[unit]:
            raise LoanTermsError(field, f"{text!r} is longer than a year.", advice="Send a period of at most one year.")
        return cls(count, FrequencyUnit(unit))

    def step(self, first: date, steps: int) -> date:
        """Return the date `steps` periods after `first` (before it, when negative)."""
        match self.unit:
            case FrequencyUnit.DAYS:
                return first + timedelta(days=self.count * steps)
            case FrequencyUnit.WEEKS:
                return first + timedelta(weeks=self.count * steps)
            case FrequencyUnit.MONTHS:
                return add_months(first, self.count * steps)
            case FrequencyUnit.HALF_MONTHS:
                return _step_half_months(first, steps)

    def __str__(self) -> str:
        if self.unit is FrequencyUnit.HALF_MONTHS:
            return "half month"
        word = self.unit.value.rstrip("s")
        return f"{self.count} {word}{'' if self.count == 1 else 's'}"


def add_months(on: date, months: int, anchor_day: int | None = None) -> date:
    """Return `on` moved by whole months, on `anchor_day` (its own day unless given) or the month's last day if shorter."""
    index = on.year * MONTHS_IN_YEAR + on.month - 1 + months
    year, month = divmod(index, MONTHS_IN_YEAR)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(anchor_day or on.day, last))


def _step_half_months(first: date, steps: int) -> date:
    """Step over the two due days of each month that `first` belongs to: d and d + 15, or the 15th and the last day."""
    low, high = half_month_days(first.day)
    index = 2 * (first.year * MONTHS_IN_YEAR + first.month - 1) + (0 if first.day == low else 1) + steps
    months, second = divmod(index, 2)
    year, month = divmod(months, MONTHS_IN_YEAR)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(high if second else low, last))


def half_month_days(day: int) -> tuple[int, int]:
    """Return the two days of the month a semimonthly series has: (1, 16) for the 1st or the 16th, (15, 31) for the 15th."""
    if day in (_MID_MONTH, _LONGEST_MONTH):
        return _MID_MONTH, _LONGEST_MONTH
    if day < _MID_MONTH:
        return day, day + 15
    return day - 15, day
