"""Loans and test clocks as the API reaches them in Temporal.

Invariant: the ids of workflows and updates come from the idempotency key, so a repeated call reaches the same loan.
"""

from __future__ import annotations

from datetime import date
from typing import Any, cast

from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from api.engine import WorkflowCalls
from api.temporal_link import TemporalLink
from domain.loans.application import LoanApplication
from domain.loans.loan import Loan
from infra.settings import Settings
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import LoanOrder, LoanProgress, PayoffQuote
from workflows.loans.shared_clock import ClockOrder, ClockView, LoanClockWorkflow
from workflows.loans.visibility import of_application, summary


class LoanEngine(WorkflowCalls):
    """Starts, updates and asks the workflows of loans and of test clocks."""

    def __init__(self, link: TemporalLink, settings: Settings) -> None:
        super().__init__(link, settings)
        self._task_queue = settings.loan_task_queue
        self._payment_task_queue = settings.payment_task_queue

    async def apply(
        self, application: LoanApplication, today: date | None, update_id: str, wait_s: float
    ) -> Loan | None:
        """Start a loan, or find the one that was started before, and wait until it rests: offered, referred or declined."""
        order = LoanOrder(application, today=today, payment_task_queue=self._payment_task_queue)
        options = self._options(application.id) | {
            "search_attributes": of_application(application),
            "static_summary": summary(application),
            "static_details": _details(application),
        }
        return cast(
            Loan | None,
            await self.submit_first(LoanWorkflow.run, order, LoanWorkflow.submit, update_id, wait_s, options),
        )

    async def start_clock(self, order: ClockOrder, update_id: str, wait_s: float) -> ClockView | None:
        """Start a test clock, or find the one that was started before, and wait until it is written down."""
        options = self._options(order.clock_id) | {
            "static_summary": f"Test clock {order.name or order.clock_id}, from {order.on}",
        }
        return cast(
            ClockView | None,
            await self.submit_first(LoanClockWorkflow.run, order, LoanClockWorkflow.submit, update_id, wait_s, options),
        )

    async def catch_up(self, loan_id: str, to: date) -> None:
        """Tell a loan what its test clock shows, when that moved on while the loan was started."""
        await self.signal(loan_id, LoanWorkflow.advance_clock, to)

    async def progress(self, loan_id: str) -> LoanProgress:
        """Ask a loan's workflow what it is doing. Raises WorkflowEnded when it runs no more."""
        return cast(LoanProgress, await self.query(loan_id, LoanWorkflow.progress, running_only=True))

    async def payoff_quote(self, loan_id: str, on: date) -> PayoffQuote:
        """Ask what pays the loan off on a day; on the present day, for an earlier one."""
        return cast(PayoffQuote, await self.query(loan_id, LoanWorkflow.payoff_quote, on))

    def _options(self, workflow_id: str) -> dict[str, Any]:
        return {
            "id": workflow_id,
            "task_queue": self._task_queue,
            "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
            "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
        }


def _details(application: LoanApplication) -> str:
    lines = [
        f"Customer `{application.applicant.customer}`, tenant `{application.tenant_id}`.",
        f"Paid out from `{application.funding_account}` to `{application.payout_account}`.",
    ]
    if application.test_clock is not None:
        lines.append(f"Follows the test clock `{application.test_clock}`.")
    if application.trace_id:
        lines.append(f"Trace `{application.trace_id}`.")
    return "\n\n".join(lines)
