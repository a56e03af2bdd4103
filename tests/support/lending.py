"""A lender that works through the API: the real application, database, Temporal and worker; providers in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from temporalio.worker import Worker

from domain.ledger.entries import JournalEntry, post
from infra.postgres.loan_accrual import PostgresLoanAccrual
from infra.postgres.loan_book import PostgresLoanBook
from infra.postgres.loan_clock import PostgresLoanClock
from infra.postgres.loan_proof import verify_loans
from infra.postgres.pool import open_pool
from tests.support.api_world import TENANT, ApiWorld, new_key
from tests.support.loan_world import FakeProviders
from workers.registry import LOAN_WORKFLOWS, loan_activities, sandbox

START = "2026-01-15"
Json = dict[str, Any]


@dataclass
class Lending:
    """The API's world, a lender with 100,000.00 USD, and short ways to drive a loan over HTTP."""

    world: ApiWorld
    providers: FakeProviders = field(default_factory=FakeProviders)
    _worker: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start_worker(self) -> None:
        """Serve loans in this process."""
        world = self.world
        pool = await self._worker.enter_async_context(open_pool(world.settings, "worker"))
        await self._worker.enter_async_context(
            Worker(
                world.temporal,
                task_queue=world.settings.loan_task_queue,
                workflows=LOAN_WORKFLOWS,
                activities=loan_activities(
                    PostgresLoanBook(pool),
                    self.providers,
                    self.providers,
                    PostgresLoanAccrual(pool),
                    PostgresLoanClock(pool, world.temporal),
                ),
                workflow_runner=sandbox(),
            )
        )

    async def stop_worker(self) -> None:
        """Let nobody serve loans."""
        await self._worker.aclose()

    # Calls

    def application(self, **changes: Any) -> Json:
        """1,200.00 USD at 12 % in 12 monthly instalments, collected from the borrower's wallet; a late fee of 15.00."""
        return {
            "applicant": {"customer": "cus_1", "name": "Sample Borrower"},
            "terms": {
                "principal": "1200.00",
                "currency": "USD",
                "annual_rate_percent": "12",
                "instalments": 12,
                "every": "1 month",
            },
            "funding_account": "lender",
            "payout_account": "borrower",
            "income": {"monthly_income": 500_000, "monthly_debt": 50_000},
            "mandate": {"type": "wallet", "account": "borrower"},
            "servicing": {"late_fee": {"amount": 1_500, "grace_days": 5}, "reminder_days": []},
        } | changes

    async def ask(self, path: str) -> Json:
        """GET what must be there."""
        answer = await self.world.get(path)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def tell(self, path: str, body: Json | None = None, *, actor: str | None = None) -> Json:
        """POST what must succeed."""
        answer = await self.post(path, body, actor=actor)
        assert answer.status_code in (200, 201), answer.text
        found: Json = answer.json()
        return found

    async def post(
        self,
        path: str,
        body: Json | None = None,
        *,
        actor: str | None = None,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """POST as somebody, with a new key unless given."""
        sent = dict(headers or {}) | ({} if actor is None else {"Clearhold-Actor": actor})
        return await self.world.post(path, body, key=key or new_key(), headers=sent)

    async def clock(self, on: str = START) -> Json:
        """Make a test clock."""
        return await self.tell("/v1/test_clocks", {"on": on})

    async def advance(self, clock: Json, to: str) -> None:
        """Let days pass."""
        moved = await self.tell(f"/v1/test_clocks/{clock['id']}/advance", {"to": to})
        assert moved["on"] == to

    async def applied(self, **changes: Any) -> Json:
        """Apply, and return the loan as decided."""
        return await self.tell("/v1/loans", self.application(**changes))

    async def active(self, **changes: Any) -> Json:
        """Return a loan that is paid out."""
        loan = await self.applied(**changes)
        assert loan["status"] == "offered", loan
        paid_out = await self.tell(f"{path_of(loan)}/accept")
        assert paid_out["status"] == "active", paid_out
        return paid_out

    async def give(self, account: str, minor: int) -> None:
        """Put money on a wallet."""
        await self.world.fund(account, minor)

    async def take_all(self, account: str) -> int:
        """Empty a wallet."""
        had = await self.world.balance(account)
        key = f"spend:{new_key()}"
        transfer = post(key, account, "clearing:sandbox:USD", had, "USD")
        (outcome,) = await self.world.services.ledger.apply([JournalEntry(TENANT, key, (transfer,))])
        assert outcome.result.booked
        return had

    async def prove(self) -> None:
        """Receivables equal the schedules, for every loan."""
        async with open_pool(self.world.settings, "proof") as pool:
            assert await verify_loans(pool, TENANT) == []


def path_of(loan: Json) -> str:
    """Return the path of a loan."""
    return f"/v1/loans/{loan['id']}"


@asynccontextmanager
async def lending(world: ApiWorld, *, worker: bool = True) -> AsyncIterator[Lending]:
    """Lend in a world while the block runs."""
    await world.open_account("lender", purpose="lender")
    await world.open_account("borrower")
    await world.fund("lender", 10_000_000)
    made = Lending(world)
    if worker:
        await made.start_worker()
    try:
        yield made
    finally:
        await made.stop_worker()
