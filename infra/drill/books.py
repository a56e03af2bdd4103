"""One payment as each side has it written: our rows, the bank's statement, the ledger's transfers; and where they disagree.

Invariant: each side is read from its own source, the ledger from its transfers and holds and not from its balances; what
`disagreements` compares was taken from no other side's word. It only reads.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from domain.payments.payment import CaptureMethod
from domain.payments.refund import RefundStatus
from domain.payments.status import OperationKind, OperationStatus, PaymentStatus
from infra.drill.caller import PatientCaller

BANK_READERS = 16
STATEMENT_PAGE = 1000

_PAYMENTS = """
SELECT id, kind, status, capture_method, amount_minor, currency, credit_account, amount_captured_minor, amount_refunded_minor,
       amount_refunding_minor, pending_capture_minor, failure_code, review_reason
FROM payments WHERE id = ANY(%s)
"""
_REFUNDS = "SELECT payment_id, id, status, amount_minor FROM refunds WHERE payment_id = ANY(%s)"
_OPERATIONS = "SELECT payment_id, key, kind, status, amount_minor FROM payment_operations WHERE payment_id = ANY(%s)"
_MOVES = """
SELECT e.payment_id, t.key, d.public_id AS debit, c.public_id AS credit, t.amount_minor
FROM ledger_transfers t
JOIN ledger_entries e ON e.id = t.entry_id
JOIN ledger_accounts d ON d.id = t.debit_account_id
JOIN ledger_accounts c ON c.id = t.credit_account_id
WHERE e.payment_id = ANY(%s) AND t.kind IN ('post', 'capture') AND t.amount_minor > 0
ORDER BY t.id
"""
_HOLDS = """
SELECT e.payment_id, sum(h.remaining_minor)::bigint AS held_minor
FROM ledger_holds h
JOIN ledger_transfers t ON t.id = h.transfer_id
JOIN ledger_entries e ON e.id = t.entry_id
WHERE e.payment_id = ANY(%s) AND h.state = 'pending'
GROUP BY e.payment_id
"""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PaymentBooks:
    """What every side has written of one payment; `row` is None when it was never written. Amounts in minor units."""

    payment_id: str
    row: Row | None
    refunds: tuple[Row, ...]
    operations: tuple[Row, ...]
    moves: tuple[Row, ...]
    """Ledger transfers that moved money."""
    ledger_held_minor: int
    statement: tuple[Row, ...]
    """The bank's operations, in the order it carried them out."""
    bank_held_minor: int

    @property
    def status(self) -> str:
        """The payment's status, or `missing`."""
        return self.row["status"] if self.row else "missing"

    @property
    def bank_net_minor(self) -> int:
        """What the bank settled in our favour."""
        return sum(operation["settled_minor"] for operation in self.statement)

    @property
    def booked_minor(self) -> tuple[int, ...]:
        """What each transfer of the ledger gave to (or, negative, took from) the paid account, in order."""
        paid = self.row["credit_account"] if self.row else ""
        return tuple(move["amount_minor"] * (1 if move["credit"] == paid else -1) for move in self.moves)

    @property
    def ledger_net_minor(self) -> int:
        """What the ledger booked on the paid account."""
        return sum(self.booked_minor)


async def read_books(caller: PatientCaller, database_url: str, payment_ids: Sequence[str]) -> list[PaymentBooks]:
    """Read what is written of these payments, in their order."""
    wanted = list(payment_ids)
    async with await psycopg.AsyncConnection.connect(database_url, row_factory=dict_row) as connection:
        rows = {row["id"]: row for row in await _fetch(connection, _PAYMENTS, wanted)}
        refunds = _grouped(await _fetch(connection, _REFUNDS, wanted))
        operations = _grouped(await _fetch(connection, _OPERATIONS, wanted))
        moves = _grouped(await _fetch(connection, _MOVES, wanted))
        held = {row["payment_id"]: row["held_minor"] for row in await _fetch(connection, _HOLDS, wanted)}
    readers = asyncio.Semaphore(BANK_READERS)

    async def at_bank(payment_id: str) -> tuple[tuple[Row, ...], int]:
        async with readers:
            statement = await caller.bank_get("/statement", reference=payment_id, limit=STATEMENT_PAGE)
            listed = await caller.bank_get("/authorizations", reference=payment_id)
        return tuple(statement["operations"]), sum(found["held_minor"] for found in listed["authorizations"])

    at_banks = await asyncio.gather(*(at_bank(payment_id) for payment_id in wanted))
    return [
        PaymentBooks(
            payment_id,
            rows.get(payment_id),
            refunds[payment_id],
            operations[payment_id],
            moves[payment_id],
            held.get(payment_id, 0),
            statement,
            bank_held_minor,
        )
        for payment_id, (statement, bank_held_minor) in zip(wanted, at_banks, strict=True)
    ]


