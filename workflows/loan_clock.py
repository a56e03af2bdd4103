"""The business date of a loan: real time, or a test clock that moves only when it is told.

Invariant: all waiting of a loan goes through `wait`; a day never goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from temporalio import workflow


class BusinessClock:
    """What day it is. `shown` is the day of the test clock; None is real time, in UTC."""

    def __init__(self, shown: date | None) -> None:
        self.shown = shown

    @property
    def today(self) -> date:
        """The present business day."""
        return workflow.now().date() if self.shown is None else self.shown

    def advance(self, to: date) -> None:
        """Move the test clock; real time does not obey, and no clock goes back."""
        if self.shown is not None:
            self.shown = max(self.shown, to)

    async def wait(self, until: Callable[[], bool], wakes_on: date | None, summary: str) -> None:
        """Wait until something is so, or until a day begins."""
        if wakes_on is None:
            await workflow.wait_condition(until)
            return
        if self.shown is not None:
            await workflow.wait_condition(lambda: until() or self.today >= wakes_on)
            return
        begins = datetime.combine(wakes_on, time(), tzinfo=UTC)
        patience = max(begins - workflow.now(), timedelta(0))
        try:
            await workflow.wait_condition(until, timeout=patience, timeout_summary=summary)
        except TimeoutError:
            return
