"""The bank's own books, for whoever wants to prove that theirs agree.

Invariant: rows come in the order they were committed, which is the order of `seq`; a cursor never skips a row that was
committed later. Totals are read in one snapshot.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bank.operations import moment, now_ms
from infra.bank.storage import open_reader

MAX_PAGE = 1000
_COLUMNS = (
    "seq, id, key, kind, outcome, reference, subject, amount_minor, settled_minor, currency, trace_id, created_at_ms"
)


@dataclass(frozen=True, slots=True)
class Extract:
    """Which operations to list: from after `cursor`, of one currency or reference or of all."""

    cursor: int = 0
    limit: int = MAX_PAGE
    currency: str | None = None
    reference: str | None = None


def list_operations(data_file: Path, extract: Extract) -> dict[str, Any]:
    """Return a page of operations in order, and the cursor of the next page (None after the last).

    `settled_minor` is what the client's account gained (or, negative, lost) by the operation.
    """
    conditions, values = ["seq > ?"], [extract.cursor, *(v for v in (extract.currency, extract.reference) if v)]
    if extract.currency:
        conditions.append("currency = ?")
    if extract.reference:
        conditions.append("reference = ?")
    query = f"SELECT {_COLUMNS} FROM operation WHERE {' AND '.join(conditions)} ORDER BY seq LIMIT ?"  # noqa: S608
    with closing(open_reader(data_file)) as reader:
        rows = reader.execute(query, (*values, extract.limit + 1)).fetchall()
    page = [_describe(row) for row in rows[: extract.limit]]
    return {"operations": page, "next_cursor": page[-1]["seq"] if len(rows) > extract.limit else None}


def total_by_currency(data_file: Path) -> dict[str, Any]:
    """Return per currency what is authorized, held, captured, refunded, paid out, collected, and settled in all.

    `net_settled_minor` is captured - refunded - reversed + collected - paid out: what the bank owes the client.
    """
    with closing(open_reader(data_file)) as reader:
        reader.execute("BEGIN")
        cards = reader.execute(
            "SELECT currency, count(*) AS authorizations, sum(amount_minor) AS authorized_minor,"
            " sum(captured_minor) AS captured_minor, sum(released_minor) AS released_minor,"
            " sum(refunded_minor) AS refunded_minor, sum(reversed_minor) AS reversed_minor,"
            " sum(iif(expires_at_ms > ?1, amount_minor - captured_minor - released_minor, 0)) AS held_minor,"
            " sum(iif(expires_at_ms <= ?1, amount_minor - captured_minor - released_minor, 0)) AS expired_minor"
            " FROM authorization GROUP BY currency",
            (now_ms(),),
        ).fetchall()
        settled = reader.execute(
            "SELECT currency, sum(settled_minor) AS net_settled_minor,"
            " sum(iif(kind = 'collection', settled_minor, 0)) AS collected_minor,"
            " -sum(iif(kind = 'payout', settled_minor, 0)) AS paid_out_minor,"
            " sum(outcome IN ('declined', 'rejected')) AS declined_operations, count(*) AS operations"
            " FROM operation GROUP BY currency",
        ).fetchall()
        reader.execute("COMMIT")
    totals: dict[str, dict[str, int]] = {}
    for row in (*settled, *cards):
        sums = dict(row)
        totals.setdefault(sums.pop("currency"), {}).update(sums)
    return {"totals": totals}


def _describe(row: sqlite3.Row) -> dict[str, Any]:
    described = dict(row)
    described["created_at"] = moment(described.pop("created_at_ms"))
    return described
