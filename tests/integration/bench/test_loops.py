from __future__ import annotations

import asyncio
import time

import pytest

from infra.bench.loops import ANSWERS_PER_CALLER, DONE, STRETCH_MAX, Pace, percentile, run_load


async def test_a_closed_loop_never_has_more_at_once_than_its_concurrency_and_counts_every_operation() -> None:
    begun: list[int] = []
    at_once = most = 0

    async def operation(number: int) -> str:
        nonlocal at_once, most
        begun.append(number)
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1
        return DONE if number % 5 else "refused"

    result = await run_load(operation, Pace(concurrency=7, window_s=60.0, operations_max=100), first=11)

    assert most == 7
    assert sorted(begun) == list(range(11, 111))
    assert result["outcomes"] == {DONE: 80, "refused": 20}


async def test_what_ends_in_the_ramp_or_after_the_window_is_in_the_totals_but_not_in_the_rate() -> None:
    async def operation(number: int) -> str:
        del number
        await asyncio.sleep(0.05)
        return DONE

    result = await run_load(operation, Pace(concurrency=4, window_s=0.3, ramp_s=0.2), first=1)

    began, ended = result["window_unix_s"]
    assert result["in_window"][DONE] < result["outcomes"][DONE]
    assert result["rate_per_s"] == pytest.approx(result["in_window"][DONE] / (ended - began))
    assert result["rate_per_s"] <= 4 / 0.05 * 1.05
    assert 0.3 <= ended - began < 0.5
    assert ended <= time.time()


async def test_a_window_stays_open_until_every_caller_had_several_answers_but_not_for_ever() -> None:
    async def slow(number: int) -> str:
        await asyncio.sleep(0.05 if number < 1_000 else 0.4)
        return DONE

    patient = await run_load(slow, Pace(concurrency=2, window_s=0.1, ramp_s=0.01), first=1)
    assert patient["in_window"][DONE] >= 2 * ANSWERS_PER_CALLER

    hopeless = await run_load(slow, Pace(concurrency=2, window_s=0.1, ramp_s=0.01), first=1_000)
    assert hopeless["in_window"][DONE] < 2 * ANSWERS_PER_CALLER
    assert hopeless["elapsed_s"] < STRETCH_MAX * 0.11 + 2 * 0.4


async def test_a_load_that_ends_early_is_rated_over_the_time_it_took() -> None:
    async def operation(number: int) -> str:
        del number
        await asyncio.sleep(0.01)
        return DONE

    result = await run_load(operation, Pace(concurrency=1, window_s=60.0, operations_max=10), first=1)
    assert 20 < result["rate_per_s"] <= 100


async def test_an_open_loop_offers_its_rate_however_slow_the_answers_and_waits_for_all_of_them() -> None:
    release = asyncio.Event()

    async def operation(number: int) -> str:
        if number == 40:
            release.set()
        await release.wait()
        return DONE

    pace = Pace(concurrency=1_000, window_s=0.4, rate_per_s=100.0)
    result = await run_load(operation, pace, first=1)

    assert result["outcomes"] == {DONE: 40}
    assert result["skipped"] == 0


async def test_an_open_loop_skips_and_counts_what_would_be_too_many_at_once() -> None:
    release = asyncio.Event()
    numbers: list[int] = []

    async def operation(number: int) -> str:
        numbers.append(number)
        await release.wait()
        return DONE

    pace = Pace(concurrency=3, window_s=0.2, rate_per_s=100.0)
    load = asyncio.create_task(run_load(operation, pace, first=1))
    while len(numbers) < 3:
        await asyncio.sleep(0.005)
    await asyncio.wait({load}, timeout=0.4)
    release.set()
    result = await load

    assert result["skipped"] == 20 - result["outcomes"][DONE]
    assert result["skipped"] > 0


async def test_an_open_loop_counts_latency_from_when_an_operation_was_due() -> None:
    async def block_the_loop(number: int) -> str:
        if number == 1:
            time.sleep(0.2)  # noqa: ASYNC251 - the point: a late start is the fault of what is measured
        return DONE

    result = await run_load(block_the_loop, Pace(concurrency=100, window_s=0.3, rate_per_s=100.0), first=1)

    assert result["latency_ms"]["p95"] > 100


@pytest.mark.parametrize(("share", "expected"), [(50, 50.0), (95, 95.0), (99, 99.0), (100, 100.0), (0.5, 1.0)])
def test_a_percentile_is_the_value_of_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(1, 101)], share) == expected


def test_a_percentile_of_nothing_is_zero_and_of_one_value_is_that_value() -> None:
    assert percentile([], 99) == 0.0
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0
