"""The daily accrual of a portfolio: one activity that goes through many loans in pages.

Invariant: it may be killed after any page; its next attempt goes on where the last heartbeat was, and what was accrued
already is found done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from temporalio import activity

from activities.loan_accrual_port import AccrualCursor, LoanAccrual


@dataclass(frozen=True, slots=True)
class AccruePortfolio:
    """Up to which day, and how many loans a page."""

    through: date
    page_size: int = 2_000


@dataclass(frozen=True, slots=True)
class PortfolioAccrued:
    """Loans looked at, loans that had days missing, and those days."""

    through: date
    seen: int
    loans: int
    days: int


class LoanAccrualActivities:
    """Accrues interest of many loans."""

    def __init__(self, accrual: LoanAccrual) -> None:
        self._accrual = accrual

    @activity.defn
    async def accrue_portfolio(self, asked: AccruePortfolio) -> PortfolioAccrued:
        """Accrue all loans in real time up to a day, catching up days that were missed."""
        seen = loans = days = 0
        cursor = AccrualCursor()
        if activity.info().heartbeat_details:
            tenant_id, loan_id, seen, loans, days = activity.info().heartbeat_details
            cursor = AccrualCursor(tenant_id, loan_id)
        while True:
            page = await self._accrual.accrue_page(cursor, asked.through, asked.page_size)
            seen, loans, days = seen + page.seen, loans + page.loans, days + page.days
            if page.seen < asked.page_size:
                return PortfolioAccrued(asked.through, seen, loans, days)
            cursor = page.cursor
            activity.heartbeat(cursor.tenant_id, cursor.loan_id, seen, loans, days)
