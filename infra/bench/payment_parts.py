"""Payments and what they are compared with: reads, overload, memory, and several workers.

Invariant: every part warms up first, and none of the warm-up is counted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from infra.bench.anatomy import dissect_cards
from infra.bench.books import count_completed, wait_until_settled
from infra.bench.cpu import resident_bytes
from infra.bench.http_driver import SHED, SHED_WITHOUT_ADVICE
from infra.bench.loops import DONE, Pace
from infra.bench.plan import RSS_FIRST, RSS_LAST, Plan
from infra.bench.results import Results
from infra.bench.sampling import Sample, Series, Spread, Work, take_sample, take_series
from infra.bench.variants import VARIANTS
from infra.bench.world import CARD, DBOS, EMPTY, WALLET, World
from infra.local.progress import Progress
from infra.local.stack import API

OVERLOAD_FACTOR = 4
OVERLOAD_IN_FLIGHT_MAX = 4_000
MEMORY_STEPS = 10
MEMORY_STEP_MAX_S = 900.0
CPU_SHOWN_MS = 0.1
MEBIBYTE = 1024 * 1024


def payment_works(world: World) -> list[Work]:
    """Return what is measured side by side."""
    works = [Work(CARD, "card payment", world.run_cards), Work(WALLET, "wallet to wallet", world.run_wallets)]
    if world.options.references:
        works += [Work(EMPTY, "empty workflow", world.run_empty), Work(DBOS, "card on DBOS", world.run_dbos)]
    return works


def describe(sample: Sample) -> str:
    """Return one line about a sample, for whoever waits."""
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in sample.cpu_ms.items() if ms >= CPU_SHOWN_MS)
    trouble = f"; {sample.failures}" if sample.failures else ""
    latency = f"p50 {sample.latency_ms['p50']:.0f} ms, p99 {sample.latency_ms['p99']:.0f} ms"
    cpu = f"CPU {sample.cpu_total_ms:.1f} ms ({parts})"
    return f"  {sample.work:<14} {sample.concurrency:>4} at once: {sample.rate_per_s:7.1f}/s, {latency}, {cpu}{trouble}"


def measure_payments(world: World, plan: Plan, results: Results, progress: Progress) -> None:
    """Measure payments, empty workflows and the saga on DBOS, at all levels."""
    works = payment_works(world)
    for work in works:
        work.run(plan.warm_up)
    series = take_series(world.meter(), works, plan.paces(), plan.rounds, lambda sample: progress.say(describe(sample)))
    results.series["payments"] = series
    results.facts["payments"] = dissect_cards(world, plan)
    if world.options.references:
        results.add_ratio("payment_vs_empty_workflow", series.ratio(CARD, EMPTY))
        results.add_ratio("payment_vs_dbos", series.ratio(CARD, DBOS))


def measure_variants(world: World, plan: Plan, results: Results, progress: Progress) -> None:
    """Price Temporal's means one by one: alone (latency) and at the highest concurrency (rate and CPU)."""
    if not world.options.references:
        raise ValueError("variants run in the process of the empty workflow, a reference")
    works = [Work(name, name, _variant(world, name)) for name in VARIANTS]
    for work in works:
        work.run(Pace(plan.highest, plan.warm_up_s / 4))
    paces = [Pace(level, plan.variant_window_s, plan.ramp_s / 2) for level in (1, plan.highest)]
    results.series["variants"] = take_series(
        world.meter(), works, paces, plan.rounds, lambda sample: progress.say(describe(sample))
    )


def _variant(world: World, name: str) -> Any:
    return lambda pace: world.run_variant(name, pace)


def measure_reads(world: World, plan: Plan, results: Results, progress: Progress) -> None:
    """Measure reading one payment, a page of payments, and an account with its balance."""
    world.run_cards(plan.warm_up)
    payment_id = world.told()[CARD]["last_id"]
    paths = {
        "one payment": f"/v1/payments/{payment_id}",
        "a page of 20": "/v1/payments?limit=20",
        "a balance": f"/v1/accounts/{world.seed.merchants[0]}",
    }
    works = [Work(name, name, _reader(world, path)) for name, path in paths.items()]
    for work in works:
        work.run(plan.warm_up)
    results.series["reads"] = take_series(
        world.meter(), works, plan.paces(), plan.rounds, lambda sample: progress.say(describe(sample))
    )


def _reader(world: World, path: str) -> Any:
    return lambda pace: world.run_reads([path], pace)


