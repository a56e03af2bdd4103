"""Worker processes of a stack, as Prometheus scrapes them: each on a port of its own, with the SDK's families and ours."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.local.stack import API, BANK, LocalStack, StackOptions
from infra.temporal_client import connect
from tests.integration.local_stack.conditions import wait_until
from workers.schedules import LOAN_RECONCILIATION_ID, RECONCILIATION_ID

PATIENCE_S = 60.0

_IN_REVIEW = """
INSERT INTO payments (tenant_id, id, kind, status, amount_minor, currency, capture_method, debit_account, credit_account,
  gateway, description, metadata, attempts_allowed, attempt, captures, pending_capture_minor, amount_authorized_minor,
  amount_captured_minor, version, created_at)
SELECT 'default', 'pay_' || n, 'card', CASE WHEN n <= 2 THEN 'needs_review' ELSE 'succeeded' END, 100, 'USD', 'automatic',
  'clearing', 'shop', 'sandbox', '', '{}', 1, 1, 1, 0, 100, 100, 3, now()
FROM generate_series(1, 5) AS n;
INSERT INTO refunds (tenant_id, id, payment_id, status, amount_minor, currency, reason, version, created_at)
VALUES ('default', 're_1', 'pay_3', 'needs_review', 10, 'USD', '', 2, now())
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Two workers over a database with two payments and a refund in review."""
    with LocalStack(StackOptions(tmp_path_factory.mktemp("stack"), durable=False)) as running:
        running.start_postgres()
        running.migrate()
        with psycopg.connect(running.postgres.superuser_url(), autocommit=True) as connection:
            connection.execute(_IN_REVIEW)
        running.start_temporal()
        running.start_part(BANK)
        for _ in range(2):
            running.start_worker()
        yield running


def _samples(url: str) -> dict[str, float]:
    """Return the sum of the samples of each name."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(httpx.get(url, trust_env=False).raise_for_status().text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def test_each_worker_process_shows_the_sdks_metrics_and_what_waits_for_a_person(stack: LocalStack) -> None:
    urls = stack.metrics_urls()
    assert len(set(urls.values())) == len(stack.workers()) == 2
    for url in urls.values():
        wait_until(lambda url=url: "clearhold_review_counted_timestamp_seconds" in _samples(url))  # type: ignore[misc]
        found = _samples(url)
        assert found["temporal_num_pollers"] >= 1
        assert found["temporal_worker_task_slots_available"] >= 1
        assert found["clearhold_payments_needing_review"] == 2
        assert found["clearhold_refunds_needing_review"] == 1
        assert found["clearhold_loans_needing_review"] == 0
        assert abs(time.time() - found["clearhold_review_counted_timestamp_seconds"]) < PATIENCE_S


def test_the_worker_within_the_api_shows_the_sdks_metrics_too(stack: LocalStack) -> None:
    stack.start_part(API)
    url = stack.metrics_urls()[API]
    wait_until(lambda: _samples(url).get("temporal_num_pollers", 0) >= 1)
    assert _samples(url)["temporal_worker_task_slots_available"] >= 1
    stack.stop_part(API)
    assert API not in stack.metrics_urls()


async def test_a_run_of_reconciliation_counts_what_it_recovered_also_when_that_is_nothing(stack: LocalStack) -> None:
    client = await connect(stack.settings())
    await client.get_schedule_handle(RECONCILIATION_ID).trigger()
    urls = stack.metrics_urls().values()
    wait_until(lambda: any("clearhold_sagas_recovered_total" in _samples(url) for url in urls), PATIENCE_S)
    assert sum(_samples(url).get("clearhold_sagas_recovered_total", 0) for url in urls) == 0
    await client.get_schedule_handle(LOAN_RECONCILIATION_ID).trigger()
    wait_until(lambda: any("clearhold_loans_lost_total" in _samples(url) for url in urls), PATIENCE_S)
    assert sum(_samples(url).get("clearhold_loans_lost_total", 0) for url in urls) == 0


def test_a_worker_that_was_killed_is_scraped_at_the_same_place_again(stack: LocalStack) -> None:
    name = stack.workers()[0]
    before = stack.metrics_urls()[name]
    stack.kill(name)
    stack.start_part(name)
    assert stack.metrics_urls()[name] == before
    wait_until(lambda: _samples(before).get("clearhold_payments_needing_review") == 2)
