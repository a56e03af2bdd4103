"""The ledger in PostgreSQL, as the application uses it.

Invariant: everything is written by the functions of migration 0001, in one round trip and one commit; a batch is answered
entry by entry, and sending it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from domain.ledger.accounts import Account, AccountResult, Balances
from domain.ledger.entries import (
    MAX_TRANSFERS_PER_ENTRY,
    EntryOutcome,
    JournalEntry,
    LedgerResult,
    TransferKind,
)
from domain.ledger.records import BookedEntry, BookedTransfer, HoldStanding, HoldState, StatementPage
from infra.postgres.ledger_wire import split_storable, to_json
from infra.postgres.pool import Pool

MAX_ENTRIES_PER_CALL = 10_000
"""Most entries of one `apply`; a larger load is an import (`ledger_import`)."""
MAX_PAGE = 1_000
"""Most transfers of one page of a statement."""
MAX_EXPIRED_PER_CALL = 10_000
"""Most holds that one `expire_due` releases."""

_CREATED = EntryOutcome(LedgerResult.CREATED)
_MALFORMED = EntryOutcome(LedgerResult.ENTRY_IS_MALFORMED)

# Nearly all entries are created, so only the others are sent back.
_APPLY = "SELECT ordinal, result, failed_transfer FROM ledger_apply(%s::jsonb) WHERE result <> 'created'"
_OPEN = "SELECT result FROM ledger_open_accounts(%s::jsonb) ORDER BY ordinal"
_CLOSE = "SELECT ledger_close_account(%s, %s, %s)"
_EXPIRE = "SELECT ledger_expire_due(%s)"
_BALANCES = """
    SELECT account, debits_pending, debits_posted, credits_pending, credits_posted
    FROM ledger_read_balances(%s, %s)
"""
# Names are looked up row by row, so that no plan ever joins a page of rows with a whole table.
_TRANSFER = """
    t.id, e.key, e.payment_id, t.key, t.kind,
    (SELECT public_id FROM ledger_accounts WHERE id = t.debit_account_id),
    (SELECT public_id FROM ledger_accounts WHERE id = t.credit_account_id),
    t.currency, t.amount_minor, t.released_minor,
    (SELECT key FROM ledger_holds WHERE transfer_id = t.hold_id),
    t.expires_at, t.created_at
"""
_HOLD = """
    SELECT t.key, h.state, h.remaining_minor, h.expires_at
    FROM ledger_transfers t JOIN ledger_holds h ON h.transfer_id = t.id
    WHERE t.tenant_id = %s AND t.key = %s
