"""Reading back: balances, statements by page, entries, holds; each along an index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from domain.ledger.accounts import Account, Balances, NormalSide
from domain.ledger.entries import JournalEntry, LedgerResult, TransferKind, capture, hold, post, void
from domain.ledger.records import BookedTransfer, HoldStanding, HoldState
from infra.postgres import ledger as ledger_module
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_verify import verify
from infra.postgres.ledger_wire import to_json
from tests.support.database import Database

R = LedgerResult


async def test_an_entry_is_read_back_as_it_was_booked(wallets: PostgresLedger) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    await wallets.apply(
        [
            JournalEntry(
                "default",
                "e",
                (hold("h", "alice", "bob", 30, "USD", soon), capture("c", "h", 10, final=False), void("v", "h")),
                "pay_1",
                "first and last",
            )
        ]
    )
    entry = await wallets.entry("default", "e")
    assert entry is not None
    assert (entry.tenant_id, entry.key, entry.payment_id, entry.description) == (
        "default",
        "e",
        "pay_1",
        "first and last",
    )
    assert len(entry.content_digest) == 32
    assert abs(entry.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    seen = [
        (t.key, t.kind, t.debit, t.credit, t.currency, t.amount_minor, t.released_minor, t.hold, t.expires_at)
        for t in entry.transfers
    ]
    assert seen == [
        ("h", TransferKind.HOLD, "alice", "bob", "USD", 30, 0, None, soon),
        ("c", TransferKind.CAPTURE, "alice", "bob", "USD", 10, 0, "h", None),
        ("v", TransferKind.VOID, "alice", "bob", "USD", 0, 20, "h", None),
    ]
    assert await wallets.entry("default", "none") is None
    assert await wallets.entry("other", "e") is None


async def test_the_entries_of_a_payment_come_in_order_with_all_their_transfers(wallets: PostgresLedger) -> None:
    await wallets.apply(
        [
            JournalEntry(
                "default", f"e{n}", tuple(post(f"t{n}-{i}", "bank", "bob", 1, "USD") for i in range(n)), "pay_1"
            )
            for n in (3, 1, 2)
        ]
    )
    entries = await wallets.entries_of_payment("default", "pay_1")
    assert [(entry.key, len(entry.transfers)) for entry in entries] == [("e3", 3), ("e1", 1), ("e2", 2)]
    assert [entry.key for entry in await wallets.entries_of_payment("default", "pay_1", limit=2)] == ["e3", "e1"]
    assert await wallets.entries_of_payment("default", "pay_2") == []


async def test_a_statement_is_read_page_by_page_in_either_direction(wallets: PostgresLedger) -> None:
    await wallets.apply(
        [
            JournalEntry(
                "default", f"e{n}", (post(f"t{n}", *(("bank", "bob") if n % 3 else ("bob", "bank")), 1, "USD"),)
            )
            for n in range(1, 26)
        ]
    )
    booked = await read_all(wallets, "bob", newest_first=False)
    assert [t.key for t in booked] == [f"t{n}" for n in range(1, 26)]
    assert [t.id for t in booked] == sorted(t.id for t in booked)
    assert [t.key for t in await read_all(wallets, "bob", newest_first=True)] == [t.key for t in reversed(booked)]
    assert (await wallets.statement("default", "nobody")).transfers == ()
    assert (await wallets.statement("other", "bob")).transfers == ()


async def read_all(ledger: PostgresLedger, account: str, *, newest_first: bool) -> list[BookedTransfer]:
    found: list[BookedTransfer] = []
    page = await ledger.statement("default", account, limit=7, newest_first=newest_first)
    while True:
        found += page.transfers
        if page.next_cursor is None:
            return found
        assert len(page.transfers) == 7
        page = await ledger.statement("default", account, page.next_cursor, 7, newest_first=newest_first)


async def test_a_reader_that_follows_a_statement_misses_nothing_written_meanwhile(ledger: PostgresLedger) -> None:
    names = [f"w{n}" for n in range(6)]
    await ledger.open_accounts([Account("default", n, "USD", NormalSide.CREDIT, may_go_negative=True) for n in names])

    async def writer(number: int) -> None:
        for n in range(40):
            line = post(f"t{number}-{n}", names[number], "w0", 1, "USD")
            await ledger.apply([JournalEntry("default", f"e{number}-{n}", (line,))])

    async def reader() -> list[str]:
        seen: list[str] = []
        cursor = 0
        while len(seen) < 200:
            page = await ledger.statement("default", "w0", cursor, 13)
            seen += [t.key for t in page.transfers]
            cursor = page.transfers[-1].id if page.transfers else cursor
        return seen

    async with asyncio.timeout(60):
        seen, *_ = await asyncio.gather(reader(), *(writer(number) for number in range(1, 6)))
    assert len(seen) == len(set(seen)) == 200


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_pages_are_bounded(ledger: PostgresLedger, limit: int) -> None:
    with pytest.raises(ValueError, match="page"):
        await ledger.statement("default", "x", limit=limit)
    with pytest.raises(ValueError, match="page"):
        await ledger.entries_of_payment("default", "x", limit=limit)
    with pytest.raises(ValueError, match="sweep"):
        await ledger.expire_due(10_001 if limit > 0 else limit)


async def test_unknown_accounts_have_no_balance_and_no_hold(wallets: PostgresLedger) -> None:
    assert await wallets.balances("default", ["nobody", "bob"]) == {"bob": Balances()}
    assert await wallets.balances("default", []) == {}
    assert await wallets.hold("default", "none") is None
    assert await wallets.hold("default", "fund") is None


async def test_a_due_hold_stops_counting_before_it_is_swept_and_leaves_a_trace(
    wallets: PostgresLedger, database: Database
) -> None:
    """At a time in the future, which only the owner may name."""
    now = datetime.now(UTC)
    later = now + timedelta(hours=2)
    due = JournalEntry("default", "e", (hold("h", "alice", "bob", 100, "USD", now + timedelta(hours=1)),), "pay_1")
    assert (await wallets.apply([due]))[0].result is R.CREATED
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        sums = "SELECT debits_pending, credits_pending FROM ledger_read_balances('default', '{alice,bob}', %s) ORDER BY account"
        assert owner.execute(sums, [now]).fetchall() == [(100, 0), (0, 100)]
        assert owner.execute(sums, [later]).fetchall() == [(0, 0), (0, 0)]
        spend = JournalEntry("default", "s", (post("s", "alice", "bob", 100, "USD"),))
        settle = JournalEntry("default", "c", (capture("c", "h"),))
        answer = owner.execute("SELECT result FROM ledger_apply_at(%s::jsonb, %s)", [to_json([settle, spend]), later])
        assert answer.fetchall() == [("pending_transfer_expired",), ("created",)]
        assert owner.execute("SELECT ledger_expire_due_at(10, %s)", [later]).fetchone() == (0,)
        assert verify(owner) == []
    assert await wallets.hold("default", "h") == HoldStanding("h", HoldState.EXPIRED, 0, now + timedelta(hours=1))
    assert [entry.key for entry in await wallets.entries_of_payment("default", "pay_1")] == ["e", "expire:h"]
    released = await wallets.entry("default", "expire:h")
    assert released is not None
    assert [(t.kind, t.hold, t.released_minor) for t in released.transfers] == [(TransferKind.EXPIRE, "h", 100)]


async def test_the_sweeper_releases_what_is_due_oldest_first_and_no_more_than_its_limit(
    wallets: PostgresLedger, database: Database
) -> None:
    now = datetime.now(UTC)
    holds = [
        JournalEntry("default", f"e{n}", (hold(f"h{n}", "bank", "bob", 1, "USD", now + timedelta(hours=9 - n)),))
        for n in range(8)
    ]
    await wallets.apply(holds)
    assert await wallets.expire_due(5) == 0
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        for limit, released in ((3, 3), (3, 2), (3, 0)):
            answer = owner.execute("SELECT ledger_expire_due_at(%s, %s)", [limit, now + timedelta(hours=6)])
            assert answer.fetchone() == (released,)
        rows = owner.execute("SELECT key FROM ledger_transfers WHERE kind = 'expire' ORDER BY id").fetchall()
        assert [key for (key,) in rows] == [f"expire:h{n}" for n in (7, 6, 5, 4, 3)]
        assert verify(owner) == []


@pytest.fixture
async def crowded(ledger: PostgresLedger, database: Database) -> AsyncIterator[psycopg.Connection[Any]]:
    """A connection to a ledger with enough rows for a plan to matter."""
    names = [f"w{n}" for n in range(300)]
    await ledger.open_accounts([Account("default", n, "USD", NormalSide.CREDIT, may_go_negative=True) for n in names])
    for batch in range(4):
        await ledger.apply(
            [
                JournalEntry(
                    "default", f"e{batch}-{n}", (post(f"t{batch}-{n}", names[n % 300], names[(n + 1) % 300], 1, "USD"),),
                    f"pay_{n % 50}",
                )
                for n in range(1500)
            ]
        )  # fmt: skip
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        yield connection


async def test_every_read_runs_along_an_index(crowded: psycopg.Connection[Any]) -> None:
    page = {"tenant": "default", "account": "w7", "after": 0, "limit": 20}
    reads: list[tuple[str, Any]] = [
        (ledger_module._STATEMENT[False], page),
        (ledger_module._STATEMENT[True], {**page, "after": 2**62}),
        (ledger_module._ENTRIES["key"], {"tenant": "default", "value": "e1-7", "limit": 1}),
        (ledger_module._ENTRIES["payment_id"], {"tenant": "default", "value": "pay_7", "limit": 20}),
        (ledger_module._HOLD, ["default", "t1-7"]),
        (ledger_module._BALANCES, ["default", ["w7", "w8"]]),
    ]
    for query, parameters in reads:
        assert not scanned(crowded, query, parameters) & {"ledger_transfers", "ledger_entries"}, query
    # The accounts of this test fit a page or two; what is asked here is whether an index would do for any number.
    crowded.execute("SET enable_seqscan = off")
    for query, parameters in reads:
        assert not scanned(crowded, query, parameters), query


def scanned(connection: psycopg.Connection[Any], query: str, parameters: Any) -> set[str]:
    """The tables that a query reads from end to end."""
    (plan,) = connection.execute(f"EXPLAIN (FORMAT JSON) {query}", parameters).fetchone() or ()
    return {node["Relation Name"] for node in walk(plan[0]["Plan"]) if node["Node Type"] == "Seq Scan"}


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(below for child in node.get("Plans", []) for below in walk(child))]


async def test_a_batch_reads_no_table_from_end_to_end(crowded: psycopg.Connection[Any]) -> None:
    """Also with plans that were made while the ledger was empty: see 03_effects.sql."""
    batch = [JournalEntry("default", f"new-{n}", (hold(f"new-{n}", "w1", f"w{n + 2}", 5, "USD"),)) for n in range(50)]
    batch += [JournalEntry("default", f"next-{n}", (capture(f"next-{n}", f"new-{n}", 3),)) for n in range(50)]
    before = statistics(crowded)
    crowded.execute("SELECT * FROM ledger_apply(%s::jsonb)", [to_json(batch)])
    after = statistics(crowded)
    assert after[0] == before[0], "a table was read from end to end"
    assert after[1] - before[1] < 100 * 30, "more index entries were read than so few transfers need"


def statistics(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Sequential scans, and index entries read, over all tables of the ledger."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT pg_stat_clear_snapshot()")
    (scans,) = connection.execute(
        r"SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname LIKE 'ledger\_%'", prepare=False
    ).fetchone() or (0,)
    (read,) = connection.execute(
        r"SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname LIKE 'ledger\_%'"
    ).fetchone() or (0,)
    return int(scans), int(read)
