"""What a path of loans is played with: a world of fakes, fixed ids, a test clock, and the runs that the path is made of.

As for payments, the fakes stand for database, bank and providers only; what server and worker exchanged is real. The loans are
small and short, so that their histories are.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowHistory,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from domain.loans.application import LoanApplication
from domain.loans.loan import Loan
from domain.loans.status import LoanStatus
from tests.support.loan_world import START, LoanHandle, LoanWorld, application, strict_servicing, terms
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import AcceptOffer
from workflows.loans.shared_clock import ClockOrder, LoanClockWorkflow

WAIT_S = 20.0
"""Bound of every wait of a path."""
POLL_INTERVAL_S = 0.02
PRINCIPAL = 30_000
INSTALMENTS = 3
LINGERING_DAYS = 5
"""For how long a loan that is over waits for money to come or go back."""
MAKER, CHECKER = "maker-1", "checker-1"


@dataclass
class LoanScene:
    """One path being played. `keep` names the runs to record; the first has the path's own name."""

    name: str
    world: LoanWorld
    kept: dict[str, WorkflowHandle[Any, Any]] = field(default_factory=dict)

    # Loans

    def application(self, servicing: dict[str, Any] | None = None, **changes: Any) -> LoanApplication:
        """Return the path's application: 300.00 USD in 3 months, on a test clock, collected from the borrower's wallet."""
        values = {"reopen_days": LINGERING_DAYS, "recovery_days": LINGERING_DAYS} | (servicing or {})
        asked: dict[str, Any] = {
            "id": f"ln_{self.name}",
            "terms": terms(principal=PRINCIPAL, instalments=INSTALMENTS),
            "servicing": strict_servicing(**values),
        }
        return application(**(asked | changes))

    async def apply(
        self, expected: LoanStatus = LoanStatus.OFFERED, asked: LoanApplication | None = None, **order: Any
    ) -> LoanHandle:
        """Apply as the API does, and keep the loan's first run."""
        asked = asked or self.application()
        loan, _ = await self.world.apply(asked, **order)
        assert loan.status is expected, f"{loan.status}, expected {expected}"
        return await self.keep_first(asked.id)

    async def active(self, asked: LoanApplication | None = None, **order: Any) -> LoanHandle:
        """Return the path's loan, paid out, with the money in the borrower's wallet."""
        handle = await self.apply(asked=asked, **order)
        paid = await self.accept(handle)
        assert paid.status is LoanStatus.ACTIVE, paid.failure_message
        return handle

    async def accept(self, handle: LoanHandle) -> Loan:
        """Accept the offer."""
        return await self.tell(handle, LoanWorkflow.accept, AcceptOffer())

    async def keep_first(self, loan_id: str) -> LoanHandle:
        """Keep the present run of a loan under the path's name; return a handle that reaches whichever runs."""
        described = await self.world.handle(loan_id).describe()
        self.keep(self.world.client.get_workflow_handle(loan_id, run_id=described.run_id))
        return self.world.handle(loan_id)

    async def tell(self, handle: LoanHandle, update: Any, command: object) -> Loan:
        """Send a command and return the loan once it rests."""
        loan: Loan = await handle.execute_update(update, command, id=f"upd_{uuid.uuid4()}", result_type=Loan)
        await self.rested(handle)
        return loan

    async def tell_in_vain(self, handle: LoanHandle, update: Any, command: object, code: str) -> None:
        """Send a command and check that it is refused."""
        refusal: BaseException | None = None
        try:
            await self.tell(handle, update, command)
        except WorkflowUpdateFailedError as refused:
            refusal = refused.cause
        assert isinstance(refusal, ApplicationError), "the command was not refused"
        assert refusal.type == code, refusal

    async def until(self, handle: LoanHandle, day: date) -> Loan:
        """Let the test clock show a day, and return the loan once it has caught up and rests."""
        loan = await self.world.advance(handle, day)
        await self.rested(handle)
        return loan

    async def rested(self, handle: LoanHandle, pending_activities: int = 0) -> None:
        """Return when the loan waits for something, or has ended: what comes next has a workflow task of its own.

        The server is asked and not the workflow: a query would throw an uncached workflow out, its local activities included.
        """
        async with asyncio.timeout(WAIT_S):
            while True:
                found = (await handle.describe()).raw_description
                under_way = found.HasField("pending_workflow_task") or found.pending_children
                if not under_way and len(found.pending_activities) == pending_activities:
                    return
                await asyncio.sleep(POLL_INTERVAL_S)

    async def until_told(self, loan_id: str, event: str) -> None:
        """Return when the loan's story tells of an event."""
        async with asyncio.timeout(WAIT_S):
            while event not in self.world.book.story(loan_id):
                await asyncio.sleep(POLL_INTERVAL_S)

    async def end_on(self, handle: LoanHandle, day: date, status: LoanStatus) -> None:
        """Let a loan that is over linger until it ends, and check how."""
        await handle.signal(LoanWorkflow.advance_clock, day)
        await self.expect(handle, status)

    async def expect(self, handle: LoanHandle, status: LoanStatus) -> None:
        """Wait for the end of a loan and check how its row says it ended, whatever Temporal calls it."""
        async with asyncio.timeout(WAIT_S):
            with suppress(WorkflowFailureError):
                await handle.result()
        assert self.world.book.loans[handle.id].status is status, self.world.book.loans[handle.id].status

    def expect_told(self, handle: LoanHandle, *events: str) -> None:
        """Check that the story tells of these events."""
        story = self.world.book.story(handle.id)
        assert [event for event in events if event not in story] == [], story

    # Clocks

    async def clock(self, clock_id: str) -> WorkflowHandle[LoanClockWorkflow, None]:
        """Start a test clock as the API does."""
        start = WithStartWorkflowOperation(
            LoanClockWorkflow.run,
            ClockOrder("default", clock_id, START, "recorded"),
            id=clock_id,
            task_queue=self.world.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        await self.world.client.execute_update_with_start_workflow(
            LoanClockWorkflow.submit, start_workflow_operation=start, id="submit"
        )
        return self.world.client.get_workflow_handle_for(LoanClockWorkflow.run, clock_id)

    # Records

    def keep(self, handle: WorkflowHandle[Any, Any], name: str | None = None) -> None:
        """Note a run to be recorded."""
        self.kept[name or self.name] = handle

    async def histories(self) -> dict[str, WorkflowHistory]:
        """Return the histories of the runs that were kept."""
        return {name: await handle.fetch_history() for name, handle in self.kept.items()}


LoanPlay = Callable[[LoanScene], Awaitable[None]]
"""A path: it plays one story to its end, and keeps the runs that belong to it."""

LOAN_PATHS: dict[str, LoanPlay] = {}
"""Every path of loans by its name, which is also its history's. `tests.replay.paths` fills it."""


def loan_path(play: LoanPlay) -> LoanPlay:
    """Add a path under its function's name."""
    LOAN_PATHS[play.__name__] = play
    return play
