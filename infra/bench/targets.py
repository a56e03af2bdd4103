"""The ratios that must be reached, and whether they were.

Invariant: a ratio is of two things measured in turn within one run; one that was not measured has no value, and is not called
met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.bench.sampling import Spread


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio by its name, what it is of, and its bound."""

    name: str
    title: str
    bound: float
    at_most: bool = False

    def is_met(self, value: float) -> bool:
        """Whether the value reaches the bound."""
        return value <= self.bound if self.at_most else value >= self.bound

    @property
    def wording(self) -> str:
        """The bound in words."""
        return f"{'at most' if self.at_most else 'at least'} {self.bound:g}"


TARGETS = (
    Target("payment_vs_empty_workflow", "card payments through HTTP / empty workflows", 0.5),
    Target("payment_vs_dbos", "card payments through HTTP / the same saga on DBOS", 1.0),
    Target("ledger_batched_vs_pgbench", "transfers, batched, random accounts / pgbench TPC-B", 6.0),
    Target("ledger_hot_vs_random", "one hot account / random accounts, batched", 0.9),
    Target("ledger_1m_vs_10k", "transfers over 1,000,000 rows / over 10,000", 0.9),
    Target("overload_vs_peak", "completed at 4 times the peak load / peak", 0.9),
    Target("worker_rss_mb", "memory of what runs payments, after 20,000 / after 2,000", 1.2, at_most=True),
)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A measured ratio; `note` says what a short run did instead of the whole thing."""

    target: Target
    spread: Spread
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the middle value reaches the target."""
        return self.target.is_met(self.spread.median)


def as_json(ratios: dict[str, Ratio]) -> dict[str, Any]:
    """Return `ratios` (a number by name, null when not measured) and `targets` (the bound, whether met, extremes, note)."""
    return {
        "ratios": {t.name: ratios[t.name].spread.median if t.name in ratios else None for t in TARGETS},
        "targets": {t.name: _describe(t, ratios.get(t.name)) for t in TARGETS},
    }


def _describe(target: Target, ratio: Ratio | None) -> dict[str, Any]:
    described: dict[str, Any] = {"of": target.title, "target": target.bound, "at_most": target.at_most, "met": None}
    if ratio is not None:
        described |= {"met": ratio.is_met, "low": ratio.spread.low, "high": ratio.spread.high, "note": ratio.note}
    return described
