"""A payment book over a fresh database with a merchant, a wallet with money, and the gateway's clearing account."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.ids import clearing_account
from domain.ledger.accounts import Account, NormalSide
from domain.ledger.entries import JournalEntry, post
from infra.postgres.ledger import PostgresLedger
from infra.postgres.payment_book import PostgresPaymentBook
from infra.postgres.pool import Pool, open_pool
from infra.settings import Settings
from tests.support.database import Database

CLEARING = clearing_account("sandbox", "USD")


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database.app_url), "test") as opened:
        yield opened


@pytest.fixture
async def accounts(pool: Pool) -> PostgresLedger:
    """Open the accounts, and fund the payer with 100.00 USD."""
    ledger = PostgresLedger(pool)
    await ledger.open_accounts(
        [
            Account("default", CLEARING, "USD", NormalSide.DEBIT, "gateway", may_go_negative=True),
            Account("default", "merchant", "USD", NormalSide.CREDIT, "merchant"),
            Account("default", "payer", "USD", NormalSide.CREDIT, "wallet"),
        ]
    )
    funding = JournalEntry("default", "fund", (post("fund", CLEARING, "payer", 10_000, "USD"),))
    (outcome,) = await ledger.apply([funding])
    assert outcome.result.booked
    return ledger


@pytest.fixture
async def book(pool: Pool, accounts: PostgresLedger) -> AsyncIterator[PostgresPaymentBook]:
    async with PostgresPaymentBook(pool) as opened:
        yield opened
