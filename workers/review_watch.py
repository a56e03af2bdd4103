"""The gauges of what waits for a person, on each worker's own page of metrics.

Invariant: a scrape asks nobody anything. Every worker counts for itself, at a fixed interval, so that all show the same: a
count made in some task would stay on the page of whichever worker ran it, long after others know better. A gauge of its own says
when that was, should the database or Temporal be away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from temporalio.common import MetricMeter

from infra.postgres.review_counts import ReviewCounts

INTERVAL_S = 30.0

log = structlog.get_logger(__name__)


@asynccontextmanager
async def watching_reviews(
    meter: MetricMeter,
    count: Callable[[], Awaitable[ReviewCounts]],
    count_loans: Callable[[], Awaitable[int]],
    interval_s: float = INTERVAL_S,
) -> AsyncIterator[None]:
    """Keep the gauges fresh while the block runs."""
    task = asyncio.create_task(_watch(meter, count, count_loans, interval_s))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(
    meter: MetricMeter,
    count: Callable[[], Awaitable[ReviewCounts]],
    count_loans: Callable[[], Awaitable[int]],
    interval_s: float,
) -> None:
    payments = meter.create_gauge("clearhold_payments_needing_review", "Payments that wait for a person.")
    refunds = meter.create_gauge("clearhold_refunds_needing_review", "Refunds that wait for a person.")
    loans = meter.create_gauge("clearhold_loans_needing_review", "Loans that wait for a person.")
    counted = meter.create_gauge_float("clearhold_review_counted_timestamp_seconds", "When all were counted last.")
    while True:
        try:
            found, of_loans = await count(), await count_loans()
        except Exception:  # whatever it is, the next count may succeed; the timestamp tells that this one did not
            log.warning("what waits for a person could not be counted", exc_info=True)
        else:
            payments.set(found.payments)
            refunds.set(found.refunds)
            loans.set(of_loans)
            counted.set(time.time())
        await asyncio.sleep(interval_s)
