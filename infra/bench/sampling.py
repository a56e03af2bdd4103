"""One measurement, and what several of the same make together.

Invariant: what is compared was measured in turn within one run (A B A B), and a middle value is shown with its extremes, because
the machine is never quiet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

from infra.bench.cpu import spent
from infra.bench.loops import DONE, Pace


@dataclass(frozen=True, slots=True)
class Work:
    """Something to do over and over; `run` does it at a pace and describes what came of it (see `loops.run_load`)."""

    name: str
    title: str
    run: Callable[[Pace], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One load of one work. Rates are of operations done per second, `cpu_ms` per operation by process."""

    work: str
    concurrency: int
    rate_per_s: float
    latency_ms: dict[str, float]
    cpu_ms: dict[str, float]
    outcomes: dict[str, int]
    skipped: int = 0
    window_unix_s: tuple[float, float] = (0.0, 0.0)

    @property
    def cpu_total_ms(self) -> float:
        """CPU milliseconds of an operation, all processes together."""
        return sum(self.cpu_ms.values())

    @property
    def failures(self) -> dict[str, int]:
        """What did not go well, by name."""
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != DONE}


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of several values, and the extremes."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return the spread of at least one value."""
        kept = list(values)
        return cls(median(kept), min(kept), max(kept))


@dataclass(slots=True)
class Series:
    """All samples of some works, in the order they were taken; a round is one pass over all works and levels."""

    rounds: list[list[Sample]] = field(default_factory=list)

    @property
    def samples(self) -> list[Sample]:
        """All of them."""
        return [sample for one in self.rounds for sample in one]

    def of(self, work: str, concurrency: int | None = None) -> list[Sample]:
        """Return the samples of a work, at one concurrency or all."""
        return [s for s in self.samples if s.work == work and concurrency in (None, s.concurrency)]

    def levels(self, work: str) -> list[int]:
        """Return the concurrencies at which a work was measured, rising."""
        return sorted({sample.concurrency for sample in self.of(work)})

    def peaks(self, work: str) -> list[float]:
        """Return the best rate of each round, whatever the concurrency."""
        found = [[sample.rate_per_s for sample in one if sample.work == work] for one in self.rounds]
        return [max(rates) for rates in found if rates]

    def ratio(self, work: str, reference: str) -> Spread:
        """Return the peak of one work over that of another, round by round."""
        pairs = zip(self.peaks(work), self.peaks(reference), strict=True)
        return Spread.of(ours / theirs if theirs else 0.0 for ours, theirs in pairs)


class Meter(Protocol):
    """Tells CPU milliseconds so far by name."""

    def read(self) -> dict[str, float]:
        """Return them now."""
        ...


def take_sample(meter: Meter, work: Work, pace: Pace) -> Sample:
    """Run the work once at the pace, watching every process."""
    before = meter.read()
    result = work.run(pace)
    used = spent(before, meter.read())
    operations = max(1, sum(result["outcomes"].values()))
    return Sample(
        work.name,
        pace.concurrency,
        result["rate_per_s"],
        result["latency_ms"],
        {name: milliseconds / operations for name, milliseconds in used.items()},
        result["outcomes"],
        result["skipped"],
        tuple(result["window_unix_s"]),
    )


def take_series(
    meter: Meter,
    works: Sequence[Work],
    paces: Sequence[Pace],
    rounds: int,
    tell: Callable[[Sample], None] = lambda _sample: None,
) -> Series:
    """Measure all works at all paces, in turn, `rounds` times."""
    series = Series()
    for _ in range(rounds):
        taken: list[Sample] = []
        series.rounds.append(taken)
        for pace in paces:
            for work in works:
                sample = take_sample(meter, work, pace)
                taken.append(sample)
                tell(sample)
    return series
