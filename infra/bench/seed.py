"""What must be there before anybody pays: a tenant, an API key, accounts, and money in the paying wallets.

Invariant: our payments, those of the DBOS reference, and loans are in currencies of their own, so that the books of each can be
proved apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from psycopg import AsyncConnection

from domain.ids import clearing_account
from domain.ledger.accounts import Account, NormalSide
from domain.ledger.entries import JournalEntry, post
from infra.postgres.api_keys import create_key, create_tenant

TENANT = "bench"
OUR_CURRENCY, DBOS_CURRENCY, LOAN_CURRENCY = "USD", "EUR", "GBP"
GATEWAY = "sandbox"
MERCHANTS, PAYERS, PAYEES = 16, 64, 64
LENDERS, BORROWERS = 4, 64
PAYER_BALANCE_MINOR = 10**12
CAPITAL, LOAN_CAPITAL = "capital", "loan-capital"


@dataclass(frozen=True, slots=True)
class Seed:
    """Who pays whom, and with which header."""

    authorization: str
    merchants: tuple[str, ...]
    dbos_merchants: tuple[str, ...]
    payers: tuple[str, ...]
    payees: tuple[str, ...]
    lenders: tuple[str, ...]
    borrowers: tuple[str, ...]


class SeedError(Exception):
    """The ledger would not take what the measurement needs."""


async def sow(owner_url: str) -> Seed:
    """Make tenant, key, accounts and balances over the schema owner's URL. Raises `SeedError`."""
    async with await AsyncConnection.connect(owner_url, autocommit=True) as connection:
        await create_tenant(connection, TENANT, "Bench")
        _, token = await create_key(connection, TENANT, "bench", "bench")
        seed = Seed(
            f"Bearer {token}",
            _names("merchant", MERCHANTS),
            _names("dbos-merchant", MERCHANTS),
            _names("payer", PAYERS),
            _names("payee", PAYEES),
            _names("lender", LENDERS),
            _names("borrower", BORROWERS),
        )
        await _open(connection, seed)
        await _fund(connection, CAPITAL, seed.payers, OUR_CURRENCY)
        await _fund(connection, LOAN_CAPITAL, (*seed.lenders, *seed.borrowers), LOAN_CURRENCY)
    return seed


def _names(kind: str, count: int) -> tuple[str, ...]:
    return tuple(f"{kind}-{number}" for number in range(1, count + 1))


async def _open(connection: AsyncConnection[object], seed: Seed) -> None:
    accounts = [
        *(Account(TENANT, name, OUR_CURRENCY, NormalSide.CREDIT, "merchant") for name in seed.merchants),
        *(Account(TENANT, name, DBOS_CURRENCY, NormalSide.CREDIT, "merchant") for name in seed.dbos_merchants),
        *(Account(TENANT, name, OUR_CURRENCY, NormalSide.CREDIT) for name in (*seed.payers, *seed.payees)),
        *(Account(TENANT, name, LOAN_CURRENCY, NormalSide.CREDIT) for name in (*seed.lenders, *seed.borrowers)),
        Account(TENANT, CAPITAL, OUR_CURRENCY, NormalSide.DEBIT, CAPITAL, may_go_negative=True),
        Account(TENANT, LOAN_CAPITAL, LOAN_CURRENCY, NormalSide.DEBIT, CAPITAL, may_go_negative=True),
        *(
            Account(
                TENANT, clearing_account(GATEWAY, currency), currency, NormalSide.DEBIT, "gateway", may_go_negative=True
            )
            for currency in (OUR_CURRENCY, DBOS_CURRENCY)
        ),
    ]
    await _call(connection, "SELECT result FROM ledger_open_accounts(%s::jsonb)", accounts)


async def _fund(connection: AsyncConnection[object], capital: str, wallets: Sequence[str], currency: str) -> None:
    entries = [
        JournalEntry(TENANT, f"fund:{name}", (post(f"fund:{name}", capital, name, PAYER_BALANCE_MINOR, currency),))
        for name in wallets
    ]
    await _call(connection, "SELECT result FROM ledger_apply(%s::jsonb)", entries)


async def _call(connection: AsyncConnection[object], statement: str, rows: Sequence[object]) -> None:
    cursor = await connection.execute(statement.encode(), [orjson.dumps(rows).decode()])
    results = {str(row[0]) for row in await cursor.fetchall() if isinstance(row, tuple)}
    if results != {"created"}:
        raise SeedError(f"the ledger answered {sorted(results)}")
