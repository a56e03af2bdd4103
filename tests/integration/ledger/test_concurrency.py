"""Many writers at once: nothing is lost, nothing is booked twice, nobody deadlocks, and a crash leaves nothing half done."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors

from domain.ledger.accounts import Account, Balances, NormalSide
from domain.ledger.entries import EntryOutcome, JournalEntry, LedgerResult, capture, hold, post, void
from infra.postgres.group_commit import GroupCommit
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_verify import verify
from infra.postgres.ledger_wire import to_json
from infra.postgres.pool import Pool
from tests.support.database import Database, app_pool

R = LedgerResult
POLL_S = 0.01
WAIT_S = 30.0


def entry(key: str, debit: str, credit: str, amount: int = 1) -> JournalEntry:
    return JournalEntry("default", key, (post(f"{key}:t", debit, credit, amount, "USD"),))


@pytest.fixture
async def open_wallets(ledger: PostgresLedger) -> PostgresLedger:
    """Twenty wallets without limits, w0 to w19."""
    await ledger.open_accounts(
        [Account("default", f"w{n}", "USD", NormalSide.CREDIT, may_go_negative=True) for n in range(20)]
    )
    return ledger


def proved(database: Database) -> bool:
    """Whether the books prove themselves, as the owner sees them."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        return verify(connection) == []


async def test_ten_thousand_transfers_onto_one_account_by_many_callers_lose_nothing(
    open_wallets: PostgresLedger, database: Database
) -> None:
    entries = [entry(f"e{n}", f"w{1 + n % 19}", "w0", n % 7 + 1) for n in range(10_000)]
    async with GroupCommit(open_wallets.apply, max_queue=10_000) as group:
        outcomes = await asyncio.gather(*(group.submit(one) for one in entries))
    assert set(outcomes) == {EntryOutcome(R.CREATED)}
    balances = await open_wallets.balances("default", ["w0"])
    assert balances["w0"].credits_posted == sum(n % 7 + 1 for n in range(10_000))
    assert proved(database)


async def test_twenty_connections_on_one_hot_account_lose_nothing_and_do_not_deadlock(
    open_wallets: PostgresLedger, database: Database
) -> None:
    async def caller(number: int) -> list[EntryOutcome]:
        outcomes: list[EntryOutcome] = []
        for n in range(25):
            outcomes += await open_wallets.apply(
                [entry(f"c{number}-{n}", f"w{number}", "w0"), entry(f"d{number}-{n}", "w0", f"w{number}")]
            )
        return outcomes

    results = await asyncio.gather(*(caller(number) for number in range(1, 20)))
    assert {outcome for outcomes in results for outcome in outcomes} == {EntryOutcome(R.CREATED)}
    assert (await open_wallets.balances("default", ["w0"]))["w0"] == Balances(
        debits_posted=19 * 25, credits_posted=19 * 25
    )
    assert proved(database)


async def test_batches_over_the_same_accounts_in_opposite_orders_do_not_deadlock(
    open_wallets: PostgresLedger, database: Database
) -> None:
    forward = [(f"w{n}", f"w{n + 1}") for n in range(19)]

    async def caller(number: int) -> list[EntryOutcome]:
        pairs = forward if number % 2 else [(credit, debit) for debit, credit in reversed(forward)]
        outcomes: list[EntryOutcome] = []
        for n in range(20):
            outcomes += await open_wallets.apply(
                [entry(f"c{number}-{n}-{i}", debit, credit) for i, (debit, credit) in enumerate(pairs)]
            )
        return outcomes

    results = await asyncio.gather(*(caller(number) for number in range(10)))
    assert {outcome for outcomes in results for outcome in outcomes} == {EntryOutcome(R.CREATED)}
    assert proved(database)


async def test_equal_batches_sent_at_once_are_booked_once_in_whatever_order(
    open_wallets: PostgresLedger, database: Database
) -> None:
    entries = [entry(f"e{n}", f"w{n % 20}", f"w{(n + 1) % 20}") for n in range(100)]

    async def caller(number: int) -> dict[str, EntryOutcome]:
        mine = random.Random(number).sample(entries, len(entries))
        return dict(zip((one.key for one in mine), await open_wallets.apply(mine), strict=True))

    answers = await asyncio.gather(*(caller(number) for number in range(10)))
    for one in entries:
        results = sorted(answer[one.key].result for answer in answers)
        assert results == [R.CREATED] + [R.EXISTS] * 9
    assert proved(database)


async def test_the_same_keys_for_different_accounts_at_once_make_one_winner_each(
    open_wallets: PostgresLedger, database: Database
) -> None:
    """No account stands between these batches, so they are long, and meet at their keys alone."""

    async def caller(number: int, round_: int) -> list[LedgerResult]:
        keys = [f"e{round_}-{n}" for n in range(1_000)]
        random.Random(number).shuffle(keys)
        batch = [entry(key, f"w{2 * number}", f"w{2 * number + 1}") for key in keys]
        return [outcome.result for outcome in await open_wallets.apply(batch)]

    for round_ in range(4):
        answers = await asyncio.gather(*(caller(number, round_) for number in range(10)))
        results = [result for results in answers for result in results]
        assert results.count(R.CREATED) == 1_000
        assert results.count(R.EXISTS_WITH_DIFFERENT_CONTENT) == 9_000
    assert proved(database)


