"""Reads walk indexes, whatever is asked and however much there is."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from domain.payments.status import PaymentStatus
from infra.postgres import account_reads, payment_reads, review_counts
from infra.postgres.payment_reads import PaymentFilter, PaymentReads, list_statement
from infra.postgres.pool import Pool
from tests.support.database import Database

ROWS = 60_000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MOST_BUFFERS = 400
"""Pages (8 KiB) that one page of a list may touch; the table has some 3,000."""

_FILL = """
INSERT INTO payments (tenant_id, id, kind, status, amount_minor, currency, capture_method, debit_account, credit_account,
  gateway, customer, description, metadata, attempts_allowed, attempt, captures, pending_capture_minor,
  amount_authorized_minor, amount_captured_minor, version, created_at)
SELECT CASE WHEN n %% 100 = 0 THEN 'other' ELSE 'default' END, 'pay_' || n, 'card',
  CASE WHEN n %% 1000 = 1 THEN 'needs_review' WHEN n %% 10 = 1 THEN 'failed' ELSE 'succeeded' END, 100,
  CASE WHEN n %% 2000 = 3 THEN 'KWD' WHEN n %% 7 = 0 THEN 'EUR' ELSE 'USD' END, 'automatic', 'clearing', 'acct' || n %% 500,
  'sandbox', CASE WHEN n %% 3 = 0 THEN 'cus' || n %% 3000 END, '', '{}', 1, 1, 1, 0, 100, 100, 3,
  %(begin)s::timestamptz + n * interval '1 minute'
FROM generate_series(1, %(rows)s) AS n
"""

FILTERS: dict[str, Any] = {
    "status": PaymentStatus.NEEDS_REVIEW,
    "account": "acct7",
    "customer": "cus30",
    "currency": "KWD",
    "created_after": BEGIN + timedelta(days=10),
    "created_before": BEGIN + timedelta(days=11),
}


@pytest.fixture
async def filled(database: Database) -> Database:
    async with await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as connection:
        await connection.execute("INSERT INTO tenants (id, name) VALUES ('other', 'other')")
        await connection.execute(_FILL, {"rows": ROWS, "begin": BEGIN})
        await connection.execute("VACUUM ANALYZE payments")
    return database


async def _plan(connection: psycopg.AsyncConnection[Any], statement: str, values: Any) -> dict[str, Any]:
    cursor = await connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", values)
    row = await cursor.fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


async def test_every_combination_of_filters_walks_an_index_and_reads_little(filled: Database) -> None:
    async with await psycopg.AsyncConnection.connect(filled.app_url) as connection:
        for count, after in itertools.product(range(3), (None, (BEGIN + timedelta(days=20), "pay_x"))):
            for names in itertools.combinations(FILTERS, count):
                chosen = PaymentFilter(**{name: FILTERS[name] for name in names})
                statement, values = list_statement(chosen, 20, after)
                plan = await _plan(connection, statement, {**values, "tenant": "default"})
                kinds = {node["Node Type"] for node in _nodes(plan)}
                assert "Seq Scan" not in kinds, (names, after, kinds)
                touched = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
                assert touched <= MOST_BUFFERS, (names, after, touched)


async def test_a_deep_page_costs_what_the_first_one_costs(filled: Database) -> None:
    async with await psycopg.AsyncConnection.connect(filled.app_url) as connection:
        costs = []
        for after in (None, (BEGIN + timedelta(days=1), "pay_x")):
            statement, values = list_statement(PaymentFilter(), 50, after)
            plan = await _plan(connection, statement, {**values, "tenant": "default"})
            assert {node["Node Type"] for node in _nodes(plan)} <= {"Limit", "Index Scan"}
            costs.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        assert max(costs) <= 2 * min(costs)


async def test_what_waits_for_a_person_is_counted_without_reading_what_does_not(filled: Database, pool: Pool) -> None:
    async with await psycopg.AsyncConnection.connect(filled.app_url) as connection:
        plan = await _plan(connection, review_counts._COUNTS, None)
    of_payments = {node["Node Type"] for node in _nodes(plan) if node.get("Relation Name") == "payments"}
    assert of_payments
    assert "Seq Scan" not in of_payments
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= MOST_BUFFERS
    assert await review_counts.count_reviews(pool) == review_counts.ReviewCounts(payments=ROWS // 1000, refunds=0)


async def test_the_story_of_one_payment_and_the_list_of_accounts_walk_indexes(filled: Database) -> None:
    statements = [
        (payment_reads._EVENTS, ["default", "pay_1"]),
        (payment_reads._OPERATIONS, ["default", "pay_1"]),
        (payment_reads._REFUNDS, ["default", "pay_1"]),
        (payment_reads._PAYMENT, ["default", "pay_1"]),
        (payment_reads._REFUND, ["default", "re_1"]),
        (account_reads._PAGE, ["default", 0, 20]),
        (account_reads._SOME, ["default", ["a", "b"]]),
    ]
    async with await psycopg.AsyncConnection.connect(filled.app_url) as connection:
        await connection.execute("SET enable_seqscan = off")
        for statement, values in statements:
            plan = await _plan(connection, statement, values)
            assert "Seq Scan" not in {node["Node Type"] for node in _nodes(plan)}, statement


async def test_pages_hold_every_payment_of_the_tenant_once_and_in_order(filled: Database, pool: Pool) -> None:
    reads = PaymentReads(pool)
    chosen = PaymentFilter(created_after=BEGIN, created_before=BEGIN + timedelta(minutes=1_000))
    seen: list[str] = []
    after = None
    more = True
    while more:
        page, more = await reads.payments("default", chosen, 97, after)
        seen += [stored.payment.id for stored in page]
        after = (page[-1].payment.created_at, page[-1].payment.id)
    assert seen == [f"pay_{n}" for n in range(999, 0, -1) if n % 100]


async def test_payments_of_one_moment_are_not_lost_between_pages(filled: Database, pool: Pool) -> None:
    async with await psycopg.AsyncConnection.connect(filled.superuser_url, autocommit=True) as connection:
        await connection.execute("UPDATE payments SET created_at = %s WHERE id IN ('pay_1', 'pay_2', 'pay_3')", [BEGIN])
    page, more = await PaymentReads(pool).payments(
        "default", PaymentFilter(created_before=BEGIN + timedelta(seconds=1)), 2
    )
    assert more
    last = page[-1].payment
    rest, more = await PaymentReads(pool).payments("default", PaymentFilter(), 2, (last.created_at, last.id))
    assert not more
    assert [stored.payment.id for stored in page + rest] == ["pay_3", "pay_2", "pay_1"]
