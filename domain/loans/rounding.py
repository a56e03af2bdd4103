"""Rounding: how an exact amount becomes a whole number of minor units, or of multiples of them.

Invariant: all loan arithmetic runs in `LOAN_CONTEXT`, wide enough that only the named rounding is ever seen.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from enum import StrEnum

LOAN_CONTEXT = decimal.Context(
    prec=34, rounding=decimal.ROUND_HALF_EVEN, traps=[decimal.InvalidOperation, decimal.DivisionByZero]
)
"""34 significant digits (decimal128): a balance of 10**15 minor units still leaves 19 digits after the point."""


class RoundingMode(StrEnum):
    """What happens to the part below one unit. Values are the names used in a quote."""

    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    HALF_DOWN = "half_down"
    UP = "up"
    DOWN = "down"
    CEILING = "ceiling"
    FLOOR = "floor"


_DECIMAL_NAMES = {
    RoundingMode.HALF_EVEN: decimal.ROUND_HALF_EVEN,
    RoundingMode.HALF_UP: decimal.ROUND_HALF_UP,
    RoundingMode.HALF_DOWN: decimal.ROUND_HALF_DOWN,
    RoundingMode.UP: decimal.ROUND_UP,
    RoundingMode.DOWN: decimal.ROUND_DOWN,
    RoundingMode.CEILING: decimal.ROUND_CEILING,
    RoundingMode.FLOOR: decimal.ROUND_FLOOR,
}


def round_minor(amount: Decimal, mode: RoundingMode) -> int:
    """Return `amount` (in minor units) as a whole number of minor units."""
    return int(amount.to_integral_value(rounding=_DECIMAL_NAMES[mode]))


def round_to_multiple(amount: Decimal, multiple_minor: int | None, mode: RoundingMode) -> int:
    """Return `amount` rounded to a multiple of `multiple_minor`, or to one minor unit when there is none.

    An amount above zero that the multiple would round to nothing is rounded to the minor unit instead, so that a small
    loan keeps its instalments rather than falling due all at once in the last.
    """
    if multiple_minor is None:
        return round_minor(amount, mode)
    rounded = round_minor(amount / multiple_minor, mode) * multiple_minor
    return rounded if rounded or amount <= 0 else round_minor(amount, mode)