"""


def _statement_sql(*, newest_first: bool) -> str:
    """Each side of the account is read along its own index, as far as the page needs."""
    compare, direction = ("<", "DESC") if newest_first else (">", "ASC")
    side = f"""
        (SELECT t.* FROM ledger_transfers t
         WHERE t.{{side}}_account_id = a.id AND t.id {compare} %(after)s ORDER BY t.id {direction} LIMIT %(limit)s)
    """  # noqa: S608 - made of constants
    return f"""
        SELECT {_TRANSFER}
        FROM ledger_accounts a
        CROSS JOIN LATERAL ({side.format(side="debit")} UNION ALL {side.format(side="credit")}) t
        CROSS JOIN LATERAL (SELECT key, payment_id FROM ledger_entries WHERE id = t.entry_id LIMIT 1) e
        WHERE a.tenant_id = %(tenant)s AND a.public_id = %(account)s
        ORDER BY t.id {direction} LIMIT %(limit)s
    """  # noqa: S608


_STATEMENT = {newest_first: _statement_sql(newest_first=newest_first) for newest_first in (False, True)}
_ENTRIES = {
    column: f"""
        SELECT e.tenant_id, e.description, e.content_digest, {_TRANSFER}
        FROM (SELECT * FROM ledger_entries WHERE tenant_id = %(tenant)s AND {condition}
              ORDER BY id LIMIT %(limit)s) e
        CROSS JOIN LATERAL (SELECT * FROM ledger_transfers t WHERE t.id >= e.id AND t.id < e.id + e.transfer_count
                            ORDER BY t.id LIMIT {MAX_TRANSFERS_PER_ENTRY}) t
        ORDER BY t.id
    """  # noqa: S608
    for column, condition in (
        ("key", "key = %(value)s"),
        ("keys", "key = ANY(%(value)s::text[])"),
        ("payment_id", "payment_id = %(value)s"),
    )
}
_LAST_ID = 2**63 - 1


class PostgresLedger:
    """The ledger over a pool whose connections commit by themselves (`infra.postgres.pool.open_pool`).

    Every method raises `psycopg.Error` when the database is out of reach or refuses what no rule of the ledger explains;
    writing again after that is safe.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open_accounts(self, accounts: Sequence[Account]) -> list[AccountResult]:
        """Open accounts, each once; one result per account, in order."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_OPEN, [to_json(accounts)])
            return [AccountResult(result) for (result,) in await cursor.fetchall()]

    async def close_account(self, tenant_id: str, account_id: str, *, only_if_empty: bool = False) -> AccountResult:
        """Close an account: no new posts or holds; the holds it has can still be captured or voided.

        `only_if_empty`: one with a balance or live holds stays open, whatever is posted at the same moment.
        """
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_CLOSE, [tenant_id, account_id, only_if_empty])
            (result,) = await _one(cursor)
            return AccountResult(result)

    async def apply(self, entries: Sequence[JournalEntry]) -> list[EntryOutcome]:
        """Book entries in order, each whole or not at all; one outcome per entry.

        One round trip and one commit for all of them. Raises ValueError for more than MAX_ENTRIES_PER_CALL.
        """
        if not entries:
            return []
        if len(entries) > MAX_ENTRIES_PER_CALL:
            raise ValueError(f"{len(entries)} entries are too many for one call; the most is {MAX_ENTRIES_PER_CALL}.")
        payload, places = split_storable(entries)
        outcomes = [_CREATED] * len(entries)
        if len(places) < len(entries):
            outcomes = [_MALFORMED] * len(entries)
            for place in places:
                outcomes[place] = _CREATED
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_APPLY, [payload], prepare=True)
            for ordinal, result, failed in await cursor.fetchall():
                outcomes[places[ordinal]] = EntryOutcome(LedgerResult(result), failed)
        return outcomes

    async def balances(self, tenant_id: str, account_ids: Sequence[str]) -> dict[str, Balances]:
        """Return what accounts have now, by id; an unknown one is missing. Holds past their time no longer count."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_BALANCES, [tenant_id, list(account_ids)])
            return {account: Balances(*sums) for account, *sums in await cursor.fetchall()}

    async def statement(
        self, tenant_id: str, account_id: str, after: int | None = None, limit: int = 100, *, newest_first: bool = False
    ) -> StatementPage:
        """Return a page of the transfers of an account, oldest first unless `newest_first`.

        `after` is the cursor of the page before. In the order of time, a cursor never misses a transfer that is booked later.
        Raises ValueError when `limit` is not 1 to MAX_PAGE.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise ValueError(f"A page has 1 to {MAX_PAGE} transfers, not {limit}.")
        start = after if after is not None else _LAST_ID if newest_first else 0
        parameters = {"tenant": tenant_id, "account": account_id, "after": start, "limit": limit + 1}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_STATEMENT[newest_first], parameters)
            found = [_transfer(row) for row in await cursor.fetchall()]
        page = tuple(found[:limit])
        return StatementPage(page, page[-1].id if len(found) > limit else None)

    async def entry(self, tenant_id: str, key: str) -> BookedEntry | None:
        """Return the journal entry of that key, or None."""
        entries = await self._entries("key", tenant_id, key, 1)
        return entries[0] if entries else None

    async def entries_of_payment(self, tenant_id: str, payment_id: str, limit: int = 100) -> list[BookedEntry]:
        """Return the entries that name a payment, oldest first, at most `limit` of them (up to MAX_PAGE)."""
        if not 1 <= limit <= MAX_PAGE:
            raise ValueError(f"A page has 1 to {MAX_PAGE} entries, not {limit}.")
        return await self._entries("payment_id", tenant_id, payment_id, limit)

    async def entries_of_keys(self, tenant_id: str, keys: Sequence[str]) -> list[BookedEntry]:
        """Return the entries of these keys, oldest first; at most MAX_PAGE keys."""
        if len(keys) > MAX_PAGE:
            raise ValueError(f"At most {MAX_PAGE} keys can be asked for, not {len(keys)}.")
        return await self._entries("keys", tenant_id, list(keys), MAX_PAGE)

    async def hold(self, tenant_id: str, key: str) -> HoldStanding | None:
        """Return where the hold of that transfer key stands, or None when there is no such hold."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_HOLD, [tenant_id, key])
            row = await cursor.fetchone()
        return None if row is None else HoldStanding(row[0], HoldState(row[1]), row[2], row[3])

    async def expire_due(self, limit: int = 1_000) -> int:
        """Release holds past their time, oldest first, and return how many: the sweeper calls it until it is below `limit`."""
        if not 1 <= limit <= MAX_EXPIRED_PER_CALL:
            raise ValueError(f"A sweep takes 1 to {MAX_EXPIRED_PER_CALL} holds, not {limit}.")
        async with self._pool.connection() as connection:
            (released,) = await _one(await connection.execute(_EXPIRE, [limit]))
        return int(released)

    async def _entries(self, column: str, tenant_id: str, value: object, limit: int) -> list[BookedEntry]:
        parameters = {"tenant": tenant_id, "value": value, "limit": limit}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_ENTRIES[column], parameters)
            rows = [
                (tenant, about, digest, _transfer(line)) for tenant, about, digest, *line in await cursor.fetchall()
            ]
        entries: list[BookedEntry] = []
        for _, group in groupby(rows, key=lambda row: row[3].entry_key):
            lines = list(group)
            tenant, about, digest, first = lines[0]
            transfers = tuple(line[3] for line in lines)
            entries.append(
                BookedEntry(tenant, first.entry_key, first.payment_id, about, first.created_at, digest, transfers)
            )
        return entries


def _transfer(row: Sequence[Any]) -> BookedTransfer:
    number, entry_key, payment_id, key, kind, *rest = row
    return BookedTransfer(number, entry_key, payment_id, key, TransferKind(kind), *rest)


async def _one(cursor: Any) -> tuple[Any, ...]:
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("a function of the ledger answered no row")
    return tuple(row)
