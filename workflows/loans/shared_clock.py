"""A test clock: months pass in seconds for the loans that are tied to it.

Invariant: the clock never goes back, and shows a day only when all its loans have reached it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from activities.loan_clock import AdvanceLoans, ClockReading, LoanClockActivities
from workflows.policies import BOOK_RETRY, BOOK_TIMEOUT

ADVANCE_TIMEOUT = timedelta(minutes=20)
"""One attempt to move all loans; longer than the activity's own bound."""
ADVANCE_HEARTBEAT = timedelta(seconds=30)
ADVANCE_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=5),
    maximum_attempts=300,
)
"""Loans that lag, or a database out of reach: about a day."""
MAX_YEARS_AHEAD = 60
"""How far one advance may go."""
MAX_ADVANCES_PER_RUN = 200


@dataclass(frozen=True, slots=True)
class ClockOrder:
    """Start a test clock, or go on with one. `on` is the day it shows."""

    tenant_id: str
    clock_id: str
    on: date
    name: str = ""


@dataclass(frozen=True, slots=True)
class AdvanceClock:
    """Move the clock to a later day."""

    to: date


@dataclass(frozen=True, slots=True)
class ClockView:
    """What a clock shows, and the day it is advancing to."""

    clock_id: str
    name: str
    on: date
    advancing_to: date | None = None


@workflow.defn
class LoanClockWorkflow:
    """One test clock; its id is the workflow's id."""

    @workflow.init
    def __init__(self, order: ClockOrder) -> None:
        self._order = order
        self._on = order.on
        self._target = order.on
        self._shown: date | None = None
        self._closed = False

    @workflow.run
    async def run(self, order: ClockOrder) -> None:
        """Serve advances until the clock is deleted."""
        await self._show(None)
        advances = 0
        while not self._closed:
            await workflow.wait_condition(lambda: self._target > self._on or self._closed)
            if self._target > self._on:
                await self._advance()
                advances += 1
            if (
                advances >= MAX_ADVANCES_PER_RUN or workflow.info().is_continue_as_new_suggested()
            ) and workflow.all_handlers_finished():
                order = self._order
                workflow.continue_as_new(ClockOrder(order.tenant_id, order.clock_id, self._on, order.name))
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _advance(self) -> None:
        to = self._target
        await self._show(to)
        await workflow.execute_activity_method(
            LoanClockActivities.advance_loans,
            AdvanceLoans(self._order.tenant_id, self._order.clock_id, to),
            start_to_close_timeout=ADVANCE_TIMEOUT,
            heartbeat_timeout=ADVANCE_HEARTBEAT,
            retry_policy=ADVANCE_RETRY,
            summary=f"Move all loans to {to}",
        )
        self._on = to
        await self._show(None)

    async def _show(self, advancing_to: date | None) -> None:
        order = self._order
        await workflow.execute_local_activity_method(
            LoanClockActivities.show_clock,
            ClockReading(order.tenant_id, order.clock_id, order.name, self._on, advancing_to),
            start_to_close_timeout=BOOK_TIMEOUT,
            retry_policy=BOOK_RETRY,
        )
        self._shown = self._on
        moving = "" if advancing_to is None else f"; advancing to {advancing_to}"
        workflow.set_current_details(f"Test clock {order.name or order.clock_id} shows **{self._on}**{moving}.")

    def _view(self) -> ClockView:
        ahead = self._target if self._target > self._on else None
        return ClockView(self._order.clock_id, self._order.name, self._on, ahead)

    @workflow.update
    async def submit(self) -> ClockView:
        """Return the clock once it is written down; sent together with the start."""
        await workflow.wait_condition(lambda: self._shown is not None)
        return self._view()

    @workflow.update
    async def advance(self, command: AdvanceClock) -> ClockView:
        """Move the clock; returns when all its loans have caught up."""
        self._target = max(self._target, command.to)
        await workflow.wait_condition(lambda: self._shown is not None and self._shown >= command.to)
        return self._view()

    @advance.validator
    def _validate_advance(self, command: AdvanceClock) -> None:
        if command.to <= self._on or command.to.year > self._on.year + MAX_YEARS_AHEAD:
            raise ApplicationError(
                f"The clock shows {self._on} and cannot show {command.to}.",
                f"Send a later day, at most {MAX_YEARS_AHEAD} years ahead.",
                type="invalid_clock_date",
                non_retryable=True,
            )

    @workflow.signal
    def delete(self) -> None:
        """End the clock; its loans stay on the day it shows."""
        self._closed = True

    @workflow.query
    def reading(self) -> ClockView:
        """Return what the clock shows."""
        return self._view()
