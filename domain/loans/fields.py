"""Reading the fields of a request: decimal strings, whole numbers, dates, choices.

Invariant: a binary float is never accepted for an amount or a rate; every refusal names the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from domain.loans.errors import LoanTermsError
from domain.money import MAX_AMOUNT_MINOR

MAX_TEXT = 40
"""Characters of a number. The largest amount with its decimals has 20."""

FIRST_YEAR, LAST_YEAR = 1000, 9000
"""Days outside these years are mistakes, and leave no room to count periods from them: dates themselves end in the year 9999."""

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MISSPELT = 0.85
"""How alike two names are for one to be taken for the other misspelt (1 is equal)."""

Choice = TypeVar("Choice", bound=StrEnum)


def required(data: Mapping[str, object], field: str, where: str = "") -> object:
    """Return a field that must be there; `where` is the field that holds it."""
    value = data.get(field)
    if value is None:
        raise LoanTermsError(f"{where}.{field}" if where else field, "it is missing.", advice=f"Send {field}.")
    return value


def read_decimal(value: object, field: str) -> Decimal:
    """Read a decimal string, or a whole number, exactly."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or len(str(value)) > MAX_TEXT:
        raise LoanTermsError(
            field, f"{value!r} is no decimal string.", advice="Send a string such as '1234.50', not a float."
        )
    text = str(value).strip()
    if _NUMBER.fullmatch(text) is None:
        raise LoanTermsError(
            field, f"{value!r} is no number.", advice="Send digits with a decimal point, such as '1234.50'."
        )
    return Decimal(text)


def read_minor(value: object, field: str, exponent: int, *, positive: bool = True) -> int:
    """Read an amount in major units into whole minor units of a currency with `exponent` decimals."""
    scaled = read_decimal(value, field).scaleb(exponent)
    if scaled != scaled.to_integral_value():
        raise LoanTermsError(
            field, f"{value} has more decimals than the currency.", advice=f"Send at most {exponent} decimals."
        )
    if scaled < 0 or (positive and not scaled):
        raise LoanTermsError(field, f"{value} is not greater than zero.", advice="Send an amount greater than zero.")
    if scaled > MAX_AMOUNT_MINOR:
        raise LoanTermsError(
            field, f"{value} is too large.", advice=f"Send at most {Decimal(MAX_AMOUNT_MINOR).scaleb(-exponent)}."
        )
    return int(scaled)


def read_percent(value: object, field: str, most: Decimal) -> Decimal:
    """Read a percentage from zero up to `most`."""
    percent = read_decimal(value, field)
    if not 0 <= percent <= most:
        raise LoanTermsError(
            field, f"{value} is not between 0 and {most}.", advice="Send a percentage, such as '9.5' for 9.5 %."
        )
    return percent


def read_count(value: object, field: str, most: int, *, least: int = 0) -> int:
    """Read a whole number between two bounds."""
    number = read_decimal(value, field)
    if number != number.to_integral_value() or not least <= number <= most:
        raise LoanTermsError(
            field, f"{value} is no whole number from {least} to {most}.", advice=f"Send one from {least} to {most}."
        )
    return int(number)


def read_date(value: object, field: str) -> date:
    """Read a calendar date of ISO 8601."""
    try:
        if type(value) is not date and _DATE.fullmatch(str(value)) is None:
            raise ValueError(value)
        day = value if type(value) is date else date.fromisoformat(str(value))
    except ValueError:
        raise LoanTermsError(field, f"{value!r} is no date.", advice="Send a date such as '2026-01-31'.") from None
    if not FIRST_YEAR <= day.year < LAST_YEAR:
        raise LoanTermsError(
            field, f"{day} is too early or too late.", advice=f"Send a day from {FIRST_YEAR} up to before {LAST_YEAR}."
        )
    return day


def read_choice(value: object, field: str, choices: type[Choice]) -> Choice:
    """Read one of the values of an enumeration."""
    try:
        return choices(str(value).strip().lower())
    except ValueError:
        known = ", ".join(each.value for each in choices)
        raise LoanTermsError(field, f"{value!r} is not known.", advice=f"Send one of: {known}.") from None


def read_items(value: object, field: str, most: int) -> list[object]:
    """Read a list of at most `most` items; nothing at all is the empty list."""
    if value is None:
        return []
    if not isinstance(value, list | tuple) or len(value) > most:
        raise LoanTermsError(field, "it is no list, or too long a one.", advice=f"Send a list of at most {most} items.")
    return list(value)


def read_object(value: object, field: str, known: frozenset[str]) -> Mapping[str, object]:
    """Read an object with some of the known fields."""
    if not isinstance(value, Mapping):
        raise LoanTermsError(
            field, f"{value!r} is no object.", advice=f"Send an object with {', '.join(sorted(known))}."
        )
    refuse_misspelt(value, known, field)
    return value


def refuse_misspelt(
    data: Mapping[str, object], known: frozenset[str], where: str = "", ignored: frozenset[str] = frozenset()
) -> None:
    """Refuse a field that is nearly a known one; any other that nobody reads is let through, as a note may be."""
    for name in sorted(set(data) - known - ignored):
        for meant in get_close_matches(str(name), known, n=1, cutoff=_MISSPELT):
            field = f"{where}.{name}" if where else str(name)
            raise LoanTermsError(field, "it is not known.", advice=f"Did you mean {meant}?")
