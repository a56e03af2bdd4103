"""One run of the bench: starts what it needs, measures part by part, proves the books.

Invariant: results are of one run on one machine; nothing is carried over from an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from infra.bench.books import prove_books
from infra.bench.ledger_parts import Ledgers, measure_ledger, measure_rows, running_ledgers
from infra.bench.loan_parts import measure_loans
from infra.bench.payment_parts import (
    measure_memory,
    measure_overload,
    measure_payments,
    measure_reads,
    measure_variants,
    measure_workers,
)
from infra.bench.plan import Part, Plan
from infra.bench.results import Results
from infra.bench.world import World, WorldOptions, running_world
from infra.local.progress import Progress

Measurement = Callable[[World, Plan, Results, Progress], None]
LedgerMeasurement = Callable[[Ledgers, Plan, Results, Progress], None]

MEASUREMENTS: Mapping[Part, Measurement] = {
    Part.PAYMENTS: measure_payments,
    Part.VARIANTS: measure_variants,
    Part.READS: measure_reads,
    Part.OVERLOAD: measure_overload,
    Part.WORKERS: measure_workers,
    Part.MEMORY: measure_memory,
    Part.LOANS: measure_loans,
}

LEDGER_MEASUREMENTS: Mapping[Part, LedgerMeasurement] = {Part.LEDGER: measure_ledger, Part.ROWS: measure_rows}


def run_bench(plan: Plan, options: WorldOptions, progress: Progress) -> Results:
    """Measure the parts of the plan. Raises `LocalStackError` when a process does not come up."""
    results = Results(plan, "cluster on PostgreSQL" if options.cluster else "development server")
    ledger_parts = [part for part in LEDGER_MEASUREMENTS if part in plan.parts]
    if ledger_parts:
        with running_ledgers(progress, options.postgres_settings) as ledgers:
            for part in ledger_parts:
                with progress.step(f"measuring {part}"):
                    LEDGER_MEASUREMENTS[part](ledgers, plan, results, progress)
    parts = [part for part in MEASUREMENTS if part in plan.parts]
    if parts:
        with running_world(options, progress) as world:
            for part in parts:
                with progress.step(f"measuring {part}"):
                    MEASUREMENTS[part](world, plan, results, progress)
            with progress.step("proving the books"):
                results.books += prove_books(world)
    return results
