"""The scheduled search for payments and refunds that nothing carries any more.

Invariant: one run looks at every open row once, in bounded pages, and starts a recovery for each whose workflow is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.ledger_upkeep import LedgerUpkeepActivities
from activities.reconciliation import Page, ReconciliationActivities

PAGE_TIMEOUT = timedelta(minutes=2)
PAGE_HEARTBEAT = timedelta(seconds=30)
PAGE_RETRY = RetryPolicy(maximum_interval=timedelta(seconds=30), maximum_attempts=20)


@dataclass(frozen=True, slots=True)
class ReconciliationOrder:
    """Look at rows unchanged for `grace_s` seconds, in at most `max_pages` pages of `page_size`."""

    grace_s: float = 60.0
    page_size: int = 200
    max_pages: int = 500


@dataclass(frozen=True, slots=True)
class ReconciliationReport:
    """How many open rows were looked at, which payments and refunds were recovered, how many expired holds released."""

    looked_at: int
    recovered: list[str]
    holds_expired: int = 0


@workflow.defn
class ReconciliationWorkflow:
    """Runs on a schedule; overlapping runs are skipped."""

    @workflow.run
    async def run(self, order: ReconciliationOrder) -> ReconciliationReport:
        """Walk through all open rows."""
        after: str | None = ""
        looked_at, recovered, pages = 0, list[str](), 0
        while after is not None and pages < order.max_pages:
            report = await workflow.execute_activity_method(
                ReconciliationActivities.reconcile_page,
                Page(order.grace_s, order.page_size, after),
                start_to_close_timeout=PAGE_TIMEOUT,
                heartbeat_timeout=PAGE_HEARTBEAT,
                retry_policy=PAGE_RETRY,
                summary=f"Compare open rows with running workflows, page {pages + 1}",
            )
            looked_at, pages, after = looked_at + report.looked_at, pages + 1, report.after
            recovered += report.recovered
        expired = await workflow.execute_activity_method(
            LedgerUpkeepActivities.expire_holds,
            start_to_close_timeout=PAGE_TIMEOUT,
            heartbeat_timeout=PAGE_HEARTBEAT,
            retry_policy=PAGE_RETRY,
            summary="Release holds past their time",
        )
        found = ", ".join(f"`{workflow_id}`" for workflow_id in recovered) or "none"
        workflow.set_current_details(
            f"Looked at **{looked_at}** open rows. Recovered: {found}. Released **{expired}** expired holds."
        )
        return ReconciliationReport(looked_at, recovered, expired)
