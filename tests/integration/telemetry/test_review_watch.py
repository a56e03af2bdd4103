"""The gauges of what waits for a person follow the counts, and survive a database that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from infra.postgres.review_counts import ReviewCounts
from infra.temporal_client import runtime_with_metrics
from tests.integration.telemetry.test_metrics import sample
from tests.support.bank_process import free_port
from workers.review_watch import watching_reviews

PATIENCE_S = 20.0


class Counts:
    """Answers from a list, the last one again and again; None is a database that is away."""

    def __init__(self, *answers: ReviewCounts | None) -> None:
        self.asked = 0
        self._answers: Iterator[ReviewCounts | None] = iter(answers)
        self._last: ReviewCounts | None = None

    async def __call__(self) -> ReviewCounts:
        self.asked += 1
        self._last = next(self._answers, self._last)
        if self._last is None:
            raise ConnectionError("the database is away")
        return self._last


@pytest.mark.parametrize(
    "answers", [(ReviewCounts(2, 1), ReviewCounts(0, 3)), (ReviewCounts(2, 1), None, ReviewCounts(0, 3))]
)
async def test_the_gauges_show_the_newest_count(answers: tuple[ReviewCounts | None, ...]) -> None:
    port, counts = free_port(), Counts(*answers)
    runtime = runtime_with_metrics("127.0.0.1", port)
    assert runtime is not None

    async def shown(http: httpx.AsyncClient) -> tuple[float, ...]:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        return tuple(sample(text, f"clearhold_{what}_needing_review") for what in ("payments", "refunds", "loans"))

    async def loans() -> int:
        return 10 * counts.asked

    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(PATIENCE_S):
        async with watching_reviews(runtime.metric_meter, counts, loans, interval_s=0.01):
            while (now := await shown(http))[:2] != (0, 3) or now[2] < 10 * len(answers):
                await asyncio.sleep(0.01)
        asked = counts.asked
        assert asked >= len(answers)
        await asyncio.sleep(0)
        assert counts.asked == asked
