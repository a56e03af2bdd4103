"""`clearhold bench`: what a payment costs, beside what its parts cost alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.failures import reported

if TYPE_CHECKING:
    from infra.bench.plan import Plan
    from infra.bench.results import Results

TABLE_WIDTH = 150
"""Columns of the tables in a file or a pipe."""

PLOTS = Path("docs/performance")
TEMPORAL_CHOICES = ("dev", "cluster", "both")
PARTS = "payments, ledger, rows, reads, overload, workers, memory, loans, variants"


def bench(
    only: Annotated[str, typer.Option(help=f"Parts to measure, by comma: {PARTS}.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A first look, in a few minutes.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for the plots.")] = PLOTS,
    no_plots: Annotated[bool, typer.Option("--no-plots", help="Draw nothing.")] = False,
    temporal: Annotated[str, typer.Option(help="dev, cluster (on PostgreSQL), or both, one after the other.")] = "dev",
    workers: Annotated[int, typer.Option(min=1, max=16, help="Worker processes.")] = 1,
    dbos_processes: Annotated[int, typer.Option(min=1, max=16, help="Server processes of the DBOS reference.")] = 1,
    rounds: Annotated[int | None, typer.Option(min=1, max=50, help="How often everything is measured.")] = None,
    levels: Annotated[str, typer.Option(help="Concurrencies, by comma.")] = "",
    window: Annotated[float | None, typer.Option(min=0.5, max=120, help="Seconds of one measurement.")] = None,
    rss: Annotated[int | None, typer.Option(min=20, max=200_000, help="Payments over which memory is watched.")] = None,
    references: Annotated[bool, typer.Option(help="Measure empty workflows and DBOS beside ours.")] = True,
) -> None:
    """Measure payments, ledger, reads and their references in turn, and prove the books; exit 1 when they do not agree."""
    from dataclasses import replace

    from infra.bench.run import run_bench
    from infra.bench.world import WorldOptions
    from infra.local.progress import Progress

    if temporal not in TEMPORAL_CHOICES:
        raise typer.BadParameter(f"one of {', '.join(TEMPORAL_CHOICES)}", param_hint="--temporal")
    plan = _plan(only, quick=quick)
    plan = replace(
        plan,
        rounds=rounds or plan.rounds,
        levels=tuple(sorted({int(level) for level in levels.split(",")})) if levels else plan.levels,
        window_s=window or plan.window_s,
        rss_payments=rss or plan.rss_payments,
    )
    found: list[Results] = []
    with reported():
        for cluster in {"dev": (False,), "cluster": (True,), "both": (False, True)}[temporal]:
            options = WorldOptions(workers, references, cluster, dbos_processes)
            found.append(run_bench(plan if not found else plan.on_temporal(), options, Progress()))
    _report(found, json_path, None if no_plots else plots)
    raise typer.Exit(0 if all(results.books_hold for results in found) else 1)


def _plan(only: str, *, quick: bool) -> Plan:
    from infra.bench.plan import Part, Plan

    plan = Plan.quick() if quick else Plan()
    if not only:
        return plan
    try:
        return plan.only(frozenset(Part(name.strip()) for name in only.split(",")))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; the parts are {PARTS}", param_hint="--only") from error


def _report(found: list[Results], json_path: Path | None, plots: Path | None) -> None:
    import orjson
    from rich.console import Console

    from infra.bench.plots import draw
    from infra.bench.report import show

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=TABLE_WIDTH)
    for results in found:
        console.rule(f"Temporal: {results.temporal}")
        show(results, console)
        for path in draw(results, plots) if plots is not None else ():
            console.print(f"drawn: {path}")
    if json_path is not None:
        first, *others = (results.as_json() for results in found)
        document = {**first, "others": others}
        json_path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
