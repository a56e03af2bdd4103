"""What other libraries say: QuantLib and numpy-financial, only ever used to compare with."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy_financial
import QuantLib


def quantlib_date(on: date) -> QuantLib.Date:
    """Return a date as QuantLib has it."""
    return QuantLib.Date(on.day, on.month, on.year)


def python_date(on: QuantLib.Date) -> date:
    """Return a QuantLib date as Python has it."""
    return date(on.year(), on.month(), on.dayOfMonth())


def level_instalment(
    principal: Decimal, annual_percent: Decimal, periods_a_year: int, count: int, balloon: Decimal
) -> float:
    """Return numpy-financial's payment, in the unit of the principal."""
    rate = float(annual_percent) / 100 / periods_a_year
    return float(-numpy_financial.pmt(rate, count, float(principal), -float(balloon)))


def declining_balances(principal: Decimal, annual_percent: Decimal, months: int) -> list[float]:
    """Return QuantLib's balances of a monthly annuity, the first one included."""
    notionals = QuantLib.sinkingNotionals(
        QuantLib.Period(months, QuantLib.Months), QuantLib.Monthly, float(annual_percent) / 100, float(principal)
    )
    return list(notionals)


def year_fraction(convention: str, start: date, end: date) -> float:
    """Return QuantLib's share of a year between two dates."""
    counters = {
        "30/360": QuantLib.Thirty360(QuantLib.Thirty360.BondBasis),
        "actual/360": QuantLib.Actual360(),
        "actual/365": QuantLib.Actual365Fixed(),
        "actual/actual": QuantLib.ActualActual(QuantLib.ActualActual.ISDA),
    }
    return float(counters[convention].yearFraction(quantlib_date(start), quantlib_date(end)))
