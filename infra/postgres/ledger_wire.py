"""Entries and accounts as JSON for the functions of the ledger.

Invariant: what cannot be stored (a NUL, half a surrogate pair, an integer beyond 64 bits) is found here, one entry at a
time, so that it never spoils the batch it came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from domain.ledger.accounts import Account
from domain.ledger.entries import JournalEntry
from domain.money import MAX_AMOUNT_MINOR

_OPTIONS = orjson.OPT_NAIVE_UTC
_NUL = b"\\u0000"


def to_json(value: Sequence[Account] | Sequence[JournalEntry]) -> str:
    """Return the JSON array of accounts or entries; fields are named as in `domain.ledger`."""
    return orjson.dumps(value, option=_OPTIONS).decode()


def split_storable(entries: Sequence[JournalEntry]) -> tuple[str, Sequence[int]]:
    """Return the JSON of those entries that can be stored, and their places; the others are malformed."""
    try:
        payload = orjson.dumps(entries, option=_OPTIONS)
    except TypeError:
        payload = _NUL
    if _NUL not in payload:
        return payload.decode(), range(len(entries))
    storable: list[JournalEntry] = []
    places: list[int] = []
    for place, entry in enumerate(entries):
        bounded = _bound_amounts(entry)
        if is_storable(bounded):
            storable.append(bounded)
            places.append(place)
    return to_json(storable), places


def is_storable(entry: JournalEntry) -> bool:
    """Whether every text of the entry is Unicode without NUL, as the database wants it."""
    texts = [entry.tenant_id, entry.key, entry.payment_id, entry.description]
    for transfer in entry.transfers:
        texts += [transfer.key, transfer.debit, transfer.credit, transfer.currency, transfer.hold]
    return not any(text is not None and ("\x00" in text or not _is_unicode(text)) for text in texts)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bound_amounts(entry: JournalEntry) -> JournalEntry:
    """Keep amounts within 64 bits; one that is too large or negative stays so, and is refused for it."""
    beyond = MAX_AMOUNT_MINOR + 1
    return replace(
        entry,
        transfers=tuple(
            t if t.amount_minor is None else replace(t, amount_minor=max(-1, min(t.amount_minor, beyond)))
            for t in entry.transfers
        ),
    )
