"""Loans: the daily accrual of a portfolio, loans made through HTTP, and what thirty years of one loan leave behind.

Invariant: portfolios of every size are measured in turn, each in a database of its own; whatever was accrued or lent is proved
afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import psycopg

from infra.bench.books import Check
from infra.bench.cpu import cpu_ms
from infra.bench.loan_life import live_long
from infra.bench.loops import DONE, Pace
from infra.bench.payment_parts import describe
from infra.bench.plan import LOAN_YEARS, Plan
from infra.bench.results import Results
from infra.bench.sampling import Sample, Series, Spread, Work, take_sample, take_series
from infra.bench.seed import TENANT
from infra.bench.world import World
from infra.local.postgres import LocalPostgres
from infra.local.progress import Progress
from infra.postgres.loan_accrual import AccrualSpeed, measure_accrual
from infra.postgres.loan_accrual_seed import seed_portfolio
from infra.postgres.loan_proof import verify_loans
from infra.postgres.migrate import upgrade
from infra.postgres.pool import open_pool
from infra.settings import Settings

ACCRUAL, LEND = "accrual of a day", "loan"
BEGAN_ON = date(2026, 1, 1)
_DISAGREE = """
SELECT (SELECT count(*) FROM loan_accruals), (SELECT count(DISTINCT (loan_id, day)) FROM loan_accruals),
       (SELECT coalesce(sum(amount_minor), 0) FROM loan_accruals)::bigint,
       (SELECT coalesce(sum(b.debits_posted - b.credits_posted), 0) FROM ledger_accounts a
        JOIN ledger_balances b ON b.account_id = a.id WHERE a.purpose = 'loan_interest')::bigint
"""


def measure_loans(world: World, plan: Plan, results: Results, progress: Progress) -> None:
    """Measure accrual, origination and one long loan."""
    measure_portfolios(world.stack.postgres, plan, results, progress)
    _measure_lending(world, plan, results, progress)
    with progress.step(f"living {plan.loan_years} years of one loan"):
        story = live_long(world, plan.loan_years)
    if plan.loan_years != LOAN_YEARS:
        story["note"] = f"a short run: {plan.loan_years} years instead of {LOAN_YEARS}"
    results.facts["one long loan"] = [story]
    results.books.append(prove_loans(world))


class _Meter:
    """CPU of the database server and of this process, which asks it."""

    def __init__(self, server_pid: int) -> None:
        self._server_pid = server_pid

    def read(self) -> dict[str, float]:
        return {"postgres": cpu_ms(self._server_pid), "client": time.process_time() * 1000}


# Accrual --------------------------------------------------------------------------------------------------------------


def measure_portfolios(server: LocalPostgres, plan: Plan, results: Results, progress: Progress) -> None:
    """Accrue one day of portfolios of several sizes, in turn; a row is one loan's day. The first day is not counted."""
    series, meter = Series(), _Meter(server.process.pid)
    databases = {loans: f"bench_accrual_{loans}" for loans in plan.portfolios}
    for loans, database in databases.items():
        with progress.step(f"making a portfolio of {loans:,} loans"):
            server.drop_database(database)
            server.create_database(database)
            upgrade(server.owner_url(database))
            seed_portfolio(server.owner_url(database), loans, BEGAN_ON)
            _accrue(server, database, loans, 1)
    for done in range(plan.rounds):
        taken = []
        for loans, database in databases.items():
            work = Work(ACCRUAL, ACCRUAL, _accrual_of(server, database, loans, done + 2))
            taken.append(take_sample(meter, work, Pace(loans, 0.0)))
            progress.say(_describe_accrual(taken[-1]))
        series.rounds.append(taken)
    results.series["accrual"] = series
    results.facts["accrual"] = [linearity(series)]
    for loans, database in databases.items():
        results.books.append(_prove_accrual(server, database, loans * (plan.rounds + 1)))
        server.drop_database(database)


def _accrual_of(server: LocalPostgres, database: str, loans: int, day: int) -> Callable[[Pace], dict[str, Any]]:
    def run(pace: Pace) -> dict[str, Any]:
        del pace
        began = time.time()
        speed = _accrue(server, database, loans, day)
        whole = dict.fromkeys(("p50", "p95", "p99"), speed.seconds * 1000)
        return {
            "rate_per_s": speed.rows_per_second,
            "latency_ms": whole,
            "outcomes": {DONE: speed.days},
            "skipped": loans - speed.days,
            "window_unix_s": [began, began + speed.seconds],
        }

    return run


def _accrue(server: LocalPostgres, database: str, loans: int, day: int) -> AccrualSpeed:
    async def run() -> AccrualSpeed:
        async with open_pool(Settings(database_url=server.app_url(database)), "bench") as pool:
            return await measure_accrual(pool, BEGAN_ON + timedelta(days=day))

    speed = asyncio.run(run())
    if speed.days != loans:
        raise ValueError(f"{speed.days} accruals of {loans} loans")
    return speed


def linearity(series: Series) -> dict[str, Any]:
    """Return the rate of the largest portfolio over that of the smallest, round by round: 1 is linear growth."""
    sizes = series.levels(ACCRUAL)
    pairs = zip(series.of(ACCRUAL, max(sizes)), series.of(ACCRUAL, min(sizes)), strict=True)
    found = Spread.of(many.rate_per_s / few.rate_per_s for many, few in pairs)
    return {
        "rows per second by loans": {
            f"{size:,}": round(Spread.of(sample.rate_per_s for sample in series.of(ACCRUAL, size)).median)
            for size in sizes
        },
        "of": f"rows per second at {max(sizes):,} loans / at {min(sizes):,}",
        "median": round(found.median, 3),
        "low": round(found.low, 3),
        "high": round(found.high, 3),
    }


def _describe_accrual(sample: Sample) -> str:
    return (
        f"  {sample.concurrency:>7,} loans: {sample.rate_per_s:9,.0f} rows/s,"
        f" {sample.latency_ms['p50'] / 1000:.2f} s, CPU {sample.cpu_total_ms * 1000:.0f} µs a row"
    )


def _prove_accrual(server: LocalPostgres, database: str, expected: int) -> Check:
    with psycopg.connect(server.superuser_url(database)) as connection:
        row = connection.execute(_DISAGREE.encode()).fetchone()
    rows, distinct, accrued, owed = row or (0, 0, 0, -1)
    return Check(
        f"{database}: one accrual a loan and day, and the ledger holds their sum",
        rows == distinct == expected and accrued == owed > 0,
        f"{rows} accruals of {expected}, {accrued} accrued, {owed} in the ledger",
    )


# Lending --------------------------------------------------------------------------------------------------------------


def _measure_lending(world: World, plan: Plan, results: Results, progress: Progress) -> None:
    work = Work(LEND, "loan, from application to payout", world.run_loans)
    work.run(plan.warm_up)
    results.series["loans"] = take_series(
        world.meter(), [work], plan.paces(), plan.rounds, lambda sample: progress.say(describe(sample))
    )


def prove_loans(world: World) -> Check:
    """Return whether the receivables of all loans that were made equal their schedules."""

    async def find() -> list[Any]:
        settings = Settings(database_url=world.stack.postgres.app_url())
        async with open_pool(settings, "bench") as pool:
            return list(await verify_loans(pool, TENANT))

    found = asyncio.run(find())
    return Check("loans: receivables equal the schedules", not found, "; ".join(map(str, found[:5])) or "no finding")
