"""The results as tables for people.

Invariant: what was missed is shown as plainly as what was met.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.bench.results import Results, cpu_by_process
from infra.bench.sampling import Series, Spread
from infra.bench.targets import TARGETS

_LATENCIES = ("p50", "p95", "p99")
_CPU_SHOWN = 0.005
_LEVEL_TITLES = {"rows": "rows at the start", "accrual": "loans"}


def show(results: Results, console: Console) -> None:
    """Print rates and latencies, CPU by process, the books, and the ratios."""
    for name, series in results.series.items():
        if series.samples:
            console.print(_rates(name, series))
            console.print(_cpu(name, series))
    for part, facts in results.facts.items():
        if part == "payments":
            console.print(_statements(facts), _history(facts))
        else:
            console.print(
                f"[bold]{part}[/bold]", *(str(fact) for fact in facts), sep="\n  ", markup=True, soft_wrap=True
            )
    console.print(_books(results))
    console.print(_ratios(results))
    if not results.books_hold:
        console.print("[red bold]The books do not agree: these figures count for nothing.[/red bold]")


def _works(series: Series) -> list[str]:
    return list(dict.fromkeys(sample.work for sample in series.samples))


def _middle(spread: Spread) -> str:
    return f"{spread.median:,.1f}  [dim]{spread.low:,.0f} to {spread.high:,.0f}[/dim]"


def _rates(name: str, series: Series) -> Table:
    table = Table(
        title=f"{name}: operations per second (middle, lowest to highest of {len(series.rounds)})", expand=False
    )
    table.add_column("work")
    table.add_column(_LEVEL_TITLES.get(name, "at once"), justify="right")
    table.add_column("rate/s", justify="right")
    for label in _LATENCIES:
        table.add_column(f"{label} ms", justify="right")
    table.add_column("not done", justify="right")
    for work in _works(series):
        for level in series.levels(work):
            samples = series.of(work, level)
            failures = sum(sum(sample.failures.values()) + sample.skipped for sample in samples)
            table.add_row(
                work,
                f"{level:,}",
                _middle(Spread.of(sample.rate_per_s for sample in samples)),
                *(f"{Spread.of(s.latency_ms[label] for s in samples).median:,.1f}" for label in _LATENCIES),
                str(failures) if failures else "",
            )
        table.add_section()
    return table


def _cpu(name: str, series: Series) -> Table:
    table = Table(title=f"{name}: CPU milliseconds per operation by process", expand=False)
    processes = list(series.samples[0].cpu_ms)
    table.add_column("work")
    table.add_column(_LEVEL_TITLES.get(name, "at once"), justify="right")
    for process in processes:
        table.add_column(process, justify="right")
    table.add_column("total", justify="right", style="bold")
    for work in _works(series):
        for level in series.levels(work):
            cpu = cpu_by_process(series, work, level)
            digits = 2 if cpu["total"] >= 1 else 4
            cells = (f"{cpu[process]:.{digits}f}" if cpu[process] >= _CPU_SHOWN else "" for process in processes)
            table.add_row(work, f"{level:,}", *cells, f"{cpu['total']:.{digits}f}")
        table.add_section()
    return table


def _statements(facts: dict[str, Any]) -> Table:
    table = Table(title=f"statements of a card payment (over {facts['payments']} payments)", expand=False)
    table.add_column("database")
    table.add_column("statement")
    for column in ("calls", "ms", "WAL bytes"):
        table.add_column(column, justify="right")
    for statement in facts["statements"]:
        table.add_row(
            statement["database"],
            escape(statement["query"]),
            f"{statement['calls_per_payment']:.2f}",
            f"{statement['ms_per_payment']:.3f}",
            f"{statement['wal_bytes_per_payment']:,}",
        )
    return table


def _history(facts: dict[str, Any]) -> str:
    events = ", ".join(f"{count} {name}" for name, count in facts["history"].items())
    return f"events of a card payment: {sum(facts['history'].values())} ({events})"


def _books(results: Results) -> Table:
    table = Table(title="the books afterwards", expand=False)
    table.add_column("holds")
    table.add_column("check")
    table.add_column("found")
    for check in results.books:
        table.add_row("[green]yes[/green]" if check.holds else "[red]NO[/red]", check.name, check.detail)
    return table


def _ratios(results: Results) -> Table:
    table = Table(title="ratios", expand=False)
    for column in ("name", "ratio of"):
        table.add_column(column)
    table.add_column("value", justify="right")
    table.add_column("target", justify="right")
    table.add_column("")
    for target in TARGETS:
        ratio = results.ratios.get(target.name)
        if ratio is None:
            table.add_row(target.name, target.title, "[dim]not measured[/dim]", target.wording, "")
            continue
        value = f"{ratio.spread.median:.2f}  [dim]{ratio.spread.low:.2f} to {ratio.spread.high:.2f}[/dim]"
        verdict = "[green]met[/green]" if ratio.is_met else "[red]missed[/red]"
        note = f"\n[dim]{ratio.note}[/dim]" if ratio.note else ""
        table.add_row(target.name, target.title + note, value, target.wording, verdict)
    return table
