"""The results as pictures, for `docs/performance`.

Invariant: drawn from the results alone; a point is the middle of the rounds, a bar reaches from the lowest to the highest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from infra.bench.results import Results, cpu_by_process
from infra.bench.sampling import Sample, Series, Spread

SIZE_INCHES = (9.0, 5.0)
DPI = 110


def draw(results: Results, folder: Path) -> list[Path]:
    """Write a PNG for each part that was measured, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = "" if results.temporal == "development server" else "-cluster"
    drawn = []
    for name, series in results.series.items():
        for what, make in _PICTURES.get(name, {}).items():
            path = folder / f"{name}-{what}{suffix}.png"
            figure = Figure(figsize=SIZE_INCHES, layout="tight")
            make(figure.subplots(), series)
            figure.savefig(path, dpi=DPI)
            drawn.append(path)
    return drawn


def _works(series: Series) -> list[str]:
    return list(dict.fromkeys(sample.work for sample in series.samples))


def _lines(axes: Axes, series: Series, value: Callable[[Sample], float]) -> None:
    for work in _works(series):
        levels = series.levels(work)
        spreads = [Spread.of(value(sample) for sample in series.of(work, level)) for level in levels]
        below = [spread.median - spread.low for spread in spreads]
        above = [spread.high - spread.median for spread in spreads]
        middles = [spread.median for spread in spreads]
        axes.errorbar(levels, middles, yerr=[below, above], marker="o", capsize=3, label=work)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted({sample.concurrency for sample in series.samples}))
    axes.get_xaxis().set_major_formatter(ScalarFormatter())
    axes.set_xlabel("at once")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()


def _rate(axes: Axes, series: Series) -> None:
    _lines(axes, series, lambda sample: sample.rate_per_s)
    axes.set_ylabel("per second")
    axes.set_ylim(bottom=0)
    axes.set_title("Rate against concurrency")


def _latency(axes: Axes, series: Series) -> None:
    _lines(axes, series, lambda sample: sample.latency_ms["p50"])
    axes.set_ylabel("median latency, ms")
    axes.set_yscale("log")
    axes.set_title("Latency against concurrency")


def _cpu(axes: Axes, series: Series) -> None:
    """Stack the CPU of each work at its highest concurrency."""
    works = _works(series)
    bottoms = [0.0] * len(works)
    costs = [cpu_by_process(series, work, max(series.levels(work))) for work in works]
    for process in (name for name in costs[0] if name != "total"):
        heights = [cost.get(process, 0.0) for cost in costs]
        axes.bar(works, heights, bottom=bottoms, label=process)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.set_ylabel("CPU ms per operation")
    axes.set_title("Where the CPU goes")
    axes.legend()
    axes.grid(visible=True, axis="y", alpha=0.3)


def _rows(axes: Axes, series: Series) -> None:
    """A work's concurrency is here the number of rows in the ledger when it began."""
    for work in _works(series):
        rows = series.levels(work)
        costs = [Spread.of(sample.cpu_total_ms for sample in series.of(work, count)).median for count in rows]
        axes.plot(rows, [cost * 1000 for cost in costs], marker="o", label=work)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("transfers in the ledger")
    axes.set_ylabel("CPU µs per transfer")
    axes.set_title("Cost against rows in the ledger")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()


def _accrual(axes: Axes, series: Series) -> None:
    """A work's concurrency is here the number of loans; the dashed line is growth in proportion to the smallest portfolio."""
    for work in _works(series):
        loans = series.levels(work)
        spreads = [Spread.of(sample.latency_ms["p50"] / 1000 for sample in series.of(work, count)) for count in loans]
        below = [spread.median - spread.low for spread in spreads]
        above = [spread.high - spread.median for spread in spreads]
        middles = [spread.median for spread in spreads]
        axes.errorbar(loans, middles, yerr=[below, above], marker="o", capsize=3, label=work)
        axes.plot(loans, [middles[0] * count / loans[0] for count in loans], linestyle="--", label="linear")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("loans")
    axes.set_ylabel("seconds")
    axes.set_title("Accrual of one day against the size of the portfolio")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()


_PICTURES: Mapping[str, Mapping[str, Callable[[Axes, Series], Any]]] = {
    "payments": {"rate": _rate, "latency": _latency, "cpu": _cpu},
    "reads": {"rate": _rate, "latency": _latency},
    "workers": {"cpu": _cpu},
    "ledger": {"cpu": _cpu},
    "rows": {"cost": _rows},
    "accrual": {"time": _accrual},
    "loans": {"rate": _rate, "latency": _latency, "cpu": _cpu},
}
