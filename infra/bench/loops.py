"""Load: the same operation over and over, as fast as it answers (closed) or at a given rate (open).

Invariant: every operation that was begun is waited for and counted. Rates and latencies are of the window alone; what ran
before it (the ramp) and after it (the drain) is in the totals only.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Operation = Callable[[int], Awaitable[str]]
"""Carries out operation number n and returns what became of it, `DONE` when it went well."""

DONE = "done"
OPERATIONS_MAX = 1_000_000
ANSWERS_PER_CALLER = 4
"""The window of a closed loop stays open until each caller has had so many answers, so that slow ones are not cut off."""

STRETCH_MAX = 5
"""How much longer than planned a closed loop may take for that."""

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Pace:
    """How to load. Durations in seconds. `rate_per_s` makes an open loop with at most `concurrency` in flight.

    The ramp of a closed loop also lasts until there are as many answers as callers.
    """

    concurrency: int
    window_s: float
    ramp_s: float = 0.0
    rate_per_s: float | None = None
    operations_max: int = OPERATIONS_MAX

    @property
    def duration_s(self) -> float:
        """Ramp and window together."""
        return self.ramp_s + self.window_s


class Tally:
    """What is counted while a load runs, and when its window opens and closes (seconds of `time.perf_counter`)."""

    def __init__(self, pace: Pace) -> None:
        self.begun = time.perf_counter()
        self.outcomes: Counter[str] = Counter()
        self.in_window: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self.skipped = 0
        self._pace = pace
        closed = pace.rate_per_s is None
        self._opens_after = pace.concurrency if closed and pace.ramp_s else 0
        self._closes_after = ANSWERS_PER_CALLER * pace.concurrency if closed else 0
        self.window_from: float | None = None if self._opens_after else self.begun + pace.ramp_s
        self.window_until: float | None = None if closed else self.begun + pace.duration_s
        self._last_end = self.begun

    def is_over(self, now: float) -> bool:
        """Whether no operation should be begun any more."""
        if now > self.begun + STRETCH_MAX * self._pace.duration_s:
            return True
        return self.window_until is not None and now >= self.window_until

    def note(self, outcome: str, begun: float, ended: float) -> None:
        """Count one operation."""
        self.outcomes[outcome] += 1
        self._last_end = ended
        if self.window_from is None:
            if self.outcomes.total() >= self._opens_after and ended >= self.begun + self._pace.ramp_s:
                self.window_from = ended
            return
        if ended < self.window_from or (self.window_until is not None and ended >= self.window_until):
            return
        self.in_window[outcome] += 1
        if outcome == DONE:
            self.latencies_ms.append((ended - begun) * 1000)
        enough = self.in_window.total() >= self._closes_after
        if self.window_until is None and enough and ended >= self.window_from + self._pace.window_s:
            self.window_until = ended

    @property
    def window(self) -> tuple[float, float]:
        """From when until when was counted; a load that ended early closes its window with its last answer."""
        began = self.window_from if self.window_from is not None else self._last_end
        return began, self.window_until if self.window_until is not None else self._last_end


def percentile(ordered: list[float], share: float) -> float:
    """Return the value below which `share` percent of the ordered values lie (nearest rank); 0 when there are none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * int(share * 10) // 1000) - 1))]


async def run_load(operation: Operation, pace: Pace, first: int) -> dict[str, Any]:
    """Run a load whose operations are numbered from `first`, and return what came of it."""
    tally = Tally(pace)
    cpu_before = time.process_time()
    if pace.rate_per_s is None:
        await _closed(operation, pace, tally, first)
    else:
        await _open(operation, pace, pace.rate_per_s, tally, first)
    return _describe(tally, time.process_time() - cpu_before)


async def _closed(operation: Operation, pace: Pace, tally: Tally, first: int) -> None:
    numbers = iter(range(first, first + pace.operations_max))

    async def work() -> None:
        while not tally.is_over(started := time.perf_counter()) and (number := next(numbers, None)) is not None:
            tally.note(await operation(number), started, time.perf_counter())

    async with asyncio.TaskGroup() as group:
        for _ in range(pace.concurrency):
            group.create_task(work())


async def _open(operation: Operation, pace: Pace, rate_per_s: float, tally: Tally, first: int) -> None:
    """Begin operations on time, whatever became of those before; when too many are in flight, skip and count it."""
    in_flight: set[asyncio.Task[None]] = set()

    async def work(number: int, due: float) -> None:
        tally.note(await operation(number), due, time.perf_counter())

    for index in range(min(pace.operations_max, int(rate_per_s * pace.duration_s))):
        due = tally.begun + index / rate_per_s
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        if len(in_flight) >= pace.concurrency:
            tally.skipped += 1
            continue
        task = asyncio.create_task(work(first + index, due))
        in_flight.add(task)
        task.add_done_callback(in_flight.discard)
    if in_flight:
        await asyncio.gather(*in_flight)


def _describe(tally: Tally, cpu_s: float) -> dict[str, Any]:
    ordered = sorted(tally.latencies_ms)
    began, ended = tally.window
    to_unix = time.time() - time.perf_counter()
    return {
        "rate_per_s": tally.in_window[DONE] / (ended - began) if ended > began else 0.0,
        "latency_ms": {f"p{share}": percentile(ordered, share) for share in PERCENTILES},
        "in_window": dict(tally.in_window),
        "outcomes": dict(tally.outcomes),
        "skipped": tally.skipped,
        "elapsed_s": time.perf_counter() - tally.begun,
        "window_unix_s": [began + to_unix, ended + to_unix],
        "own_cpu_ms": cpu_s * 1000,
    }
