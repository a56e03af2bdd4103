"""The ledger beside pgbench, and the ledger as it fills.

Invariant: all on one PostgreSQL server with its durability on, nothing else running on it; each ledger is proved afterwards.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psycopg

from infra.bench.books import Check, describe_findings
from infra.bench.control import ask
from infra.bench.cpu import cpu_ms
from infra.bench.ledger_driver import BATCH, POOL_SIZE
from infra.bench.loops import STRETCH_MAX, Pace
from infra.bench.pgbench import CLIENTS, PgBench
from infra.bench.plan import Plan
from infra.bench.results import Results
from infra.bench.sampling import Sample, Series, Spread, Work, take_sample
from infra.local.child import ProcessSpec
from infra.local.ports import PortAllocator
from infra.local.postgres import LocalPostgres
from infra.local.processes import Supervisor
from infra.local.progress import Progress
from infra.local.readiness import tcp_probe
from infra.local.stack import PROJECT
from infra.postgres.ledger_verify import verify
from infra.postgres.migrate import upgrade

SINGLE, SHARED, BATCHED, HOT, PGBENCH = "single", "shared", "batched", "hot", "pgbench"
AT_ONCE: Mapping[str, int] = {SINGLE: CLIENTS, SHARED: 256, BATCHED: 3, HOT: 3}
"""Callers at once: of a transfer each, or of a batch each."""

LEDGER_ROWS = 10_000
ROWS_BATCHES = 24
"""Batches of one measurement over a ledger of a given size: few, so that the size stays what it is."""

ROWS_WARM_UP_BATCHES = 6
ROWS_WARM_UP_SHARE = 10
"""The warm-up adds a tenth of the rows, which touches most index pages after the checkpoint, as a ledger at work has done."""

COPY = "copy"
ROWS_ROUNDS_FACTOR = 2
"""Rounds for each round of the other parts: these are short."""

ROWS_MAX_S = 60.0
ROWS_COMPARED = (10_000, 1_000_000)
ANSWER_TIMEOUT_S = 1_800.0


class LedgerMeter:
    """Reads the CPU of the server and of whoever posts to it."""

    def __init__(self, server_pid: int, driver_pid: int, pgbench: PgBench) -> None:
        self._server_pid, self._driver_pid, self._pgbench = server_pid, driver_pid, pgbench

    def read(self) -> dict[str, float]:
        """Return CPU milliseconds so far by name."""
        return {"postgres": cpu_ms(self._server_pid), "client": cpu_ms(self._driver_pid) + self._pgbench.cpu_ms}


class Ledgers:
    """A server with any number of ledgers, each a database with a driver process of its own."""

    def __init__(self, supervisor: Supervisor, server: LocalPostgres, folder: Path) -> None:
        self.server = server
        self.pgbench = PgBench(server)
        self._supervisor = supervisor
        self._folder = folder
        self._allocator = PortAllocator()
        self._ports: dict[str, int] = {}
        self._next = 1

    def open(self, database: str, template: str | None = None, connections: int = POOL_SIZE) -> None:
        """Make a ledger, empty and migrated, or a copy of another; start its driver with so many connections."""
        self.server.drop_database(database)
        self.server.create_database(database, template=template)
        if template is None:
            upgrade(self.server.owner_url(database))
        self.resume(database, connections)

    def resume(self, database: str, connections: int = POOL_SIZE) -> None:
        """Start the driver of a ledger that exists."""
        port = self._ports[database] = self._allocator.free()
        options = ("--port", str(port), "--connections", str(connections))
        self._supervisor.start(
            ProcessSpec(
                name=f"driver-{database}",
                argv=(sys.executable, "-m", "infra.bench.ledger_driver", *options),
                log_path=self._folder / "logs" / f"{database}.log",
                env={"CLEARHOLD_DATABASE_URL": self.server.app_url(database)},
                cwd=PROJECT,
                ready=tcp_probe(port),
            )
        )

    def pause(self, database: str) -> None:
        """End the driver of a ledger, so that the ledger can be copied."""
        self._supervisor.stop(f"driver-{database}")

    def fill(self, database: str, rows: int) -> None:
        """Fill an empty ledger up to so many transfers."""
        ask(self._ports[database], {"do": "fill", "rows": rows}, ANSWER_TIMEOUT_S)

    def run(self, database: str, kind: str, pace: Pace) -> dict[str, Any]:
        """Post transfers of a kind."""
        command = {"do": "run", "kind": kind, "pace": asdict(pace), "first": self._next}
        answer = ask(self._ports[database], command, STRETCH_MAX * pace.duration_s + ANSWER_TIMEOUT_S)
        self._next += answer["operations"]
        return answer

    def checkpoint(self) -> None:
        """Write a checkpoint now."""
        with psycopg.connect(self.server.superuser_url(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def meter(self, database: str) -> LedgerMeter:
        """Return a meter of the server and of one driver, or of pgbench in its stead."""
        return LedgerMeter(self.server.process.pid, self._supervisor.get(f"driver-{database}").pid, self.pgbench)

    def prove(self, database: str) -> Check:
        """Verify a ledger."""
        with psycopg.connect(self.server.superuser_url(database), autocommit=True) as connection:
            findings = verify(connection)
        return Check(f"{database}: the ledger verifies", not findings, describe_findings(findings))


@contextmanager
def running_ledgers(progress: Progress, postgres_settings: Mapping[str, str] | None = None) -> Iterator[Ledgers]:
    """Run a durable server over a new folder; it and the folder are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="clearhold-ledgers-"))
    try:
        with Supervisor() as supervisor:
            server = LocalPostgres(
                supervisor,
                folder / "postgres",
                port=PortAllocator().free(),
                log_path=folder / "logs" / "postgres.log",
                durable=True,
                settings=postgres_settings,
            )
            with progress.step("starting PostgreSQL"):
                server.start()
            yield Ledgers(supervisor, server, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_ledger(ledgers: Ledgers, plan: Plan, results: Results, progress: Progress) -> None:
    """Measure postings one by one, sharing commits, and in batches, beside pgbench."""
    database = "ledger"
    ledgers.open(database)
    with progress.step("preparing pgbench and a ledger"):
        ledgers.fill(database, LEDGER_ROWS)
        ledgers.pgbench.prepare()

    def posting(kind: str) -> Work:
        return Work(kind, kind, lambda pace: ledgers.run(database, kind, replace(pace, concurrency=AT_ONCE[kind])))

    works = [*(posting(kind) for kind in AT_ONCE), Work(PGBENCH, "pgbench TPC-B", ledgers.pgbench.run)]
    for work in works:
        work.run(Pace(CLIENTS, plan.ledger_window_s / 2))
    series = Series()
    meter = ledgers.meter(database)
    for _ in range(plan.rounds):
        taken = [_named(take_sample(meter, work, Pace(CLIENTS, plan.ledger_window_s))) for work in works]
        series.rounds.append(taken)
        for sample in taken:
            progress.say(describe_posting(sample))
    results.series["ledger"] = series
    results.add_ratio("ledger_batched_vs_pgbench", series.ratio(BATCHED, PGBENCH))
    results.add_ratio("ledger_hot_vs_random", series.ratio(HOT, BATCHED))
    results.books.append(ledgers.prove(database))


def _named(sample: Sample) -> Sample:
    """Give the sample the concurrency at which the work was done."""
    return replace(sample, concurrency=AT_ONCE.get(sample.work, CLIENTS))


def measure_rows(ledgers: Ledgers, plan: Plan, results: Results, progress: Progress) -> None:
    """Measure batches over ledgers of several sizes, in turn, each time over a fresh copy of the ledger."""
    series = Series()
    bases = {rows: f"rows_{rows}" for rows in plan.ledger_rows}
    few, many = min(bases), max(bases)
    for rows, base in bases.items():
        with progress.step(f"filling a ledger with {rows:,} transfers"):
            ledgers.open(base)
            ledgers.fill(base, rows)
            ledgers.pause(base)
    for _ in range(ROWS_ROUNDS_FACTOR * plan.rounds):
        taken = []
        for rows, base in bases.items():
            sample = _measure_rows_once(ledgers, base, rows, grows_by_little=rows == many)
            taken.append(replace(sample, concurrency=rows))
            progress.say(describe_posting(taken[-1]))
        series.rounds.append(taken)
    results.series["rows"] = series
    results.books += [ledgers.prove(COPY), ledgers.prove(bases[many])]
    note = "" if (few, many) == ROWS_COMPARED else f"{many:,} rows / {few:,} rows"
    pairs = zip(series.of(BATCHED, many), series.of(BATCHED, few), strict=True)
    results.add_ratio(
        "ledger_1m_vs_10k", Spread.of(much.rate_per_s / little.rate_per_s for much, little in pairs), note
    )


def _measure_rows_once(ledgers: Ledgers, base: str, rows: int, *, grows_by_little: bool) -> Sample:
    """Measure over a copy, or over the ledger itself when what is added changes little. A checkpoint makes both start alike."""
    database = base if grows_by_little else COPY
    if grows_by_little:
        ledgers.resume(base, connections=AT_ONCE[BATCHED])  # no more than are used: each must warm up
    else:
        ledgers.open(COPY, template=base, connections=AT_ONCE[BATCHED])
    ledgers.checkpoint()

    def post(pace: Pace) -> dict[str, Any]:
        return ledgers.run(database, BATCHED, pace)

    warm_up_batches = max(ROWS_WARM_UP_BATCHES, rows // ROWS_WARM_UP_SHARE // BATCH)
    post(Pace(AT_ONCE[BATCHED], ROWS_MAX_S, operations_max=warm_up_batches))
    pace = Pace(AT_ONCE[BATCHED], ROWS_MAX_S, operations_max=ROWS_BATCHES)
    sample = take_sample(ledgers.meter(database), Work(BATCHED, "batched", post), pace)
    ledgers.pause(database)
    return sample


def describe_posting(sample: Sample) -> str:
    """Return one line about a sample, for whoever waits."""
    cpu = ", ".join(f"{name} {ms * 1000:.0f}" for name, ms in sample.cpu_ms.items())
    trouble = f"; {sample.failures}" if sample.failures else ""
    return f"  {sample.work:<10} {sample.concurrency:>9,}: {sample.rate_per_s:9,.0f}/s, CPU µs {cpu}{trouble}"
