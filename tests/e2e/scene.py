"""A whole stack whose parts can be killed, and ways to hold a payment at a chosen moment while that happens.

Invariant: a moment is reached, not hoped for: the bank's faults tell that they struck, PostgreSQL tells who waits for a lock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from domain.ids import payment_id, refund_id
from infra.drill.books import PaymentBooks, disagreements, read_books
from infra.drill.caller import Answer, PatientCaller
from infra.local.stack import API, LocalStack
from infra.temporal_client import connect

TENANT = "default"
GOOD_CARD = "4242424242424242"
CURRENCY = "USD"
WORKER = "worker-1"
RUNNER = "whoever runs payments"
CONDITION_TIMEOUT_S = 45.0
POLL_INTERVAL_S = 0.02

_LOCK_ACCOUNT = """
SELECT b.account_id FROM ledger_balances b JOIN ledger_accounts a ON a.id = b.account_id
WHERE a.tenant_id = %s AND a.public_id = %s FOR UPDATE OF b
"""
_BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name IN ('clearhold worker', 'clearhold api worker') AND wait_event_type = 'Lock'
"""


async def until(what: str, holds: Callable[[], Awaitable[bool]], timeout_s: float = CONDITION_TIMEOUT_S) -> None:
    """Return when the condition holds; raises AssertionError after the bound."""
    deadline = time.monotonic() + timeout_s
    while not await holds():
        assert time.monotonic() < deadline, f"{what}: not so within {timeout_s:g} s"
        await asyncio.sleep(POLL_INTERVAL_S)


@dataclass
class Scene:
    """A running stack, a client that does not give up, and what both sides wrote."""

    stack: LocalStack
    caller: PatientCaller
    used: int = field(default=0)

    # Parts

    async def kill(self, victim: str) -> None:
        """SIGKILL a part; it is gone when this returns."""
        await asyncio.to_thread(self.stack.kill, self._name(victim))

    async def start(self, victim: str) -> None:
        """Start a killed part again and wait until it serves."""
        await asyncio.to_thread(self.stack.start_part, self._name(victim))

    def _name(self, victim: str) -> str:
        if victim != RUNNER:
            return victim
        return API if self.stack.settings().api_runs_payments else WORKER

    async def temporal(self) -> Client:
        """Connect to Temporal as it is now."""
        return await connect(self.stack.settings())

    # Moments

    async def arm(self, operation: str, kind: str, ids: Iterable[str], delay_s: float = 1.0) -> None:
        """Let one request of each of these payments go wrong at the bank."""
        for match in ids:
            fault = {"operation": operation, "kind": kind, "times": 1, "delay_s": delay_s, "match": match}
            await self.caller.bank_post("/admin/faults", fault)

    async def until_struck(self, ids: Sequence[str]) -> None:
        """Return when a fault struck each of these payments."""

        async def all_struck() -> bool:
            faults = (await self.caller.bank_get("/admin/faults"))["faults"]
            return {fault["match"] for fault in faults if fault["struck"]} >= set(ids)

        await until(f"a fault strikes {ids}", all_struck)

    @asynccontextmanager
    async def locked(self, account: str) -> AsyncIterator[None]:
        """Keep the ledger from booking on an account while the block runs, or until the database dies."""
        connection = await psycopg.AsyncConnection.connect(self.stack.postgres.superuser_url())
        try:
            assert await (await connection.execute(_LOCK_ACCOUNT, [TENANT, account])).fetchone()
            yield
        finally:
            await connection.close()

    async def until_blocked(self) -> None:
        """Return when a worker waits for a lock in the database."""
        async with await psycopg.AsyncConnection.connect(
            self.stack.postgres.superuser_url(), autocommit=True
        ) as connection:

            async def is_blocked() -> bool:
                row = await (await connection.execute(_BLOCKED)).fetchone()
                return row is not None and row[0] > 0

            await until("a worker waits for a lock", is_blocked)

    async def forget_keys(self) -> None:
        """Lose what the API remembers of its calls, as a database may that died within a moment of an answer."""
        async with await psycopg.AsyncConnection.connect(
            self.stack.postgres.superuser_url(), autocommit=True
        ) as connection:
            await connection.execute("DELETE FROM idempotency_keys")

    # Payments

    async def account(self) -> str:
        """Open an account that no other test uses."""
        self.used += 1
        account = f"shop-{self.used}"
        await self.caller.open_account(account, CURRENCY)
        return account

    def keys(self, count: int, what: str = "pay") -> list[str]:
        """Return idempotency keys that no other test uses."""
        self.used += 1
        return [f"{what}-{self.used}-{number}" for number in range(count)]

    async def orders(self, keys: Sequence[str], account: str, **changes: Any) -> dict[str, dict[str, Any]]:
        """Return the bodies of card payments by their keys."""
        token = await self.caller.token(GOOD_CARD)
        order = {"currency": CURRENCY, "account": account, "payment_method": {"type": "card", "token": token}}
        return {key: {"amount": 1000 + number, **order, **changes} for number, key in enumerate(keys)}

    async def pay(self, orders: dict[str, dict[str, Any]]) -> list[Answer]:
        """Make payments side by side, each until its answer stands."""
        return await asyncio.gather(*(self.caller.post("/v1/payments", body, key) for key, body in orders.items()))

    async def command(self, ids: Sequence[str], command: str, body: dict[str, Any] | None = None) -> list[Answer]:
        """Send a command, or a refund, to each payment, side by side, each until its answer stands."""
        return await asyncio.gather(
            *(self.caller.post(f"/v1/payments/{id_}/{command}", body or {}, f"{id_}-{command}") for id_ in ids)
        )

    async def books(self, ids: Sequence[str]) -> list[PaymentBooks]:
        """Read what each side wrote of these payments."""
        return await read_books(self.caller, self.stack.postgres.owner_url(), ids)

    # Proof

    async def prove(self, ids: Sequence[str], status: str) -> list[PaymentBooks]:
        """Assert that each payment ended so, that all sides agree on it, and that its workflow is done."""
        client = await self.temporal()
        for id_ in ids:
            handle = client.get_workflow_handle(id_)

            async def is_done(handle: WorkflowHandle[Any, Any] = handle) -> bool:
                return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

            await until(f"the workflow of {id_} is done", is_done)  # an answer may come before Temporal has its task
        books = await self.books(ids)
        assert [found.status for found in books] == [status] * len(ids), [
            (f.row, f.operations, f.statement) for f in books
        ]
        assert [sentence for found in books for sentence in disagreements(found)] == []
        read = await asyncio.gather(*(self.caller.get(f"/v1/payments/{id_}") for id_ in ids))
        for found, view in zip(books, read, strict=True):
            assert view["status"] == found.status
            assert view["amount_captured"] - view["amount_refunded"] == found.ledger_net_minor
        return books

    async def prove_answers_stand(self, keys: Iterable[str]) -> None:
        """Assert that each call, made once more, gets the answer it got."""
        for key in keys:
            _, first = self.caller.answered[key]
            again = await self.caller.ask_again(key)
            assert (again.status, again.body.get("id")) == (first.status, first.body.get("id")), again
            if again.replayed:
                assert again.body == first.body


def ids_of(keys: Iterable[str]) -> list[str]:
    """Return the ids of the payments that these keys make."""
    return [payment_id(TENANT, key) for key in keys]


def refund_ids_of(keys: Iterable[str]) -> list[str]:
    """Return the ids of the refunds that these keys make."""
    return [refund_id(TENANT, key) for key in keys]
