"""Workflow tasks that are lost after their local activities ran, and are done again at another time: the rows stay the loan's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner

from domain.loans.record import LoanRecord
from domain.loans.status import LoanStatus
from domain.payments.record import RecordOutcome
from tests.support import loan_world as support
from tests.support.fake_loan_book import FakeLoanBook
from tests.support.loan_world import LoanHandle, LoanWorld, application, loan_world
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import AcceptOffer, PauseLoan, Repay

DAY = timedelta(days=1)


class LostTask(Exception):
    """What makes a workflow task fail, so that it is done again."""


class Midnight:
    """Time as workflows see it. After a record of the name `lost_after` the task fails, once, and it is the next day."""

    def __init__(self, book: FakeLoanBook, lost_after: str) -> None:
        self._now, self._record = workflow.now, book.record
        self._lost_after = lost_after
        self._passed = timedelta(0)
        self.is_lost = self._is_due = False
        self.records: list[LoanRecord] = []

    def now(self) -> datetime:
        """Return the time; what a history keeps it has kept with the time of then."""
        if workflow.unsafe.is_replaying():
            return self._now()
        if self._is_due:
            self._is_due, self._passed = False, DAY
            raise LostTask
        return self._now() + self._passed

    async def record(self, record: LoanRecord) -> RecordOutcome:
        """Write a record as the book does."""
        outcome = await self._record(record)
        self.records.append(record)
        if record.event.name == self._lost_after and not self.is_lost:
            self.is_lost = self._is_due = True
        return outcome


@pytest.fixture
async def unsandboxed(client: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LoanWorld]:
    """A world whose workflows see this process's time."""
    monkeypatch.setattr(support, "sandbox", UnsandboxedWorkflowRunner)
    async with loan_world(client) as made:
        yield made


def let_midnight_pass(world: LoanWorld, monkeypatch: pytest.MonkeyPatch, lost_after: str) -> Midnight:
    midnight = Midnight(world.book, lost_after)
    monkeypatch.setattr(world.book, "record", midnight.record)
    monkeypatch.setattr(workflow, "now", midnight.now)
    return midnight


async def assert_rows_are_those_of_the_workflow(world: LoanWorld, handle: LoanHandle) -> None:
    progress = await handle.query(LoanWorkflow.progress)
    rows = [row for (loan_id, _), row in sorted(world.book.instalments.items()) if loan_id == handle.id]
    assert tuple(rows) == progress.instalments
    assert world.book.loans[handle.id] == progress.loan


@pytest.mark.parametrize("lost_after", ["funds_reserved", "booked"])
async def test_a_payout_done_again_on_the_next_day_is_the_one_that_was_written(
    unsandboxed: LoanWorld, monkeypatch: pytest.MonkeyPatch, lost_after: str
) -> None:
    midnight = let_midnight_pass(unsandboxed, monkeypatch, lost_after)
    _, handle = await unsandboxed.apply(application(test_clock=None))
    today = datetime.now(UTC).date()
    paid = await handle.execute_update(LoanWorkflow.accept, AcceptOffer())
    assert midnight.is_lost
    assert paid.status is LoanStatus.ACTIVE
    assert paid.disbursed_on == paid.served_through == paid.business_date == today
    await assert_rows_are_those_of_the_workflow(unsandboxed, handle)


async def test_an_application_done_again_on_the_next_day_is_the_one_that_was_written(
    unsandboxed: LoanWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = let_midnight_pass(unsandboxed, monkeypatch, "kyc_cleared")
    offered, handle = await unsandboxed.apply(application(test_clock=None))
    assert midnight.is_lost
    assert offered.business_date == datetime.now(UTC).date()
    assert offered.offer_expires_on == offered.business_date + timedelta(days=30)
    await assert_rows_are_those_of_the_workflow(unsandboxed, handle)


async def test_a_command_is_in_the_history_before_anything_of_it_is_written(
    unsandboxed: LoanWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause is written by an activity of its own; so the day it bears is kept, and another command cannot overtake it."""
    midnight = let_midnight_pass(unsandboxed, monkeypatch, "disbursed")
    midnight.is_lost = True  # time goes on as it does
    _, handle = await unsandboxed.active(application(test_clock=None))
    await handle.execute_update(LoanWorkflow.pause, PauseLoan(date(2050, 1, 1), "ana"))
    kinds: dict[int, str] = {}
    async for event in handle.fetch_history_events():
        if event.HasField("workflow_execution_update_accepted_event_attributes"):
            kinds[event.event_id] = (
                event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
            )
        elif event.HasField("activity_task_scheduled_event_attributes"):
            kinds[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        elif event.HasField("marker_recorded_event_attributes"):
            kinds[event.event_id] = "local"
    told = [kind for _, kind in sorted(kinds.items())]
    accepted, paused = told.index("accept"), told.index("pause")
    assert told[accepted + 1] == "record_origination"
    assert told[accepted + 2 :].count("local") > told[paused:].count("local") == 0
    assert told[paused + 1] == "record_servicing"


async def test_a_day_that_the_ledger_refuses_is_not_tried_again_without_a_pause(
    loans: LoanWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    loans.book.refuse["instalment_due"] = "debit_account_closed"
    tried = 0
    write = loans.book.record

    async def counted(record: LoanRecord) -> RecordOutcome:
        nonlocal tried
        tried += record.event.name == "instalment_due"
        return await write(record)

    monkeypatch.setattr(loans.book, "record", counted)
    _, handle = await loans.active()
    await handle.signal(LoanWorkflow.advance_clock, date(2026, 2, 20))
    async with asyncio.timeout(20):
        while "a person to look" not in (await handle.query(LoanWorkflow.progress)).waits_for:
            await asyncio.sleep(0.02)
    assert "account closed" in (await handle.query(LoanWorkflow.progress)).waits_for
    assert tried == 1
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(LoanWorkflow.repay, Repay(1_000))
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "LedgerRefused"
    assert tried == 2
    assert not loans.book.repayments
    loans.book.refuse.clear()
    repaid = await handle.execute_update(LoanWorkflow.repay, Repay(1_000))
    assert [each.amount for each in loans.book.repayments.values()] == [10_662, 1_000]
    assert repaid.served_through == date(2026, 2, 20)
    assert tried == 3
