"""A small world of accounts for the tests of the ledger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psycopg
import pytest

from domain.ledger.accounts import Account, AccountResult, NormalSide
from domain.ledger.entries import EntryOutcome, JournalEntry, LedgerResult, Transfer, post
from infra.postgres.ledger import PostgresLedger
from tests.support.database import Database

Book1 = Callable[..., Awaitable[EntryOutcome]]


@pytest.fixture
async def wallets(ledger: PostgresLedger) -> PostgresLedger:
    """A ledger with `bank`, which has no limits, and wallets that may not go negative; alice has 100."""
    accounts = [
        Account("default", "bank", "USD", NormalSide.DEBIT, "gateway", may_go_negative=True),
        *(Account("default", name, "USD", NormalSide.CREDIT) for name in ("alice", "bob", "carol")),
        Account("default", "euros", "EUR", NormalSide.CREDIT),
        Account("default", "cash", "USD", NormalSide.DEBIT),
    ]
    assert await ledger.open_accounts(accounts) == [AccountResult.CREATED] * len(accounts)
    funding = JournalEntry("default", "fund", (post("fund", "bank", "alice", 100, "USD"),))
    assert await ledger.apply([funding]) == [EntryOutcome(LedgerResult.CREATED)]
    return ledger


@pytest.fixture
def tenant_two(database: Database) -> str:
    """Another tenant in the same database."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("INSERT INTO tenants (id, name) VALUES ('two', 'Second tenant')")
    return "two"


@pytest.fixture
def book(wallets: PostgresLedger) -> Book1:
    """Book one entry of the given transfers, under a key made of the first one's."""

    async def book_one(*transfers: Transfer) -> EntryOutcome:
        (outcome,) = await wallets.apply([JournalEntry("default", f"only-{transfers[0].key}", transfers)])
        return outcome

    return book_one
