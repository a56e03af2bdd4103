"""Kills parts of the stack as planned and starts them again, and lets the bank do wrong.

Invariant: when it has finished, everything runs and the bank is healthy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict

from infra.drill.caller import PatientCaller
from infra.drill.plan import Blow, Mischief
from infra.local.child import LocalStackError
from infra.local.progress import Progress
from infra.local.stack import API, BANK, POSTGRES, TEMPORAL, LocalStack

STARTS_MAX = 5
"""How often a killed part is started before the drill gives up."""

RULES_MAX = 50
_ORDER = (POSTGRES, TEMPORAL, BANK)
"""What others need comes back first."""


class Saboteur:
    """Works through a plan over one stack; `struck` counts the blows by part."""

    def __init__(self, stack: LocalStack, caller: PatientCaller, progress: Progress) -> None:
        self._stack = stack
        self._caller = caller
        self._progress = progress
        self._started = time.monotonic()
        self.struck: dict[str, int] = {}

    async def strike(self, blows: Sequence[Blow]) -> None:
        """Carry out the blows, each not before its time; a blow waits until the one before is over."""
        for blow in blows:
            await asyncio.sleep(max(0.0, blow.at_s - self._elapsed_s))
            killed_at_s = self._elapsed_s
            for part in blow.parts:
                await asyncio.to_thread(self._stack.kill, part)
                self.struck[part] = self.struck.get(part, 0) + 1
            await asyncio.sleep(blow.away_s)
            for part in sorted(blow.parts, key=_rank):
                await self._start(part)
            away_s = self._elapsed_s - killed_at_s
            self._progress.say(f"{killed_at_s:7.1f} s  killed {' and '.join(blow.parts)}, back after {away_s:.1f} s")
            await self._tend()
        await self._tend()

    async def meddle(self, mischiefs: Sequence[Mischief]) -> None:
        """Arm the bank's faults, each not before its time."""
        for mischief in mischiefs:
            await asyncio.sleep(max(0.0, mischief.at_s - self._elapsed_s))
            if len((await self._caller.bank_get("/admin/faults"))["faults"]) >= RULES_MAX:
                await self._caller.clear_faults()
            order = asdict(mischief)
            del order["at_s"]
            await self._caller.bank_post("/admin/faults", order)
            what = f"{mischief.times} x {mischief.kind} on {mischief.operation}"
            self._progress.say(f"{self._elapsed_s:7.1f} s  the bank: {what}")

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started

    async def _start(self, part: str) -> None:
        for attempt in range(1, STARTS_MAX + 1):
            try:
                await asyncio.to_thread(self._stack.start_part, part)
            except LocalStackError as error:
                if attempt == STARTS_MAX:
                    raise
                self._progress.say(f"{self._elapsed_s:7.1f} s  {part} did not start, trying again: {error}")
            else:
                return

    async def _tend(self) -> None:
        for line in await asyncio.to_thread(self._stack.tend):
            self._progress.say(f"{self._elapsed_s:7.1f} s  {line}")


def _rank(part: str) -> int:
    return _ORDER.index(part) if part in _ORDER else len(_ORDER) + (part == API)
