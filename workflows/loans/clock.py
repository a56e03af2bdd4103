"""The business date of a loan: real time, or a test clock that moves only when it is told.

Invariants
- All waiting of a loan goes through `wait`; a day never goes back.
- A test clock shows each day it was told, also when several come at once: what is written for one is written again for it
  when the workflow task is lost and done again, with another day told meanwhile.
- Real time is looked at when something comes that the history keeps: a command, an answer, a timer. In between the day stays,
  so what is written does not depend on when its workflow task ran (decision 10), and one payout has one day.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from temporalio import workflow


class BusinessClock:
    """What day it is. `shown` is the day of the test clock; None is real time, in UTC, which has reached a day at least.

    `told`: days that the test clock was moved to meanwhile, to be shown one after the other.
    """

    def __init__(self, shown: date | None, reached: date, told: tuple[date, ...] = ()) -> None:
        self.shown = shown
        self.told = told
        self._reached = reached

    @property
    def today(self) -> date:
        """The business day of what is being done."""
        return self._reached if self.shown is None else self.shown

    @property
    def present(self) -> date:
        """The day on which a command that comes now will be carried out."""
        return max(self._reached, workflow.now().date()) if self.shown is None else self.shown

    def reach_present(self) -> None:
        """Let it be the present day. Only for what is begun by something that the history keeps before anything is written."""
        self._reached = max(self._reached, workflow.now().date())

    def reach(self, day: date | None) -> None:
        """Let it be that day, which something has named that the history keeps."""
        self._reached = max(self._reached, day or self._reached)

    def tell(self, to: date) -> None:
        """Note a day that the test clock was moved to; real time does not obey."""
        if self.shown is not None:
            self.told = (*self.told, to)

    def show_next(self) -> bool:
        """Move the test clock to the next day it was told; no clock goes back. Return whether there was one."""
        if self.shown is None or not self.told:
            return False
        self.shown, self.told = max(self.shown, self.told[0]), self.told[1:]
        return True

    async def wait(self, until: Callable[[], bool], wakes_on: date | None, summary: str) -> None:
        """Wait until something is so, or until a day begins."""
        if wakes_on is None:
            await workflow.wait_condition(until)
            return
        if self.shown is not None:
            await workflow.wait_condition(lambda: until() or self.today >= wakes_on)
            return
        if wakes_on <= self._reached:
            return
        begins = datetime.combine(wakes_on, time(), tzinfo=UTC)
        patience = max(begins - workflow.now(), timedelta(0))
        try:
            await workflow.wait_condition(until, timeout=patience, timeout_summary=summary)
        except TimeoutError:
            self.reach(wakes_on)
