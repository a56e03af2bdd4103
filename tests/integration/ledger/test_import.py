"""Bulk import: the same rules, an outcome for every entry, and safe to run again."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from domain.ledger.accounts import Account, Balances, NormalSide
from domain.ledger.entries import EntryOutcome, JournalEntry, LedgerResult, capture, hold, post
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_import import import_entries
from infra.postgres.pool import Pool
from tests.support.database import Database

R = LedgerResult


def entry(number: int, amount: int = 1) -> JournalEntry:
    return JournalEntry("default", f"e{number}", (post(f"t{number}", "alice", "bob", amount, "USD"),), f"pay_{number}")


async def test_an_import_books_every_entry_and_can_be_run_again(wallets: PostgresLedger, pool: Pool) -> None:
    entries = [entry(number) for number in range(90)]
    first = [outcome async for outcome in import_entries(pool, iter(entries), chunk_entries=40)]
    assert first == [EntryOutcome(R.CREATED)] * 90
    again = [outcome async for outcome in import_entries(pool, entries, chunk_entries=40)]
    assert again == [EntryOutcome(R.EXISTS)] * 90
    assert await wallets.balances("default", ["bob"]) == {"bob": Balances(credits_posted=90)}


async def test_an_import_answers_each_bad_entry_and_books_the_others(wallets: PostgresLedger, pool: Pool) -> None:
    entries = [
        entry(1, 60),
        entry(2, 60),
        JournalEntry("default", "empty", ()),
        JournalEntry("default", "nul\x00", (post("n", "alice", "bob", 1, "USD"),)),
        JournalEntry("default", "h", (hold("h", "alice", "bob", 30, "USD"), capture("c", "h", 10))),
        entry(3, 10**30),
        entry(4, 30),
        entry(5),
        JournalEntry("default", "e1", (post("t1", "alice", "bob", 59, "USD"),), "pay_1"),
    ]
    outcomes = [outcome async for outcome in import_entries(pool, entries)]
    assert outcomes == [
        EntryOutcome(R.CREATED),
        EntryOutcome(R.EXCEEDS_CREDITS, "t2"),
        EntryOutcome(R.ENTRY_IS_EMPTY),
        EntryOutcome(R.ENTRY_IS_MALFORMED),
        EntryOutcome(R.CREATED),
        EntryOutcome(R.AMOUNT_TOO_LARGE, "t3"),
        EntryOutcome(R.CREATED),
        EntryOutcome(R.EXCEEDS_CREDITS, "t5"),
        EntryOutcome(R.EXISTS_WITH_DIFFERENT_CONTENT),
    ]


async def test_an_import_that_breaks_off_keeps_the_chunks_before_and_stages_nothing(
    wallets: PostgresLedger, pool: Pool, database: Database
) -> None:
    def entries() -> Iterator[JournalEntry]:
        yield from (entry(number) for number in range(5))
        raise ConnectionResetError("the source is gone")

    with pytest.raises(ConnectionResetError):
        async for _ in import_entries(pool, entries(), chunk_entries=2):
            pass
    assert await wallets.balances("default", ["bob"]) == {"bob": Balances(credits_posted=4)}
    with psycopg.connect(database.owner_url) as connection:
        assert connection.execute("SELECT count(*) FROM ledger_import_lines").fetchone() == (0,)
    outcomes = [o.result async for o in import_entries(pool, (entry(number) for number in range(5)))]
    assert outcomes == [R.EXISTS] * 4 + [R.CREATED]


async def test_the_chunks_of_an_import_are_bounded(wallets: PostgresLedger, pool: Pool) -> None:
    with pytest.raises(ValueError, match="at least one"):
        [o async for o in import_entries(pool, [entry(1)], chunk_entries=0)]
    huge = [JournalEntry("default", f"e{n}", (post("t", "alice", "bob", 1, "USD"),) * 1000) for n in range(101)]
    with pytest.raises(ValueError, match="smaller chunks"):
        [o async for o in import_entries(pool, huge)]
    assert await wallets.balances("default", ["bob"]) == {"bob": Balances()}


async def test_ten_thousand_entries_are_imported_with_their_sum(ledger: PostgresLedger, pool: Pool) -> None:
    names = [f"w{n}" for n in range(100)]
    await ledger.open_accounts([Account("default", n, "USD", NormalSide.CREDIT, may_go_negative=True) for n in names])
    entries = (
        JournalEntry("default", f"e{n}", (post(f"t{n}", names[n % 99], names[99], n + 1, "USD"),))
        for n in range(10_000)
    )
    results = [o.result async for o in import_entries(pool, entries)]
    assert results == [R.CREATED] * 10_000
    assert (await ledger.balances("default", ["w99"]))["w99"].credits_posted == 10_000 * 10_001 // 2
