"""What a run of the bench found.

Invariant: everything that is printed or plotted is in here, and all of it goes into the file.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from infra.bench import targets
from infra.bench.books import Check
from infra.bench.plan import Plan
from infra.bench.sampling import Series, Spread
from infra.bench.targets import TARGETS, Ratio

FORMAT = 1
_PACKAGES = ("temporalio", "dbos", "psycopg", "fastapi", "uvicorn", "uvloop", "httptools", "pydantic")


@dataclass(slots=True)
class Results:
    """Series by part, further facts by part, the ratios, and the proof of the books."""

    plan: Plan
    temporal: str
    series: dict[str, Series] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    ratios: dict[str, Ratio] = field(default_factory=dict)
    books: list[Check] = field(default_factory=list)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def add_ratio(self, name: str, spread: Spread, note: str = "") -> None:
        """Set one of the named ratios; raises `StopIteration` for a name that is none."""
        self.ratios[name] = Ratio(next(target for target in TARGETS if target.name == name), spread, note)

    @property
    def books_hold(self) -> bool:
        """Whether every check of the books holds."""
        return all(check.holds for check in self.books)

    def as_json(self) -> dict[str, Any]:
        """Return everything for a machine."""
        return {
            "format": FORMAT,
            "started_at": self.started_at.isoformat(),
            "temporal": self.temporal,
            "machine": machine(),
            "plan": {**asdict(self.plan), "parts": sorted(self.plan.parts)},
            **targets.as_json(self.ratios),
            "cpu_ms_per_operation": {name: _cpu(series) for name, series in self.series.items()},
            "series": {
                name: [[asdict(s) for s in one] for one in series.rounds] for name, series in self.series.items()
            },
            "facts": self.facts,
            "books": [asdict(check) for check in self.books],
        }


def _cpu(series: Series) -> dict[str, dict[str, dict[str, float]]]:
    """Return by work and concurrency the middle CPU milliseconds of an operation by process, and in all."""
    works = dict.fromkeys(sample.work for sample in series.samples)
    return {work: {str(level): cpu_by_process(series, work, level) for level in series.levels(work)} for work in works}


def cpu_by_process(series: Series, work: str, concurrency: int) -> dict[str, float]:
    """Return the middle CPU milliseconds of an operation by process, and `total`."""
    samples = series.of(work, concurrency)
    names = samples[0].cpu_ms
    found = {name: Spread.of(sample.cpu_ms[name] for sample in samples).median for name in names}
    return {**found, "total": Spread.of(sample.cpu_total_ms for sample in samples).median}


def machine() -> dict[str, Any]:
    """Return what ran this."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "packages": {name: version(name) for name in _PACKAGES},
    }
