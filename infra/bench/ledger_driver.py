"""`python -m infra.bench.ledger_driver`: posts transfers to one ledger, one by one, sharing commits, or in batches.

Invariant: it uses the ledger as a worker does (the same adapter, the same group commit, the application's role), and a transfer
counts as done only when the ledger answered that it is created.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import uvloop

from domain.ledger.accounts import Account, AccountResult, NormalSide
from domain.ledger.entries import EntryOutcome, JournalEntry, LedgerResult, post
from infra.bench.control import serve_commands
from infra.bench.loops import DONE, Operation, Pace, run_load
from infra.postgres.group_commit import GroupCommit
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_import import import_entries
from infra.postgres.pool import Pool, open_pool
from infra.settings import Settings, get_settings

TENANT, CURRENCY = "default", "USD"
CAPITAL, HOT = "capital", "hot"
ACCOUNTS = 10_000
OPEN_AT_ONCE = 1_000
FUNDING_MINOR = 10**10
BATCH = 500
"""Transfers of one call, where they are batched."""

POOL_SIZE = 16
SEED = 20_260_801


class LedgerLoad:
    """Carries out the commands `fill` and `run` on the ledger of the settings."""

    def __init__(self, pool: Pool, group: GroupCommit[JournalEntry, EntryOutcome]) -> None:
        self._pool = pool
        self._ledger = PostgresLedger(pool)
        self._group = group
        self._random = random.Random(SEED)  # noqa: S311 - which account pays is no secret
        self._run = uuid4().hex[:12]

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command."""
        match command["do"]:
            case "fill":
                return {"rows": await self._fill(command["rows"])}
            case "run":
                operation, size = self._operations()[command["kind"]]
                result = await run_load(operation, Pace(**command["pace"]), command["first"])
                return _per_transfer(result, size)
        raise ValueError(f"unknown command {command['do']!r}")

    def _operations(self) -> dict[str, tuple[Operation, int]]:
        """Return each kind of posting, and how many transfers one operation posts."""
        return {
            "single": (self._post_alone, 1),
            "shared": (self._post_shared, 1),
            "batched": (lambda number: self._post_batch(number, None), BATCH),
            "hot": (lambda number: self._post_batch(number, HOT), BATCH),
        }

    async def _post_alone(self, number: int) -> str:
        return _judge(await self._ledger.apply([self._entry(f"single-{number}", None)]))

    async def _post_shared(self, number: int) -> str:
        return _judge([await self._group.submit(self._entry(f"shared-{number}", None))])

    async def _post_batch(self, number: int, payee: str | None) -> str:
        kind = payee or "random"
        return _judge(await self._ledger.apply([self._entry(f"{kind}-{number}-{i}", payee) for i in range(BATCH)]))

    def _entry(self, name: str, payee: str | None) -> JournalEntry:
        payer = self._random.randrange(ACCOUNTS)
        credited = payee or _account((payer + 1 + self._random.randrange(ACCOUNTS - 1)) % ACCOUNTS)
        key = f"{self._run}:{name}"
        return JournalEntry(TENANT, key, (post(key, _account(payer), credited, 1 + payer % 100, CURRENCY),))

    async def _fill(self, rows: int) -> int:
        """Open and fund the accounts (a row each), and add transfers until there are `rows`."""
        if rows < ACCOUNTS:
            raise ValueError(f"at least {ACCOUNTS} rows, one for each account's funding")
        await self._open_accounts()
        funding = (
            JournalEntry(TENANT, f"fund:{n}", (post(f"fund:{n}", CAPITAL, _account(n), FUNDING_MINOR, CURRENCY),))
            for n in range(ACCOUNTS)
        )
        booked = 0
        for entries in (funding, self._filling(rows - ACCOUNTS)):
            async for outcome in import_entries(self._pool, entries):
                if outcome.result is not LedgerResult.CREATED:
                    raise ValueError(f"the ledger answered {outcome.result} to a filling entry")
                booked += 1
        async with self._pool.connection() as connection:
            await connection.execute("SELECT 1")
        return booked

    def _filling(self, count: int) -> Iterator[JournalEntry]:
        return (self._entry(f"fill-{number}", None) for number in range(count))

    async def _open_accounts(self) -> None:
        accounts = [
            Account(TENANT, CAPITAL, CURRENCY, NormalSide.DEBIT, CAPITAL, may_go_negative=True),
            Account(TENANT, HOT, CURRENCY, NormalSide.CREDIT),
            *(Account(TENANT, _account(number), CURRENCY, NormalSide.CREDIT) for number in range(ACCOUNTS)),
        ]
        for first in range(0, len(accounts), OPEN_AT_ONCE):
            results = await self._ledger.open_accounts(accounts[first : first + OPEN_AT_ONCE])
            if set(results) != {AccountResult.CREATED}:
                raise ValueError(f"the ledger answered {sorted(set(results))} to new accounts")


def _account(number: int) -> str:
    return f"account-{number}"


def _judge(outcomes: Sequence[EntryOutcome]) -> str:
    for outcome in outcomes:
        if outcome.result is not LedgerResult.CREATED:
            return str(outcome.result)
    return DONE


def _per_transfer(result: dict[str, Any], size: int) -> dict[str, Any]:
    """Count transfers instead of operations; a latency stays that of the call which carried them."""
    return {
        **result,
        "rate_per_s": result["rate_per_s"] * size,
        "outcomes": {outcome: count * size for outcome, count in result["outcomes"].items()},
        "operations": sum(result["outcomes"].values()),
    }


async def serve(port: int, settings: Settings) -> None:
    """Answer commands until SIGTERM."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings, "bench"))
        ledger = PostgresLedger(pool)
        group: GroupCommit[JournalEntry, EntryOutcome] = GroupCommit(ledger.apply)
        await stack.enter_async_context(group)
        await serve_commands(port, LedgerLoad(pool, group).handle)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench.ledger_driver")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=POOL_SIZE)
    arguments = parser.parse_args()
    size = arguments.connections
    settings = get_settings().model_copy(update={"database_pool_min": size, "database_pool_max": size})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments.port, settings))


if __name__ == "__main__":
    main()
