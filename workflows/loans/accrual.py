"""The daily accrual of all loans in real time: one workflow over many rows, started by a schedule.

Invariant: safe to run twice, and at once; a missed day is caught up by the next run.
"""

from __future__ import annotations

from datetime import date, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.loan_accrual import AccruePortfolio, LoanAccrualActivities, PortfolioAccrued

ACCRUAL_TIMEOUT = timedelta(hours=6)
"""One attempt over all loans."""
ACCRUAL_HEARTBEAT = timedelta(minutes=2)
"""The longest a page may take before the activity is taken to be dead."""
ACCRUAL_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=5),
    maximum_attempts=250,
)
"""A database out of reach: tried for about a day, then the next day's run catches up."""


@workflow.defn
class AccrualWorkflow:
    """Accrue interest up to a day; today, in UTC, when none is given."""

    @workflow.run
    async def run(self, through: date | None = None) -> PortfolioAccrued:
        """Return how many loans and days were accrued."""
        day = through or workflow.now().date()
        workflow.set_current_details(f"Accrues the interest of all loans up to {day}.")
        done = await workflow.execute_activity_method(
            LoanAccrualActivities.accrue_portfolio,
            AccruePortfolio(day),
            start_to_close_timeout=ACCRUAL_TIMEOUT,
            heartbeat_timeout=ACCRUAL_HEARTBEAT,
            retry_policy=ACCRUAL_RETRY,
            summary=f"Accrue up to {day}",
        )
        workflow.set_current_details(
            f"Accrued {done.days} days of {done.loans} loans up to {day}; {done.seen} loans looked at."
        )
        return done