async def _fetch(connection: psycopg.AsyncConnection[Row], query: LiteralString, wanted: list[str]) -> list[Row]:
    return await (await connection.execute(query, [wanted])).fetchall()


def _grouped(rows: list[Row]) -> defaultdict[str, tuple[Row, ...]]:
    found: defaultdict[str, tuple[Row, ...]] = defaultdict(tuple)
    for row in rows:
        found[row["payment_id"]] += (row,)
    return found


def disagreements(books: PaymentBooks) -> list[str]:
    """Return what the sides of one payment at rest disagree on, a sentence each; none is what there should be."""
    row = books.row
    if row is None:
        return _of_nothing(books)
    net = row["amount_captured_minor"] - row["amount_refunded_minor"]
    found = []
    if books.ledger_net_minor != net:
        found.append(f"the row has {net}, the ledger {books.ledger_net_minor}")
    if row["kind"] == "card" and books.bank_net_minor != net:
        found.append(f"the row has {net}, the bank {books.bank_net_minor}")
    found += _of_holds(books, row) + _of_steps(books, row)
    open_refunds = [f"{r['id']} is {r['status']}" for r in books.refunds if not RefundStatus(r["status"]).is_final]
    if open_refunds or row["amount_refunding_minor"]:
        found.append(f"refunds are under way: {open_refunds}, {row['amount_refunding_minor']} reserved")
    if row["pending_capture_minor"] and PaymentStatus(row["status"]).is_final:
        found.append(f"a capture of {row['pending_capture_minor']} is noted as under way")
    return [f"{books.payment_id} ({books.status}): {sentence}" for sentence in found]


def _of_nothing(books: PaymentBooks) -> list[str]:
    left = books.moves or books.operations or books.refunds or books.ledger_held_minor
    if left or books.bank_held_minor or books.bank_net_minor:
        return [f"{books.payment_id}: it has no row, but something is written of it: {books}"]
    return []


def _of_holds(books: PaymentBooks, row: Row) -> list[str]:
    waiting = row["status"] == PaymentStatus.REQUIRES_CAPTURE
    expected = row["amount_minor"] - row["amount_captured_minor"] if waiting else 0
    found = []
    if books.ledger_held_minor != expected:
        found.append(f"the ledger holds {books.ledger_held_minor}, not {expected}")
    if row["kind"] == "card" and books.bank_held_minor != expected:
        found.append(f"the bank holds {books.bank_held_minor}, not {expected}")
    return found


def _of_steps(books: PaymentBooks, row: Row) -> list[str]:
    """Compare step by step: no effect may stand twice, even where the sums would still agree."""
    found = []
    given_back = [r["amount_minor"] for r in books.refunds if r["status"] == RefundStatus.SUCCEEDED]
    booked_back = [-amount for amount in books.booked_minor if amount < 0]
    if sorted(given_back) != sorted(booked_back):
        found.append(f"refunds of {given_back} were noted, {booked_back} booked")
    if row["kind"] == "card" and not _was_reversed(books):
        settled = [operation["settled_minor"] for operation in books.statement if operation["settled_minor"]]
        if sorted(settled) != sorted(books.booked_minor):
            found.append(f"the bank settled {settled}, the ledger booked {list(books.booked_minor)}")
    succeeded = [o["amount_minor"] for o in books.operations if _moved(o, row)]
    booked = [amount for amount in books.booked_minor if amount > 0]
    if row["kind"] == "card" and PaymentStatus(row["status"]).is_final and sorted(succeeded) != sorted(booked):
        found.append(f"operations that took {succeeded} are noted, {booked} booked")
    return found


def _was_reversed(books: PaymentBooks) -> bool:
    return any(operation["kind"] == "reversal" and operation["settled_minor"] for operation in books.statement)


def _moved(operation: Row, row: Row) -> bool:
    """Whether an operation is noted to have taken money: a capture, or the authorization of a sale."""
    kinds = {OperationKind.CAPTURE}
    if row["capture_method"] == CaptureMethod.AUTOMATIC:
        kinds.add(OperationKind.AUTHORIZE)
    return operation["status"] == OperationStatus.SUCCEEDED and operation["kind"] in kinds
