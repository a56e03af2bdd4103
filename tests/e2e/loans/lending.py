"""A lender whose stack is killed: loans over HTTP, each with accounts of its own, and the proof that each happened once.

Invariant: what the proof compares comes from the ledger, the rows and the answers, each read for itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row
from temporalio.client import WorkflowExecutionStatus

from domain import ids
from domain.ledger.accounts import Account, NormalSide
from domain.ledger.entries import JournalEntry, post
from infra.drill.caller import Answer, PatientCaller
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_verify import verify
from infra.postgres.loan_proof import verify_loans
from infra.postgres.pool import Pool, open_pool
from tests.e2e.loans.gates import Gates
from tests.e2e.scene import CURRENCY, TENANT, Scene, until

PRINCIPAL = 120_000
START = "2026-01-15"
TREASURY = "treasury"
TO_PAYOUT = (
    *("applied", "kyc_cleared", "offered"),
    *("accepted", "submitted", "approved", "funds_reserved", "booked", "disbursed"),
)
"""The story of a loan until it is paid out, each step once."""

_STORY = "SELECT name FROM loan_events WHERE loan_id = %s ORDER BY sequence"
_PAYMENTS = """
SELECT id, status, amount_captured_minor AS amount, metadata ->> 'purpose' AS purpose FROM payments
WHERE metadata ->> 'loan_id' = %s ORDER BY created_at
"""
_REPAYMENTS = "SELECT amount_minor, payment_id FROM loan_repayments WHERE loan_id = %s ORDER BY number"
_ACCRUALS = "SELECT day::text, amount_minor FROM loan_accruals WHERE loan_id = %s ORDER BY day"

Row = dict[str, Any]


@asynccontextmanager
async def desk(scene: Scene, key: str, actor: str) -> AsyncIterator[PatientCaller]:
    """Let one of the lender's people call; what a person asks for carries the name."""
    headers = {"Authorization": f"Bearer {key}", "Clearhold-Actor": actor}
    ports = scene.stack.ports
    async with (
        httpx.AsyncClient(base_url=ports.api_url, headers=headers, timeout=30, trust_env=False) as api,
        httpx.AsyncClient(base_url=ports.bank_url, timeout=30, trust_env=False) as bank,
    ):
        yield PatientCaller(api, bank)


