"""The scheduled search for payments and refunds that nothing carries any more.

Invariant: one run looks at every open row once, in bounded pages, and starts a recovery for each whose workflow is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.ledger_upkeep import LedgerUpkeepActivities
from activities.reconciliation import Page, PageReport, ReconciliationActivities

PAGE_TIMEOUT = timedelta(minutes=2)
PAGE_HEARTBEAT = timedelta(seconds=30)
PAGE_RETRY = RetryPolicy(maximum_interval=timedelta(seconds=30), maximum_attempts=20)

NAMED_MAX = 1_000
"""Recovered payments and refunds that a report names; the others are counted."""

SHOWN_MAX = 20
"""Of them, those that the Temporal UI shows."""


@dataclass(frozen=True, slots=True)
class ReconciliationReport:
    """How many open rows were looked at, which payments and refunds were recovered, how many expired holds released.

    `recovered` names the first of them, `recovered_count` counts all.
    """

    looked_at: int = 0
    recovered: list[str] = field(default_factory=list)
    recovered_count: int = 0
    holds_expired: int = 0

    def plus(self, page: PageReport) -> ReconciliationReport:
        """Return the report with another page."""
        return ReconciliationReport(
            self.looked_at + page.looked_at,
            [*self.recovered, *page.recovered][:NAMED_MAX],
            self.recovered_count + len(page.recovered),
        )


@dataclass(frozen=True, slots=True)
class ReconciliationOrder:
    """Look at rows unchanged for `grace_s` seconds, `page_size` at a time; after `max_pages` a new run goes on.

    `after` and `so_far` are what such a run is given: where to go on, and what was found before.
    """

    grace_s: float = 60.0
    page_size: int = 200
    max_pages: int = 500
    after: str = ""
    so_far: ReconciliationReport = field(default_factory=ReconciliationReport)


@workflow.defn
class ReconciliationWorkflow:
    """Runs on a schedule; overlapping runs are skipped."""

    @workflow.run
    async def run(self, order: ReconciliationOrder) -> ReconciliationReport:
        """Walk through all open rows."""
        report, pages = order.so_far, 0
        after: str | None = order.after
        while after is not None:
            if pages >= order.max_pages:
                workflow.continue_as_new(replace(order, after=after, so_far=report))
            page: PageReport = await workflow.execute_activity_method(
                ReconciliationActivities.reconcile_page,
                Page(order.grace_s, order.page_size, after),
                start_to_close_timeout=PAGE_TIMEOUT,
                heartbeat_timeout=PAGE_HEARTBEAT,
                retry_policy=PAGE_RETRY,
                summary=f"Compare open rows with running workflows, page {pages + 1}",
            )
            report, after, pages = report.plus(page), page.after, pages + 1
        expired = await workflow.execute_activity_method(
            LedgerUpkeepActivities.expire_holds,
            start_to_close_timeout=PAGE_TIMEOUT,
            heartbeat_timeout=PAGE_HEARTBEAT,
            retry_policy=PAGE_RETRY,
            summary="Release holds past their time",
        )
        workflow.set_current_details(
            f"Looked at **{report.looked_at}** open rows. "
            f"Recovered: {named(report.recovered, report.recovered_count)}. "
            f"Released **{expired}** expired holds."
        )
        return replace(report, holds_expired=expired)


def named(ids: Sequence[str], count: int) -> str:
    """Name the first of so many ids, for operators."""
    shown = ", ".join(f"`{each}`" for each in ids[:SHOWN_MAX]) or "none"
    return f"{shown} and {count - SHOWN_MAX} more" if count > SHOWN_MAX else shown
