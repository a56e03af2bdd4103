"""Short ways to the loans the tests are about."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from domain.loans.quote import Quote, QuoteRequest, quote
from domain.loans.schedule import Instalment, Schedule

Row = tuple[str, str, str, str]
"""Amount, interest, principal and balance after, as a published table prints them."""


def quoted(**changed: object) -> Quote:
    """Return a quote for 100 dollars over six months at 9.4822 %, with some terms changed."""
    fields: dict[str, object] = {
        "principal": "100",
        "annual_rate_percent": "9.4822",
        "instalments": 6,
        "every": "1 month",
        "disbursed_on": "2024-01-01",
        "method": "annuity",
        "day_count": "30/360",
    }
    return quote(QuoteRequest.parse(fields | changed))


def scheduled(**changed: object) -> Schedule:
    """Return the schedule of such a quote."""
    return quoted(**changed).schedule


def table(rows: tuple[Instalment, ...]) -> list[tuple[Decimal, ...]]:
    """Return instalments in dollars, as `figures` reads them."""
    return [
        tuple(Decimal(minor) / 100 for minor in (row.amount, row.interest, row.principal, row.balance_after))
        for row in rows
    ]


def figures(text: str) -> list[tuple[Decimal, ...]]:
    """Read a table of amount, interest, principal and balance after, a line each."""
    return [tuple(Decimal(word) for word in line.split()) for line in text.strip().splitlines()]


def day(text: str) -> date:
    """Read an ISO date."""
    return date.fromisoformat(text)
