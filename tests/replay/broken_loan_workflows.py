"""Loans broken on purpose: what a careless change would do to those that run for years.

As for payments, they stand in a module of their own, so that the sandbox loads them as it loads the real ones.
"""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

from temporalio import workflow

from activities.loan_accrual import AccruePortfolio, LoanAccrualActivities, PortfolioAccrued
from activities.loan_book import LoanBookActivities
from activities.loan_checks import LoanCheckActivities
from activities.screening_port import ScreeningRequest
from domain.loans.agenda import DayEvent
from domain.loans.loan import Loan
from domain.payments.record import RecordOutcome
from workflows.loans.accrual import AccrualWorkflow
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import LoanOrder
from workflows.loans.shared_clock import ClockOrder, LoanClockWorkflow
from workflows.loans.visibility import LOAN_STATUS

TIMEOUT = timedelta(seconds=10)


@workflow.defn(name="LoanWorkflow")
class Unchanged(LoanWorkflow):
    """Derived from the real one and nothing else: it must replay, or the others would prove nothing."""

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:
        return await super().run(order)


@workflow.defn(name="LoanWorkflow")
class ScreenedTwice(LoanWorkflow):
    """The applicant is screened before the application is written down, and then again."""

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:
        await workflow.execute_activity_method(
            LoanCheckActivities.screen_applicant,
            ScreeningRequest(order.application.id, "", None, ""),
            start_to_close_timeout=TIMEOUT,
        )
        return await super().run(order)


@workflow.defn(name="LoanWorkflow")
class WrittenByAnother(LoanWorkflow):
    """The rejection is written by another activity."""

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:
        journal = self._process.journal
        write = journal.write

        async def by_another(activity: Any, after: Loan, name: str, text: str, **rest: Any) -> RecordOutcome:
            chosen = LoanBookActivities.record_servicing if name == "rejected" else activity
            return await write(chosen, after, name, text, **rest)

        journal.write = by_another  # type: ignore[method-assign]
        return await super().run(order)


@workflow.defn(name="LoanWorkflow")
class PaidOutTwice(LoanWorkflow):
    """A payout is followed by another one."""

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:
        disbursement = self._process.disbursement
        once = disbursement.disburse

        async def twice() -> None:
            await once()
            await once()

        disbursement.disburse = twice  # type: ignore[method-assign]
        return await super().run(order)


@workflow.defn(name="LoanWorkflow")
class NeverCollects(LoanWorkflow):
    """The days that come are noted, and nothing is done on them."""

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:
        async def nothing(events: tuple[DayEvent, ...]) -> None:
            return

        self._process._servicing.serve_day = nothing  # type: ignore[method-assign]
        return await super().run(order)


@workflow.defn(name="LoanWorkflow")
class TimerAdded(LoanWorkflow):
    """A loan waits a little first."""

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:
        await asyncio.sleep(1)
        return await super().run(order)


@workflow.defn(name="LoanWorkflow")
class SearchAttributeAdded(LoanWorkflow):
    """One more status is published."""

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:
        workflow.upsert_search_attributes([LOAN_STATUS.value_set("received")])
        return await super().run(order)


@workflow.defn(name="LoanWorkflow")
class NeverContinuesAsNew(LoanWorkflow):
    """One run carries the loan for ever."""

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:
        self._may_continue_as_new = lambda: False  # type: ignore[method-assign]
        return await super().run(order)


@workflow.defn(name="LoanWorkflow")
class Raises(LoanWorkflow):
    """A defect: an exception that is no failure of a workflow, and so blocks it."""

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:
        raise LookupError(f"no such thing in {order.application.id}")


@workflow.defn(name="AccrualWorkflow")
class AccruedTwice(AccrualWorkflow):
    """The portfolio is accrued, and then again."""

    @workflow.run
    async def run(self, through: date | None = None) -> PortfolioAccrued:
        await super().run(through)
        return await workflow.execute_activity_method(
            LoanAccrualActivities.accrue_portfolio,
            AccruePortfolio(through or workflow.now().date()),
            start_to_close_timeout=TIMEOUT,
        )


@workflow.defn(name="LoanClockWorkflow")
class ClockWaits(LoanClockWorkflow):
    """A clock waits a little before it shows itself."""

    @workflow.run
    async def run(self, order: ClockOrder) -> None:
        await asyncio.sleep(1)
        await super().run(order)
