"""The port through which the interest of a portfolio is accrued, page by page.

Invariant: a page is accrued whole or not at all, each loan and day once, however often it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccrualCursor:
    """The last loan of the page before; empty at the beginning."""

    tenant_id: str = ""
    loan_id: str = ""


@dataclass(frozen=True, slots=True)
class AccrualPage:
    """What a page did: how many loans it looked at, how many had days missing, how many days those were."""

    cursor: AccrualCursor
    seen: int
    loans: int
    days: int


class LoanAccrual(Protocol):
    """Where the interest of many loans is accrued."""

    async def accrue_page(self, after: AccrualCursor, through: date, limit: int) -> AccrualPage:
        """Accrue the next `limit` loans in real time up to a day."""
        ...
