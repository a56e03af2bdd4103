"""What runs on its own, on Temporal's schedules: two reconciliations and the accrual of interest.

Invariant: a schedule that exists is left as operators set it; two runs of one never overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

from infra.settings import Settings
from workflows.loans.accrual import AccrualWorkflow
from workflows.loans.reconciliation import LoanReconciliationOrder, LoanReconciliationWorkflow
from workflows.payments.reconciliation import ReconciliationOrder, ReconciliationWorkflow

RECONCILIATION_ID = "reconciliation"
LOAN_RECONCILIATION_ID = "loan-reconciliation"
ACCRUAL_ID = "loan-accrual"

SOON = timedelta(minutes=2)
"""Runs of a reconciliation missed for longer than this are not made up for: one run looks at everything."""


@dataclass(frozen=True, slots=True)
class Regularly:
    """A workflow and when it runs: `every` so often, `offset` later than the round hour or midnight in UTC.

    What was missed while Temporal was away is made up for within `catch_up`. `summary` is what the UI says of it.
    """

    workflow_id: str
    run: Any
    arguments: tuple[object, ...]
    summary: str
    every: timedelta
    catch_up: timedelta
    offset: timedelta = timedelta()

    async def ensure(self, client: Client, task_queue: str) -> None:
        """Create the schedule unless it exists."""
        action = ScheduleActionStartWorkflow(
            self.run, args=self.arguments, id=self.workflow_id, task_queue=task_queue, static_summary=self.summary
        )
        schedule = Schedule(
            action=action,
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=self.every, offset=self.offset)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=self.catch_up),
        )
        try:
            await client.create_schedule(self.workflow_id, schedule)
        except ScheduleAlreadyRunningError:
            return


OF_PAYMENTS = (
    Regularly(
        RECONCILIATION_ID,
        ReconciliationWorkflow.run,
        (ReconciliationOrder(),),
        "Find payments and refunds whose workflow is gone, and recover them",
        every=timedelta(minutes=1),
        catch_up=SOON,
    ),
)

OF_LOANS = (
    Regularly(
        ACCRUAL_ID,
        AccrualWorkflow.run,
        (),
        "Accrue the interest of all loans up to today",
        every=timedelta(days=1),
        offset=timedelta(minutes=10),  # when the day to accrue has surely begun on every machine
        catch_up=timedelta(days=1),
    ),
    Regularly(
        LOAN_RECONCILIATION_ID,
        LoanReconciliationWorkflow.run,
        (LoanReconciliationOrder(),),
        "Find loans whose workflow was ended by force, and let them go on",
        every=timedelta(minutes=5),
        catch_up=SOON,
    ),
)


async def ensure_schedules(client: Client, settings: Settings) -> None:
    """Make sure that everything which runs on its own does."""
    for task_queue, schedules in ((settings.payment_task_queue, OF_PAYMENTS), (settings.loan_task_queue, OF_LOANS)):
        for schedule in schedules:
            await schedule.ensure(client, task_queue)
