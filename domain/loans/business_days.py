"""Due dates on holidays and weekends: the named conventions by which they move.

Invariant: a moved date is a working day of the calendar, and moves by at most `MAX_SHIFT_DAYS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache

import holidays

from domain.loans.errors import LoanTermsError

MAX_SHIFT_DAYS = 30
"""No country rests longer; a calendar that does is a mistake and is refused."""

_SATURDAY = 5


class BusinessDayConvention(StrEnum):
    """Where a due date goes when nobody works that day (2006 ISDA definitions, section 4.12).

    `modified_following` is the next working day unless that is in the next month, then the one before.
    """

    NONE = "none"
    FOLLOWING = "following"
    MODIFIED_FOLLOWING = "modified_following"
    PRECEDING = "preceding"


class AccrualEnd(StrEnum):
    """Whether interest is earned to the nominal date (amounts do not depend on holidays) or to the moved one."""

    NOMINAL = "nominal"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class BusinessDays:
    """A convention with its calendar: an ISO 3166 country, and a subdivision such as a state. No country: weekends only."""

    convention: BusinessDayConvention = BusinessDayConvention.NONE
    country: str | None = None
    subdivision: str | None = None
    accrual_end: AccrualEnd = AccrualEnd.NOMINAL

    def __post_init__(self) -> None:
        if self.country is not None:
            _calendar(self.country, self.subdivision)

    def is_working_day(self, on: date) -> bool:
        """Return whether banks of the calendar work on that day."""
        if self.country is None:
            return on.weekday() < _SATURDAY
        return bool(_calendar(self.country, self.subdivision).is_working_day(on))

    def adjust(self, on: date) -> date:
        """Return the day a payment due `on` is due after the convention."""
        match self.convention:
            case BusinessDayConvention.NONE:
                return on
            case BusinessDayConvention.FOLLOWING:
                return self._seek(on, 1)
            case BusinessDayConvention.PRECEDING:
                return self._seek(on, -1)
            case BusinessDayConvention.MODIFIED_FOLLOWING:
                moved = self._seek(on, 1)
                return moved if moved.month == on.month else self._seek(on, -1)

    def _seek(self, on: date, direction: int) -> date:
        for shift in range(MAX_SHIFT_DAYS + 1):
            candidate = on + timedelta(days=direction * shift)
            if self.is_working_day(candidate):
                return candidate
        raise LoanTermsError(
            "holiday_calendar",
            f"no working day within {MAX_SHIFT_DAYS} days of {on}.",
            advice="Use another calendar, or the convention 'none'.",
        )


@lru_cache(maxsize=64)
def _calendar(country: str, subdivision: str | None) -> holidays.HolidayBase:
    try:
        return holidays.country_holidays(country, subdiv=subdivision)
    except NotImplementedError:
        where = country if subdivision is None else f"{country}-{subdivision}"
        raise LoanTermsError(
            "holiday_calendar",
            f"no holidays are known for {where!r}.",
            advice="Send an ISO 3166 code, such as 'US' or 'US-NY'.",
        ) from None
