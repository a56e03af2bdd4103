"""How much is measured: a run for the record takes a quarter of an hour, a quick one two minutes.

Invariant: what a short run leaves out it says, in the table and in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from infra.bench.loops import Pace

RSS_FIRST, RSS_LAST = 2_000, 20_000
"""Payments after which a worker's memory is compared, as the target has it."""


LOAN_YEARS = 30
"""The life of the loan whose histories are measured."""


class Part(StrEnum):
    """What can be measured on its own."""

    PAYMENTS = "payments"
    LEDGER = "ledger"
    ROWS = "rows"
    READS = "reads"
    OVERLOAD = "overload"
    MEMORY = "memory"
    WORKERS = "workers"
    VARIANTS = "variants"
    LOANS = "loans"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure and how long. Durations in seconds; `levels` are concurrencies, `rows` ledger rows at the start.

    `portfolios` are numbers of loans whose interest is accrued for a day.
    """

    parts: frozenset[Part] = frozenset(Part) - {Part.VARIANTS}
    rounds: int = 3
    levels: tuple[int, ...] = (1, 4, 16, 64)
    window_s: float = 6.0
    ramp_s: float = 2.0
    warm_up_s: float = 4.0
    ledger_window_s: float = 3.0
    ledger_rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    variant_window_s: float = 4.0
    overload_s: float = 20.0
    rss_payments: int = 20_000
    worker_counts: tuple[int, ...] = (1, 2, 3)
    portfolios: tuple[int, ...] = (10_000, 30_000, 100_000)
    loan_years: int = LOAN_YEARS

    @classmethod
    def quick(cls) -> Plan:
        """Return a plan for a first look."""
        return cls(
            rounds=2,
            levels=(1, 16, 64),
            window_s=4.0,
            ramp_s=1.5,
            warm_up_s=2.5,
            ledger_window_s=1.5,
            ledger_rows=(10_000, 100_000),
            variant_window_s=2.0,
            overload_s=8.0,
            rss_payments=1_500,
            worker_counts=(1, 2),
            portfolios=(10_000, 30_000),
            loan_years=2,
        )

    def only(self, parts: frozenset[Part]) -> Plan:
        """Return the plan with these parts alone."""
        return replace(self, parts=parts)

    def on_temporal(self) -> Plan:
        """Return the plan without what has nothing to do with Temporal: for a second run on another server."""
        return self.only(self.parts - {Part.LEDGER, Part.ROWS, Part.READS, Part.MEMORY, Part.LOANS})

    def paces(self) -> list[Pace]:
        """Return a closed loop for each level."""
        return [Pace(level, self.window_s, self.ramp_s) for level in self.levels]

    @property
    def warm_up(self) -> Pace:
        """The load that is run once and not counted."""
        return Pace(max(self.levels), self.warm_up_s)

    @property
    def highest(self) -> int:
        """The highest concurrency."""
        return max(self.levels)