async def test_a_wallet_is_never_overdrawn_by_callers_that_race(wallets: PostgresLedger, database: Database) -> None:
    async def caller(number: int) -> LedgerResult:
        (outcome,) = await wallets.apply([entry(f"e{number}", "alice", "bob", 7)])
        return outcome.result

    results = await asyncio.gather(*map(caller, range(40)))
    assert results.count(R.CREATED) == 100 // 7
    assert results.count(R.EXCEEDS_CREDITS) == 40 - 100 // 7
    assert (await wallets.balances("default", ["alice"]))["alice"].debits_posted == 98
    assert proved(database)


async def test_a_hold_is_settled_once_by_callers_that_race(wallets: PostgresLedger, database: Database) -> None:
    await wallets.apply([JournalEntry("default", "h", (hold("h", "alice", "bob", 50, "USD"),))])

    async def caller(number: int) -> LedgerResult:
        settle = capture(f"s{number}", "h") if number % 2 else void(f"s{number}", "h")
        (outcome,) = await wallets.apply([JournalEntry("default", f"e{number}", (settle,))])
        return outcome.result

    results = await asyncio.gather(*map(caller, range(30)))
    assert results.count(R.CREATED) == 1
    assert len(set(results) - {R.CREATED}) == 1
    assert proved(database)


async def test_sweepers_and_writers_at_once_release_each_hold_once(wallets: PostgresLedger, database: Database) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    holds = [JournalEntry("default", f"h{n}", (hold(f"h{n}", "alice", "bob", 1, "USD", soon),)) for n in range(100)]
    assert {o.result for o in await wallets.apply(holds)} == {R.CREATED}
    assert (await wallets.apply([entry("early", "alice", "bob")]))[0].result is R.EXCEEDS_CREDITS
    while datetime.now(UTC) < soon:
        await asyncio.sleep(POLL_S)
    released, written = await asyncio.gather(
        asyncio.gather(*(wallets.expire_due(10) for _ in range(12))),
        asyncio.gather(*(wallets.apply([entry(f"e{n}", "alice", "bob", 5)]) for n in range(20))),
    )
    assert sum(released) <= 100
    assert [outcome.result for (outcome,) in written] == [R.CREATED] * 20
    page = await wallets.statement("default", "alice", limit=1000)
    assert sorted(t.hold for t in page.transfers if t.kind == "expire") == sorted(f"h{n}" for n in range(100))
    assert await wallets.balances("default", ["alice"]) == {"alice": Balances(debits_posted=100, credits_posted=100)}
    assert proved(database)


async def _wait_for_lock(connection: psycopg.AsyncConnection[Any], pid: int) -> None:
    """Wait until the backend `pid` waits for somebody's lock."""
    async with asyncio.timeout(WAIT_S):
        while True:
            cursor = await connection.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid])
            if await cursor.fetchone() == (True,):
                return
            await asyncio.sleep(POLL_S)


async def test_a_backend_killed_in_the_middle_leaves_nothing_and_blocks_nobody(
    wallets: PostgresLedger, database: Database
) -> None:
    batch = [entry("e1", "alice", "carol", 10), entry("e2", "bank", "bob", 10)]
    async with (
        await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as boss,
        await psycopg.AsyncConnection.connect(database.owner_url) as blocker,
        await psycopg.AsyncConnection.connect(database.app_url, autocommit=True) as victim,
    ):
        # Of the four accounts `carol` has the highest id: the victim has locked the others when it waits for hers.
        await blocker.execute(
            """SELECT FROM ledger_balances WHERE account_id =
               (SELECT id FROM ledger_accounts WHERE public_id = 'carol') FOR UPDATE"""
        )
        call = asyncio.create_task(_apply(victim, batch))
        await _wait_for_lock(boss, victim.info.backend_pid)
        await boss.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            await call
        await blocker.rollback()
    assert await wallets.entry("default", "e1") is None
    assert await wallets.balances("default", ["alice"]) == {"alice": Balances(credits_posted=100)}
    assert [o.result for o in await wallets.apply(batch)] == [R.CREATED, R.CREATED]
    assert proved(database)


async def _apply(connection: psycopg.AsyncConnection[Any], batch: list[JournalEntry]) -> None:
    await connection.execute("SELECT * FROM ledger_apply(%s::jsonb)", [to_json(batch)])


async def test_a_lock_that_is_never_released_ends_in_an_error_and_not_in_waiting(
    database: Database, wallets: PostgresLedger
) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database.owner_url) as blocker,
        app_pool(database, 1) as pool,
    ):
        await blocker.execute("SELECT FROM ledger_balances FOR UPDATE")
        async with pool.connection() as connection:
            await connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(errors.LockNotAvailable):
            await PostgresLedger(pool).apply([entry("e", "alice", "bob")])
    assert await wallets.apply([entry("e", "alice", "bob")]) == [EntryOutcome(R.CREATED)]


async def test_a_transaction_around_a_batch_undoes_it_as_a_whole(wallets: PostgresLedger, pool: Pool) -> None:
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        await _apply(connection, [entry("e", "alice", "bob")])
        cursor = await connection.execute("SELECT credits_posted FROM ledger_read_balances('default', '{bob}')")
        assert await cursor.fetchone() == (1,)
    assert await wallets.entry("default", "e") is None
    assert await wallets.balances("default", ["bob"]) == {"bob": Balances()}
