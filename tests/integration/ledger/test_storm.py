"""Everything at once: mixed batches of many callers, sent again and out of order, holds that expire, sweepers, an import."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import psycopg

from domain.ledger.accounts import Account, NormalSide
from domain.ledger.entries import JournalEntry, LedgerResult, Transfer, capture, hold, post, void
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_import import import_entries
from infra.postgres.ledger_verify import verify
from tests.support.database import Database, app_pool

CALLERS = 16
BATCHES = 12
ACCOUNTS = ["bank", *(f"wallet-{n}" for n in range(8)), *(f"till-{n}" for n in range(3))]
SIZES = (1, 3, 20, 60)
EXPIRIES_S = (None, 0.05, 0.3, 60.0)
SEED_OF_IMPORT = 1_000


class Storm:
    """Makes entries that meet on few accounts and name each other's holds, and remembers which were answered `created`."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self.created: list[str] = []
        self._ledger = ledger
        self._sent: list[JournalEntry] = []
        self._holds = ["none"]
        self._next = 0

    async def call(self, seed: int) -> None:
        """Send batches, every other one out of order, and some of them twice."""
        dice = random.Random(seed)
        for _ in range(BATCHES):
            batch = [self.entry(dice) for _ in range(dice.choice(SIZES))]
            if dice.random() < 0.5:
                dice.shuffle(batch)
            for _ in range(dice.choice((1, 1, 2))):
                outcomes = await self._ledger.apply(batch)
                self.note(batch, [outcome.result for outcome in outcomes])

    def note(self, entries: list[JournalEntry], results: list[LedgerResult]) -> None:
        """Remember what was created."""
        pairs = zip(entries, results, strict=True)
        self.created += [entry.key for entry, result in pairs if result is LedgerResult.CREATED]

    def entry(self, dice: random.Random) -> JournalEntry:
        """A new entry, or one sent before, or another content under a key sent before."""
        if self._sent and dice.random() < 0.15:
            old = dice.choice(self._sent[-300:])
            return old if dice.random() < 0.7 else JournalEntry("default", old.key, old.transfers, "pay_other")
        transfers = tuple(self._transfer(dice) for _ in range(dice.choice((1, 1, 1, 2, 5))))
        self._sent.append(JournalEntry("default", f"entry-{transfers[0].key}", transfers))
        return self._sent[-1]

    def _transfer(self, dice: random.Random) -> Transfer:
        self._next += 1
        key = f"t{self._next}"
        debit, credit = dice.sample(ACCOUNTS, 2)
        match dice.choice(("post", "post", "hold", "capture", "void")):
            case "post":
                return post(key, debit, credit, dice.randrange(1, 400), "USD")
            case "hold":
                self._holds.append(key)
                seconds = dice.choice(EXPIRIES_S)
                expires_at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
                return hold(key, debit, credit, dice.randrange(1, 300), "USD", expires_at)
            case "capture":
                amount = dice.choice((None, 0, 1, 50, 200))
                return capture(key, dice.choice(self._holds[-100:]), amount, final=dice.random() < 0.6)
            case _:
                return void(key, dice.choice(self._holds[-100:]))


async def _open(ledger: PostgresLedger) -> None:
    await ledger.open_accounts(
        [
            Account("default", "bank", "USD", NormalSide.DEBIT, may_go_negative=True),
            *(Account("default", name, "USD", NormalSide.CREDIT) for name in ACCOUNTS if name.startswith("wallet")),
            *(Account("default", name, "USD", NormalSide.DEBIT) for name in ACCOUNTS if name.startswith("till")),
        ]
    )
    funding = [(f"fund-{name}", name) for name in ACCOUNTS if name.startswith("wallet")]
    await ledger.apply(
        [JournalEntry("default", key, (post(key, "bank", name, 1_000, "USD"),)) for key, name in funding]
    )


async def test_nothing_deadlocks_or_fails_and_what_was_answered_created_is_booked_once(database: Database) -> None:
    async with app_pool(database, CALLERS + 4) as pool:
        ledger = PostgresLedger(pool)
        await _open(ledger)
        storm, over = Storm(ledger), asyncio.Event()

        async def sweep() -> None:
            while not over.is_set():
                await ledger.expire_due(20)
                await asyncio.sleep(0.01)

        async def load() -> None:
            dice = random.Random(SEED_OF_IMPORT)
            entries = [storm.entry(dice) for _ in range(400)]
            storm.note(entries, [outcome.result async for outcome in import_entries(pool, entries, 100)])

        async with asyncio.TaskGroup() as sweepers:
            for _ in range(2):
                sweepers.create_task(sweep())
            async with asyncio.TaskGroup() as callers:
                for seed in range(CALLERS):
                    callers.create_task(storm.call(seed))
                callers.create_task(load())
            over.set()

    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        booked = owner.execute("SELECT key FROM ledger_entries WHERE key NOT LIKE 'expire:%' AND key NOT LIKE 'fund-%'")
        assert sorted(storm.created) == sorted(key for (key,) in booked)
        assert len(storm.created) > CALLERS * BATCHES
        assert verify(owner) == []
