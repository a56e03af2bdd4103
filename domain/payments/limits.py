"""What may be paid at once, and by one customer in a day.

Invariant: the limits that bind are the rows of `payment_limits` (tenant and currency), which the database checks in the
transaction that opens the payment, so two payments at once cannot both slip under a limit. These are the values a new
database starts with. A day is a UTC day; what counts is what was attempted, also when it was declined later.
"""

from __future__ import annotations

from domain.money import exponent_of

DEFAULT_MAX_PAYMENT_MAJOR = 1_000_000
"""Largest single payment, in major units of any currency."""

DEFAULT_MAX_CUSTOMER_DAY_MAJOR = 5_000_000
"""Largest sum that one customer may attempt in a UTC day, in major units of any currency."""


def default_limits_minor(currency: str) -> tuple[int, int]:
    """Return (largest payment, largest customer day) in minor units of the currency."""
    scale = 10 ** exponent_of(currency)
    return DEFAULT_MAX_PAYMENT_MAJOR * scale, DEFAULT_MAX_CUSTOMER_DAY_MAJOR * scale
