"""Loans on a real PostgreSQL: workflows and activities as a worker has them, over a database of each test's own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from domain.ledger.accounts import Account, NormalSide
from domain.ledger.entries import JournalEntry, post
from domain.loans.loan import Loan
from infra.local.temporal import LocalTemporal
from infra.postgres.ledger import PostgresLedger
from infra.postgres.loan_accrual import PostgresLoanAccrual
from infra.postgres.loan_book import PostgresLoanBook
from infra.postgres.loan_clock import PostgresLoanClock
from infra.postgres.loan_proof import verify_loans
from infra.postgres.payment_book import PostgresPaymentBook
from infra.postgres.pool import Pool
from tests.support.fake_gateway import FakeGateway
from tests.support.loan_world import FakeProviders, LoanHandle, LoanWorld
from tests.support.temporal import client_of, running_temporal
from workers.registry import LOAN_WORKFLOWS, WORKFLOWS, loan_activities, payment_activities, sandbox


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[LocalTemporal]:
    with running_temporal() as server:
        yield server


@pytest.fixture(scope="session")
async def client(temporal_server: LocalTemporal) -> Client:
    return await client_of(temporal_server)


@pytest.fixture
async def funded(ledger: PostgresLedger) -> PostgresLedger:
    """A lender with 100,000.00 and borrowers with nothing."""
    await ledger.open_accounts(
        [
            Account("default", "bank", "USD", NormalSide.DEBIT, "gateway", may_go_negative=True),
            Account("default", "lender", "USD", NormalSide.CREDIT),
            Account("default", "borrower", "USD", NormalSide.CREDIT),
        ]
    )
    await give(ledger, "lender", 10_000_000)
    return ledger


async def give(ledger: PostgresLedger, account: str, amount: int) -> None:
    """Put money on a wallet."""
    key = f"fund-{uuid.uuid4().hex}"
    (outcome,) = await ledger.apply([JournalEntry("default", key, (post(key, "bank", account, amount, "USD"),))])
    assert outcome.result.booked


@dataclass
class RealWorld(LoanWorld):
    """The same ways to drive a loan; rows and balances are read from the database."""

    pool: Pool = field(kw_only=True)
    real_ledger: PostgresLedger = field(kw_only=True)

    async def read(self, loan_id: str) -> tuple[object, ...]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT status, served_through, principal_outstanding_minor FROM loans WHERE id = %s", [loan_id]
            )
            row = await cursor.fetchone()
        assert row is not None
        return tuple(row)

    async def balance(self, account: str) -> int:
        """Credits less debits."""
        found = await self.real_ledger.balances("default", [account])
        return found[account].posted(NormalSide.CREDIT)

    async def prove(self) -> None:
        assert await verify_loans(self.pool, "default") == []

    async def caught_up(self, handle: LoanHandle) -> Loan:
        """Return the loan's live state."""
        from workflows.loans.loan import LoanWorkflow

        return (await handle.query(LoanWorkflow.progress)).loan


@pytest.fixture
async def world(client: Client, pool: Pool, funded: PostgresLedger) -> AsyncIterator[RealWorld]:
    made = RealWorld(client, f"test-{uuid.uuid4().hex}", pool=pool, real_ledger=funded)
    async with (
        PostgresPaymentBook(pool) as payments,
        Worker(
            client,
            task_queue=made.task_queue,
            workflows=[*WORKFLOWS, *LOAN_WORKFLOWS],
            activities=[
                *payment_activities(payments, {"sandbox": FakeGateway()}),
                *loan_activities(
                    PostgresLoanBook(pool),
                    FakeProviders(),
                    FakeProviders(),
                    PostgresLoanAccrual(pool),
                    PostgresLoanClock(pool, client),
                ),
            ],
            workflow_runner=sandbox(),
        ),
    ):
        yield made
