"""Moving the loans of a test clock: telling each what day it is, and waiting until all have caught up.

Invariant: an advance is done when every loan that is served by days has reached the day; it can be repeated at any point.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.loan_clock_port import ClockedLoan, LoanClock

PAGE = 500
"""Loans read at once."""
TELL_AT_ONCE = 20
"""Loans told at once."""
POLL_S = 0.05
"""How often lagging loans are looked at."""
MAX_POLLS = 12_000
"""Looks at lagging loans: about ten minutes, then the attempt gives up and the next one goes on."""

LOANS_LAG = "LoansLag"
"""Failure type: some loans did not reach the clock's day in time; it is retried."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What a test clock shows, and what it is advancing to."""

    tenant_id: str
    clock_id: str
    name: str
    on: date
    advancing_to: date | None = None


@dataclass(frozen=True, slots=True)
class AdvanceLoans:
    """Move all loans of a clock to a day."""

    tenant_id: str
    clock_id: str
    to: date


class LoanClockActivities:
    """Moves loans on test clocks."""

    def __init__(self, clock: LoanClock) -> None:
        self._clock = clock

    @activity.defn
    async def show_clock(self, reading: ClockReading) -> None:
        """Write what the clock shows."""
        await self._clock.show(reading.tenant_id, reading.clock_id, reading.name, reading.on, reading.advancing_to)

    @activity.defn
    async def advance_loans(self, asked: AdvanceLoans) -> int:
        """Tell all loans of a clock the day and wait until they have caught up; return how many there are."""
        told = await self._tell_all(asked)
        for _ in range(MAX_POLLS):
            lagging = [each for each in await self._all(asked) if each.is_served and each.reached < asked.to]
            activity.heartbeat(len(lagging))
            if not lagging:
                return told
            await asyncio.sleep(POLL_S)
        raise ApplicationError(f"{len(lagging)} loans lag behind {asked.to}.", type=LOANS_LAG)

    async def _all(self, asked: AdvanceLoans) -> list[ClockedLoan]:
        found: list[ClockedLoan] = []
        after = ""
        while page := await self._clock.loans(asked.tenant_id, asked.clock_id, after, PAGE):
            found += page
            after = page[-1].loan_id
            if len(page) < PAGE:
                break
        return found

    async def _tell_all(self, asked: AdvanceLoans) -> int:
        loans = await self._all(asked)
        turns = asyncio.Semaphore(TELL_AT_ONCE)

        async def tell(loan: ClockedLoan) -> None:
            async with turns:
                await self._clock.tell(loan.loan_id, asked.to)
                activity.heartbeat(loan.loan_id)

        await asyncio.gather(*(tell(loan) for loan in loans))
        return len(loans)