@dataclass
class Lending:
    """Loans on a stack whose parts can be killed. `maker` and `checker` are two of the lender's people."""

    scene: Scene
    gates: Gates
    maker: PatientCaller
    checker: PatientCaller

    # Loans

    async def fund(self, account: str, amount: int) -> None:
        """Open an account of the lender with so much on it, and nothing more."""
        await self.scene.caller.open_account(account, CURRENCY)
        async with self._pool() as pool:
            ledger = PostgresLedger(pool)
            await ledger.open_accounts(
                [Account(TENANT, TREASURY, CURRENCY, NormalSide.DEBIT, "gateway", may_go_negative=True)]
            )
            key = f"fund:{account}"
            (outcome,) = await ledger.apply(
                [JournalEntry(TENANT, key, (post(key, TREASURY, account, amount, CURRENCY),))]
            )
        assert outcome.result.booked

    @asynccontextmanager
    async def _pool(self) -> AsyncIterator[Pool]:
        async with open_pool(self.scene.stack.settings(), "e2e") as pool:
            yield pool

    async def application(self, key: str, clock: str | None = None) -> dict[str, Any]:
        """Return an application with a lender and a borrower of its own; the lender has just what it lends."""
        await self.fund(lender_of(key), PRINCIPAL)
        await self.scene.caller.open_account(borrower_of(key), CURRENCY)
        return {
            "applicant": {"customer": key, "name": "Sample Borrower SCORE 720"},
            "terms": {
                "principal": "1200.00",
                "currency": CURRENCY,
                "annual_rate_percent": "12",
                "instalments": 12,
                "every": "1 month",
            },
            "funding_account": lender_of(key),
            "payout_account": borrower_of(key),
            "income": {"monthly_income": 500_000, "monthly_debt": 50_000},
            "mandate": {"type": "wallet", "account": borrower_of(key)},
            "servicing": {"reminder_days": []},
            "test_clock": clock,
        }

    async def apply(self, key: str, body: dict[str, Any]) -> Answer:
        """Apply for a loan, until the answer stands."""
        return await self.scene.caller.post("/v1/loans", body, key)

    async def accept(self, key: str) -> Answer:
        """Accept the offer, until the answer stands."""
        return await self.tell(key, "accept")

    async def tell(self, key: str, command: str, body: dict[str, Any] | None = None) -> Answer:
        """Send what the borrower may send, once for each command."""
        return await self.scene.caller.post(f"/v1/loans/{loan_of(key)}/{command}", body or {}, f"{key}-{command}")

    async def order(self, key: str, command: str, body: dict[str, Any] | None = None) -> Answer:
        """Send what one of the lender's people may send, once for each command."""
        return await self.maker.post(f"/v1/loans/{loan_of(key)}/{command}", body or {}, f"{key}-{command}")

    async def approve(self, key: str) -> Answer:
        """Let the second person approve the loan's first proposal."""
        return await self.checker.post(f"/v1/loans/{loan_of(key)}/proposals/1/approve", {}, f"{key}-approve")

    async def active(self, keys: Iterable[str], clock: str | None = None) -> None:
        """Make loans that are paid out, side by side."""

        async def one(key: str) -> None:
            await self.apply(key, await self.application(key, clock))
            answer = await self.accept(key)
            assert answer.body["status"] == "active", answer

        await asyncio.gather(*(one(key) for key in keys))

    async def clock(self, key: str) -> str:
        """Make a test clock and return its id."""
        answer = await self.scene.caller.post("/v1/test_clocks", {"on": START}, key)
        return str(answer.body["id"])

    # Proof

    async def rows(self, query: str, loan: str) -> list[Row]:
        """Read rows about a loan, past everything of ours."""
        url = self.scene.stack.postgres.owner_url()
        async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as connection:
            return await (await connection.execute(query.encode(), [loan])).fetchall()

    async def story(self, key: str) -> list[str]:
        """Return the names of a loan's events, in order."""
        return [row["name"] for row in await self.rows(_STORY, loan_of(key))]

    async def payments(self, key: str, purpose: str) -> list[tuple[str, int]]:
        """Return status and amount of each payment that a loan made for a purpose."""
        found = await self.rows(_PAYMENTS, loan_of(key))
        return [(row["status"], row["amount"]) for row in found if row["purpose"] == purpose]

    async def repayments(self, key: str) -> list[int]:
        """Return what was received, repayment by repayment; each came by a payment of its own."""
        found = await self.rows(_REPAYMENTS, loan_of(key))
        assert len({row["payment_id"] for row in found}) == len(found)
        return [row["amount_minor"] for row in found]

    async def accruals(self, key: str) -> dict[str, int]:
        """Return the interest of each day that was accrued by itself."""
        found = await self.rows(_ACCRUALS, loan_of(key))
        assert len({row["day"] for row in found}) == len(found)
        return {row["day"]: row["amount_minor"] for row in found}

    async def balance(self, account: str) -> int:
        """Return what an account has available."""
        found = await self.scene.caller.get(f"/v1/accounts/{account}/balances")
        available: int = found["available"]
        return available

    async def until_told(self, key: str, event: str) -> None:
        """Return when the loan's story tells of an event."""

        async def is_told() -> bool:
            return event in await self.story(key)

        await until(f"{key}: {event}", is_told)

    async def prove_paid_out(self, key: str) -> None:
        """Assert that a loan was paid out once, and that every step to it is written once."""
        assert (await self.story(key))[: len(TO_PAYOUT)] == list(TO_PAYOUT)
        assert await self.payments(key, "disbursement") == [("succeeded", PRINCIPAL)]
        described = await (await self.scene.temporal()).get_workflow_handle(loan_of(key)).describe()
        assert described.status is WorkflowExecutionStatus.RUNNING

    async def prove_told_once(self, key: str, *events: str) -> None:
        """Assert that after the payout these events are told, each once, and no other."""
        told = (await self.story(key))[len(TO_PAYOUT) :]
        assert Counter(told) == Counter(events), (key, told)

    async def prove_books(self) -> None:
        """Assert that ledger, rows and schedules agree on every loan, and that the ledger proves itself."""
        async with self._pool() as pool:
            assert await verify_loans(pool, TENANT) == []
        assert await asyncio.to_thread(self._verify_ledger) == []

    def _verify_ledger(self) -> list[str]:
        with psycopg.connect(self.scene.stack.postgres.owner_url()) as connection:
            return [str(finding) for finding in verify(connection)]

    async def prove_answers_stand(self) -> None:
        """Assert that every call that was answered is answered so again."""
        for caller in (self.scene.caller, self.maker, self.checker):
            for key, (_, first) in list(caller.answered.items()):
                again = await caller.ask_again(key)
                assert (again.status, again.body.get("id")) == (first.status, first.body.get("id")), (key, first, again)
                if again.replayed:
                    assert again.body == first.body
            caller.answered.clear()


def loan_of(key: str) -> str:
    """Return the id of the loan that this key makes."""
    return ids.loan_id(TENANT, key)


def lender_of(key: str) -> str:
    """Return the account that a loan is paid from."""
    return f"lender-{key}"


def borrower_of(key: str) -> str:
    """Return the account that a loan is paid to."""
    return f"borrower-{key}"
