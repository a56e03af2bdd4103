"""Closing an account only when it is empty, also against postings at the same moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from domain.ledger.accounts import AccountResult
from domain.ledger.entries import JournalEntry, LedgerResult, hold, post, void
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_wire import to_json
from tests.integration.ledger.conftest import Book1
from tests.support.database import Database

R = LedgerResult


async def test_an_account_with_a_balance_or_a_live_hold_is_not_closed_when_only_an_empty_one_may_be(
    wallets: PostgresLedger, book: Book1
) -> None:
    async def close(account: str) -> AccountResult:
        return await wallets.close_account("default", account, only_if_empty=True)

    await book(hold("h", "alice", "bob", 10, "USD"))
    assert [await close(name) for name in ("alice", "bob", "bank")] == [AccountResult.ACCOUNT_NOT_EMPTY] * 3
    await book(void("v", "h"))
    assert [await close(name) for name in ("alice", "bob", "nobody")] == [
        AccountResult.ACCOUNT_NOT_EMPTY,
        AccountResult.CLOSED,
        AccountResult.ACCOUNT_NOT_FOUND,
    ]
    await book(post("p", "alice", "carol", 100, "USD"))
    assert [await close("alice"), await close("alice")] == [AccountResult.CLOSED, AccountResult.ALREADY_CLOSED]
    assert await wallets.close_account("default", "carol") is AccountResult.CLOSED
    assert await close("carol") is AccountResult.ALREADY_CLOSED


async def test_a_hold_past_its_time_keeps_no_account_open(wallets: PostgresLedger, book: Book1) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    assert (await book(hold("h", "alice", "bob", 10, "USD", soon))).result is R.CREATED
    async with asyncio.timeout(10):
        while await wallets.close_account("default", "bob", only_if_empty=True) is AccountResult.ACCOUNT_NOT_EMPTY:
            await asyncio.sleep(0.05)
    assert datetime.now(UTC) >= soon


async def test_a_posting_under_way_decides_whether_an_account_is_empty(
    wallets: PostgresLedger, database: Database
) -> None:
    """The close waits for the posting's end and then sees it; a posting that comes after a close is refused."""
    entry_of_one = to_json([_one_cent("p")])
    async with await psycopg.AsyncConnection.connect(database.owner_url) as posting:
        await posting.execute("SELECT * FROM ledger_apply(%s::jsonb)", [entry_of_one])
        closing = asyncio.create_task(wallets.close_account("default", "bob", only_if_empty=True))
        async with asyncio.timeout(10):
            while not await _somebody_waits_for_a_lock(database):
                await asyncio.sleep(0.02)
        assert not closing.done()
        await posting.commit()
        assert await closing is AccountResult.ACCOUNT_NOT_EMPTY


@pytest.mark.parametrize("attempt", range(10))
async def test_no_account_is_closed_with_money_in_it_by_a_race(wallets: PostgresLedger, attempt: int) -> None:
    postings = [wallets.apply([_one_cent(f"p{n}")]) for n in range(4)]
    calls = [*postings, wallets.close_account("default", "bob", only_if_empty=True)]
    answers = await asyncio.gather(*calls[attempt % 5 :], *calls[: attempt % 5])
    money = (await wallets.balances("default", ["bob"]))["bob"].credits_posted
    (probe,) = await wallets.apply([_one_cent("probe")])
    is_closed = probe.result is R.CREDIT_ACCOUNT_CLOSED
    assert is_closed == (money == 0), answers


async def _somebody_waits_for_a_lock(database: Database) -> bool:
    async with await psycopg.AsyncConnection.connect(database.owner_url) as watching:
        cursor = await watching.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        (waiting,) = await cursor.fetchone() or (0,)
        return bool(waiting)


def _one_cent(key: str) -> JournalEntry:
    return JournalEntry("default", f"only-{key}", (post(key, "alice", "bob", 1, "USD"),))
