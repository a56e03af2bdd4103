"""`clearhold bench`: what a payment costs, beside what its parts cost alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.failures import reported

TABLE_WIDTH = 150
"""Columns of the tables in a file or a pipe."""


def bench(
    only: Annotated[str, typer.Option(help="By comma: payments, reads, overload, workers, memory, ledger.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A first look, in a few minutes.")] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write all figures and the ratios to this file.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Worker processes.")] = 1,
    rounds: Annotated[int | None, typer.Option(min=1, max=50, help="How often everything is measured.")] = None,
    levels: Annotated[str, typer.Option(help="Concurrencies, by comma.")] = "",
    window: Annotated[float | None, typer.Option(min=0.5, max=120, help="Seconds of one measurement.")] = None,
    rss: Annotated[int | None, typer.Option(min=20, max=200_000, help="Payments over which memory is watched.")] = None,
    references: Annotated[bool, typer.Option(help="Measure empty workflows and DBOS beside ours.")] = True,
) -> None:
    """Measure payments, ledger, reads and their references, in turn, and prove the books."""
    from dataclasses import replace

    import orjson
    from rich.console import Console

    from infra.bench.plan import Part, Plan
    from infra.bench.report import show
    from infra.bench.run import run_bench
    from infra.bench.world import WorldOptions
    from infra.local.progress import Progress

    plan = Plan.quick() if quick else Plan()
    if only:
        plan = plan.only(frozenset(Part(name.strip()) for name in only.split(",")))
    plan = replace(
        plan,
        rounds=rounds or plan.rounds,
        levels=tuple(sorted({int(level) for level in levels.split(",")})) if levels else plan.levels,
        window_s=window or plan.window_s,
        rss_payments=rss or plan.rss_payments,
    )
    with reported():
        results = run_bench(plan, WorldOptions(workers=workers, references=references), Progress())
    console = Console(highlight=False)
    show(results, console if console.is_terminal else Console(highlight=False, width=TABLE_WIDTH))
    if json_path is not None:
        json_path.write_bytes(orjson.dumps(results.as_json(), option=orjson.OPT_INDENT_2))
    raise typer.Exit(0 if results.books_hold else 1)
