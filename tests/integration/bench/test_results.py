from __future__ import annotations

import io
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from infra.bench.books import Check
from infra.bench.cpu import CpuMeter
from infra.bench.loops import DONE, Pace
from infra.bench.plan import Part, Plan
from infra.bench.plots import draw
from infra.bench.report import show
from infra.bench.results import Results, cpu_by_process
from infra.bench.sampling import Sample, Series, Spread, Work, take_series
from infra.bench.targets import TARGETS

NAMES = {
    "payment_vs_empty_workflow",
    "payment_vs_dbos",
    "ledger_batched_vs_pgbench",
    "ledger_hot_vs_random",
    "ledger_1m_vs_10k",
    "overload_vs_peak",
    "worker_rss_mb",
}
LATENCY = {"p50": 10.0, "p95": 20.0, "p99": 30.0}


def sample(work: str, concurrency: int, rate: float, **cpu_ms: float) -> Sample:
    return Sample(work, concurrency, rate, LATENCY, cpu_ms or {"api": 1.0, "worker": 3.0}, {DONE: 10})


def series() -> Series:
    return Series(
        [
            [sample("card", 1, 10), sample("empty", 1, 30), sample("card", 64, 40), sample("empty", 64, 50)],
            [sample("card", 1, 12), sample("empty", 1, 60), sample("card", 64, 30), sample("empty", 64, 40)],
            [sample("card", 1, 11), sample("empty", 1, 20), sample("card", 64, 60), sample("empty", 64, 60)],
        ]
    )


def results() -> Results:
    made = Results(Plan.quick(), "development server", {"payments": series(), "reads": series(), "rows": series()})
    made.add_ratio("payment_vs_empty_workflow", series().ratio("card", "empty"))
    made.add_ratio("worker_rss_mb", Spread.of([1.3]), "a short one")
    made.books = [Check("the ledger verifies", True, "no fault")]
    return made


def shown(found: Results) -> str:
    text = io.StringIO()
    show(found, Console(width=150, file=text))
    return text.getvalue()


def test_a_ratio_is_of_the_best_rates_of_each_round_and_its_middle_is_shown_with_the_extremes() -> None:
    assert series().peaks("card") == [40, 30, 60]
    assert series().peaks("empty") == [50, 60, 60]
    assert series().ratio("card", "empty") == Spread(median=0.8, low=0.5, high=1.0)


def test_works_are_measured_in_turn_and_every_round_holds_each_of_them_at_each_level() -> None:
    order: list[tuple[str, int]] = []

    def work(name: str) -> Work:
        def run(pace: Pace) -> dict[str, object]:
            order.append((name, pace.concurrency))
            return {
                "rate_per_s": 1.0,
                "latency_ms": LATENCY,
                "outcomes": {DONE: 1},
                "skipped": 0,
                "window_unix_s": [0.0, 1.0],
            }

        return Work(name, name, run)

    taken = take_series(CpuMeter({}), [work("a"), work("b")], [Pace(1, 1.0), Pace(4, 1.0)], rounds=2)

    assert order == [("a", 1), ("b", 1), ("a", 4), ("b", 4)] * 2
    assert [len(one) for one in taken.rounds] == [4, 4]
    assert taken.levels("a") == [1, 4]


def test_the_file_names_every_ratio_of_the_target_table_and_says_which_were_met() -> None:
    document = orjson.loads(orjson.dumps(results().as_json()))
    assert set(document["ratios"]) == set(document["targets"]) == NAMES == {target.name for target in TARGETS}
    assert document["ratios"]["payment_vs_empty_workflow"] == pytest.approx(0.8)
    assert document["targets"]["payment_vs_empty_workflow"]["met"] is True
    assert document["ratios"]["worker_rss_mb"] == pytest.approx(1.3)
    assert document["targets"]["worker_rss_mb"]["met"] is False
    assert document["targets"]["worker_rss_mb"]["note"] == "a short one"


def test_a_ratio_that_was_not_measured_has_no_value_and_is_not_called_met() -> None:
    document = results().as_json()
    assert document["ratios"]["ledger_1m_vs_10k"] is None
    assert document["targets"]["ledger_1m_vs_10k"]["met"] is None


def test_the_file_tells_cpu_by_process_at_each_level() -> None:
    cpu = results().as_json()["cpu_ms_per_operation"]["payments"]["card"]["64"]
    assert cpu == {"api": 1.0, "worker": 3.0, "total": 4.0}
    assert cpu_by_process(series(), "card", 64) == cpu


def test_the_table_shows_what_was_missed_as_plainly_as_what_was_met() -> None:
    text = shown(results())
    rows = {name: line for line in text.splitlines() for name in NAMES if name in line}
    assert "met" in rows["payment_vs_empty_workflow"]
    assert "missed" not in rows["payment_vs_empty_workflow"]
    assert "missed" in rows["worker_rss_mb"]
    assert "not measured" in rows["payment_vs_dbos"]


def test_books_that_do_not_agree_are_said_to_make_the_figures_worthless() -> None:
    found = results()
    found.books.append(Check("card: the bank took each payment once", False, "11 sales of 10 payments"))
    text = shown(found)
    assert not found.books_hold
    assert "count for nothing" in text


def test_plots_are_drawn_for_what_was_measured_and_for_nothing_else(tmp_path: Path) -> None:
    drawn = {path.name for path in draw(results(), tmp_path)}
    assert drawn == {
        "payments-rate.png",
        "payments-latency.png",
        "payments-cpu.png",
        "reads-rate.png",
        "reads-latency.png",
        "rows-cost.png",
    }
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in drawn)


def test_a_second_run_on_another_temporal_leaves_out_what_has_nothing_to_do_with_it() -> None:
    assert Plan().on_temporal().parts == {Part.PAYMENTS, Part.OVERLOAD, Part.WORKERS}
