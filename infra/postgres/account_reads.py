"""A tenant's accounts as they are written: what they are, and in which order they were opened.

Invariant: every query names its tenant, is bounded, and walks an index. Balances are the ledger's to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.ledger.accounts import Account, AccountStatus, NormalSide
from infra.postgres.pool import Pool

MAX_PAGE = 100
"""Most accounts on one page."""

_COLUMNS = """
a.id, a.tenant_id, a.public_id, a.currency, a.normal_side, a.purpose, a.may_go_negative, a.status, a.created_at, a.closed_at
"""
_SOME = f"SELECT {_COLUMNS} FROM ledger_accounts a WHERE a.tenant_id = %s AND a.public_id = ANY(%s)"  # noqa: S608
_PAGE = f"""
SELECT {_COLUMNS} FROM ledger_accounts a WHERE a.tenant_id = %s AND a.id > %s ORDER BY a.id LIMIT %s
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account's row; `number` grows with each account opened."""

    number: int
    account: Account
    created_at: datetime
    closed_at: datetime | None


def _stored(row: Sequence[Any]) -> StoredAccount:
    number, tenant, public_id, currency, side, purpose, negative, status, created_at, closed_at = row
    account = Account(tenant, public_id, currency, NormalSide(side), purpose, negative, AccountStatus(status))
    return StoredAccount(number, account, created_at, closed_at)


class AccountReads:
    """Accounts by id and page by page. Every method raises psycopg.Error when the database is out of reach."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accounts(self, tenant_id: str, account_ids: Sequence[str]) -> dict[str, StoredAccount]:
        """Return the accounts with these ids, at most MAX_PAGE; an unknown one is missing."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SOME, [tenant_id, list(account_ids[:MAX_PAGE])])).fetchall()
        return {stored.account.id: stored for stored in map(_stored, rows)}

    async def account(self, tenant_id: str, account_id: str) -> StoredAccount | None:
        """Return the account with this id, or None."""
        return (await self.accounts(tenant_id, [account_id])).get(account_id)

    async def page(self, tenant_id: str, limit: int, after: int = 0) -> tuple[list[StoredAccount], bool]:
        """Return a page of accounts in the order they were opened, and whether more follow."""
        limit = min(limit, MAX_PAGE)
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_PAGE, [tenant_id, after, limit + 1])).fetchall()
        return [_stored(row) for row in rows[:limit]], len(rows) > limit
