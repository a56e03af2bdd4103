"""The scheduled search for loans and test clocks that no workflow carries any more.

Invariant: one run looks at every one of them once, in bounded pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from temporalio import workflow

from activities.loan_reconciliation import LoanPageReport, LoanReconciliationActivities
from activities.reconciliation import Page
from workflows.payments.reconciliation import NAMED_MAX, PAGE_HEARTBEAT, PAGE_RETRY, PAGE_TIMEOUT, named


@dataclass(frozen=True, slots=True)
class LoanReconciliationReport:
    """How many were looked at, which go on again, and which need a person: the first are named, all are counted."""

    looked_at: int = 0
    recovered: list[str] = field(default_factory=list)
    recovered_count: int = 0
    lost: list[str] = field(default_factory=list)
    lost_count: int = 0

    def plus(self, page: LoanPageReport) -> LoanReconciliationReport:
        """Return the report with another page."""
        return LoanReconciliationReport(
            self.looked_at + page.looked_at,
            [*self.recovered, *page.recovered][:NAMED_MAX],
            self.recovered_count + len(page.recovered),
            [*self.lost, *page.lost][:NAMED_MAX],
            self.lost_count + len(page.lost),
        )


@dataclass(frozen=True, slots=True)
class LoanReconciliationOrder:
    """Look at rows unchanged for `grace_s` seconds, `page_size` at a time; after `max_pages` a new run goes on.

    `after` and `so_far` are what such a run is given: where to go on, and what was found before.
    """

    grace_s: float = 60.0
    page_size: int = 200
    max_pages: int = 500
    after: str = ""
    so_far: LoanReconciliationReport = field(default_factory=LoanReconciliationReport)


@workflow.defn
class LoanReconciliationWorkflow:
    """Runs on a schedule; overlapping runs are skipped."""

    @workflow.run
    async def run(self, order: LoanReconciliationOrder) -> LoanReconciliationReport:
        """Walk through all loans that have not ended."""
        report, pages = order.so_far, 0
        after: str | None = order.after
        while after is not None:
            if pages >= order.max_pages:
                workflow.continue_as_new(replace(order, after=after, so_far=report))
            page: LoanPageReport = await workflow.execute_activity_method(
                LoanReconciliationActivities.reconcile_loans,
                Page(order.grace_s, order.page_size, after),
                start_to_close_timeout=PAGE_TIMEOUT,
                heartbeat_timeout=PAGE_HEARTBEAT,
                retry_policy=PAGE_RETRY,
                summary=f"Compare loans with running workflows, page {pages + 1}",
            )
            report, after, pages = report.plus(page), page.after, pages + 1
        workflow.set_current_details(
            f"Looked at **{report.looked_at}** loans and test clocks. "
            f"Recovered: {named(report.recovered, report.recovered_count)}. "
            f"A person must look at: {named(report.lost, report.lost_count)}."
        )
        return report
