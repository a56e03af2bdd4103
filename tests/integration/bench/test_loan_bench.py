"""The loan part of the bench, small: what it counts is in the books, and its figures go into file and picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from infra.bench.books import prove_books
from infra.bench.loan_life import live_long
from infra.bench.loan_parts import ACCRUAL, linearity, measure_portfolios, prove_loans
from infra.bench.loops import DONE, Pace
from infra.bench.plan import Part, Plan
from infra.bench.plots import draw
from infra.bench.report import show
from infra.bench.results import Results
from infra.bench.sampling import Sample, Series
from infra.bench.world import World, WorldOptions, running_world
from infra.local.postgres import LocalPostgres
from infra.local.progress import Progress

QUIET = Progress(Console(quiet=True))
SMALL = replace(Plan.quick(), portfolios=(40, 120), rounds=2)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world(WorldOptions(references=False), QUIET) as started:
        yield started


def test_portfolios_are_accrued_day_by_day_and_proved(postgres_server: LocalPostgres, tmp_path: Path) -> None:
    results = Results(SMALL, "development server")
    measure_portfolios(postgres_server, SMALL, results, QUIET)
    series = results.series["accrual"]
    assert series.levels(ACCRUAL) == [40, 120]
    assert [sample.outcomes for sample in series.samples] == [{DONE: 40}, {DONE: 120}] * 2
    assert [check.holds for check in results.books] == [True, True], results.books
    document = orjson.loads(orjson.dumps(results.as_json()))
    assert set(document["facts"]["accrual"][0]["rows per second by loans"]) == {"40", "120"}
    assert {path.name for path in draw(results, tmp_path)} == {"accrual-time.png"}
    text = io.StringIO()
    show(results, Console(width=150, file=text))
    assert "rows per second at 120 loans / at 40" in text.getvalue()


def test_growth_in_proportion_is_one() -> None:
    latency = {"p50": 1.0, "p95": 1.0, "p99": 1.0}
    taken = [Sample(ACCRUAL, loans, rate, latency, {}, {DONE: loans}) for loans, rate in ((10, 500.0), (1_000, 400.0))]
    assert linearity(Series([taken]))["median"] == 0.8


def test_loans_are_paid_out_and_a_long_one_is_measured(world: World) -> None:
    answer = world.run_loans(Pace(2, 60.0, operations_max=4))
    assert answer["outcomes"] == {DONE: 4}
    story = live_long(world, 1)
    assert (story["status"], story["runs"]) == ("closed_obligations_met", 1)
    assert story["events"] == story["largest_run_events"] > 50
    assert story["bytes"] > story["state_bytes"] > 0
    with world.connect() as connection:
        row = connection.execute("SELECT count(*) FROM loans WHERE disbursed_on IS NOT NULL").fetchone()
    assert row == (5,)
    assert prove_loans(world).holds
    assert all(check.holds for check in prove_books(world)), prove_books(world)


def test_loans_are_a_part_of_the_whole_run_but_not_of_one_on_another_server() -> None:
    assert Part.LOANS in Plan().parts
    assert Part.LOANS not in Plan().on_temporal().parts
    assert (max(Plan().portfolios), Plan().loan_years) == (100_000, 30)
