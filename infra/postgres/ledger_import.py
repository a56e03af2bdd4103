"""Bulk import of journal entries over COPY.

Invariant: a chunk is staged, booked under the ledger's own rules and unstaged within one transaction, so an import that
stops anywhere can be run again: what is booked already answers `exists`.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice

import psycopg

from domain.ledger.entries import EntryOutcome, JournalEntry, LedgerResult
from infra.postgres.ledger_wire import is_storable
from infra.postgres.pool import Pool

CHUNK_ENTRIES = 5_000
"""Entries of one transaction. Larger chunks gain little and hold the accounts' locks longer."""
MAX_LINES_PER_CHUNK = 100_000
"""Most transfers of one chunk; the database takes no more in one call."""
STATEMENT_TIMEOUT_S = 300
"""Longest run of one statement of an import, whatever the pool allows."""

_COLUMNS = (
    "import_id", "ordinal", "line", "tenant_id", "entry_key", "payment_id", "description", "key", "kind", "debit",
    "credit", "amount_minor", "currency", "hold", "is_final", "expires_at",
)  # fmt: skip
_COPY = f"COPY ledger_import_lines ({', '.join(_COLUMNS)}) FROM STDIN"
_APPLY = "SELECT ordinal, result, failed_transfer FROM ledger_apply_import(%s) WHERE result <> 'created'"
_MALFORMED = EntryOutcome(LedgerResult.ENTRY_IS_MALFORMED)
_CREATED = EntryOutcome(LedgerResult.CREATED)
_Line = tuple[object, ...]


async def import_entries(
    pool: Pool, entries: Iterable[JournalEntry], chunk_entries: int = CHUNK_ENTRIES
) -> AsyncIterator[EntryOutcome]:
    """Book entries in order and yield the outcome of each once its chunk is committed.

    Entries are taken from the iterable a chunk at a time, so it may be longer than memory. Raises psycopg.Error when the
    database is out of reach; the chunks before are booked then, and running the import again continues it.
    """
    if chunk_entries < 1:
        raise ValueError("A chunk has at least one entry.")
    iterator = iter(entries)
    while chunk := list(islice(iterator, chunk_entries)):
        if sum(max(1, len(entry.transfers)) for entry in chunk) > MAX_LINES_PER_CHUNK:
            raise ValueError(
                f"{len(chunk)} entries have more than {MAX_LINES_PER_CHUNK} transfers; use smaller chunks."
            )
        for outcome in await _import_chunk(pool, chunk):
            yield outcome


async def _import_chunk(pool: Pool, chunk: Sequence[JournalEntry]) -> list[EntryOutcome]:
    outcomes = [_CREATED if is_storable(entry) else _MALFORMED for entry in chunk]
    import_id = uuid.uuid4()
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        await _stage(connection, import_id, chunk, outcomes)
        cursor = await connection.execute(_APPLY, [import_id])
        for ordinal, result, failed in await cursor.fetchall():
            outcomes[ordinal] = EntryOutcome(LedgerResult(result), failed)
    return outcomes


async def _stage(
    connection: psycopg.AsyncConnection[tuple[object, ...]],
    import_id: uuid.UUID,
    chunk: Sequence[JournalEntry],
    outcomes: Sequence[EntryOutcome],
) -> None:
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for ordinal, (entry, outcome) in enumerate(zip(chunk, outcomes, strict=True)):
            if outcome is _CREATED:
                for line in _lines(import_id, ordinal, entry):
                    await copy.write_row(line)


def _lines(import_id: uuid.UUID, ordinal: int, entry: JournalEntry) -> Iterable[_Line]:
    header = (entry.tenant_id, entry.key, entry.payment_id, entry.description)
    if not entry.transfers:
        yield (import_id, ordinal, 0, *header, *([None] * 9))
    for number, t in enumerate(entry.transfers):
        yield (
            import_id, ordinal, number, *header, t.key, t.kind.value, t.debit, t.credit, t.amount_minor, t.currency,
            t.hold, t.final, t.expires_at,
        )  # fmt: skip