def measure_overload(world: World, plan: Plan, results: Results, progress: Progress) -> None:
    """Measure the rate at the peak, and then send four times as many, round by round."""
    peak_work = Work("card, peak", "card payments, closed loop", world.run_cards)
    storm_work = Work("card, 4 x peak", "card payments, open loop", world.run_cards)
    world.run_cards(plan.warm_up)
    series, facts = Series(), []
    for _ in range(plan.rounds):
        peak = _as_written(world, take_sample(world.meter(), peak_work, Pace(plan.highest, plan.window_s, plan.ramp_s)))
        progress.say(describe(peak))
        rate = max(1.0, OVERLOAD_FACTOR * peak.rate_per_s)
        storm_pace = Pace(OVERLOAD_IN_FLIGHT_MAX, plan.overload_s, plan.ramp_s, rate_per_s=rate)
        storm = _as_written(world, take_sample(world.meter(), storm_work, storm_pace))
        progress.say(describe(storm))
        wait_until_settled(world)
        series.rounds.append([peak, storm])
        facts.append(_describe_storm(storm, rate))
    results.series["overload"] = series
    results.facts["overload"] = facts
    results.add_ratio("overload_vs_peak", series.ratio(storm_work.name, peak_work.name))


def _as_written(world: World, sample: Sample) -> Sample:
    """Return the sample with the rate at which payments were completed, also those whose callers had stopped waiting."""
    began, ended = sample.window_unix_s
    return replace(sample, rate_per_s=count_completed(world, began, ended) / (ended - began))


def _describe_storm(storm: Sample, rate: float) -> dict[str, Any]:
    outcomes = dict(storm.outcomes)
    return {
        "offered_per_s": rate,
        "completed_per_s": storm.rate_per_s,
        "accepted": outcomes.pop(DONE, 0),
        "shed_with_retry_after": outcomes.pop(SHED, 0),
        "shed_without_retry_after": outcomes.pop(SHED_WITHOUT_ADVICE, 0),
        "other": outcomes,
        "not_sent": storm.skipped,
        "latency_of_accepted_ms": storm.latency_ms,
    }


def measure_memory(world: World, plan: Plan, results: Results, progress: Progress) -> None:
    """Restart the API, whose process runs payments, and a worker; watch both over `plan.rss_payments` payments.

    The ratio compares the last reading with that at a tenth of the way, of whichever grew more.
    """
    names = (API, world.stack.workers()[0])
    for name in names:
        world.stack.stop_part(name)
        world.stack.start_part(name)
    step, done, readings = max(1, plan.rss_payments // MEMORY_STEPS), 0, []
    for _ in range(MEMORY_STEPS):
        outcome = world.run_cards(Pace(plan.highest, MEMORY_STEP_MAX_S, operations_max=step))
        done += sum(outcome["outcomes"].values())
        resident = {name: round(resident_bytes(world.stack.process(name).pid) / MEBIBYTE, 2) for name in names}
        readings.append({"payments": done, "rss_mb": resident})
        progress.say(
            f"  after {done} payments: " + ", ".join(f"{name} {size:.1f} MiB" for name, size in resident.items())
        )
    results.facts["memory"] = readings
    first, last = readings[0]["rss_mb"], readings[-1]["rss_mb"]
    value = max(last[name] / max(1.0, first[name]) for name in names)
    whole = plan.rss_payments >= RSS_LAST
    note = "" if whole else f"after {done:,} / after {step:,}; `--rss {RSS_LAST}` measures {RSS_LAST:,} / {RSS_FIRST:,}"
    results.add_ratio("worker_rss_mb", Spread.of([value]), note)


def measure_workers(world: World, plan: Plan, results: Results, progress: Progress) -> None:
    """Measure card payments that run within the API, and with a rising number of worker processes instead, in turn."""
    series = Series()
    pace = Pace(plan.highest, plan.window_s, plan.ramp_s)
    before = len(world.stack.workers())

    def sample(where: str) -> Sample:
        world.run_cards(plan.warm_up)
        taken = take_sample(world.meter(), Work(where, "card payment", world.run_cards), pace)
        progress.say(describe(taken))
        return taken

    for _ in range(plan.rounds):
        taken = [sample("within the API")]
        with world.payments_apart():
            for count in plan.worker_counts:
                world.set_workers(count)
                taken.append(sample(f"{count} worker{'s' if count > 1 else ''}"))
        world.set_workers(before)
        series.rounds.append(taken)
    results.series["workers"] = series
