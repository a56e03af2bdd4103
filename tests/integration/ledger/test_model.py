"""Random histories, driven through the real database and through the book in memory side by side.

Invariant under test: for the same batches at the same times both give the same answer to every entry, the same balances of
every account, and the same standing of every hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from domain.ledger.accounts import Account, Balances, NormalSide
from domain.ledger.book import Book
from domain.ledger.entries import JournalEntry, LedgerResult, Transfer, TransferKind
from domain.ledger.records import HoldState
from infra.local.postgres import LocalPostgres
from infra.postgres.ledger_verify import verify
from infra.postgres.ledger_wire import to_json
from tests.support.database import fresh_database

START = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLES = 40
STEPS = 25
ACCOUNTS = ("bank", "cash", "alice", "bob", "shop", "euros")
KEYS = [f"t{n}" for n in range(24)]
_tenants = itertools.count(1)

ids = st.sampled_from([*ACCOUNTS, *ACCOUNTS, "nobody"])
amounts = st.one_of(st.integers(1, 60), st.sampled_from([-1, 0, 10**15, 10**15 + 1, 10**25]))
currencies = st.sampled_from(["USD"] * 9 + ["EUR"])
expiries = st.sampled_from([None, None, 0, 1, 2, 4])


@st.composite
def transfers(draw: st.DrawFn) -> Transfer:
    """A transfer that is often sound and sometimes not, about few accounts and few keys, so that they meet."""
    kind = draw(st.sampled_from([*TransferKind, TransferKind.POST, TransferKind.HOLD, TransferKind.CAPTURE]))
    key = draw(st.sampled_from([*KEYS, *KEYS, "", "expire:t1", "x" * 201]))
    if kind in (TransferKind.POST, TransferKind.HOLD):
        debit, credit = draw(ids), draw(ids)
        seconds = draw(expiries) if kind is TransferKind.HOLD else None
        # An offset for now: the machine knows what time it is.
        expires_at = None if seconds is None else START + timedelta(seconds=seconds)
        return Transfer(key, kind, debit, credit, draw(amounts), draw(currencies), expires_at=expires_at)
    amount = draw(st.one_of(st.none(), st.integers(-1, 40)))
    return Transfer(key, kind, amount_minor=amount, hold=draw(st.sampled_from(KEYS)), final=draw(st.booleans()))


entries = st.builds(
    JournalEntry,
    tenant_id=st.just("-"),
    key=st.sampled_from([f"e{n}" for n in range(40)] + ["", "expire:e"]),
    transfers=st.lists(transfers(), max_size=4).map(tuple),
    payment_id=st.sampled_from([None, None, "pay_1"]),
)


class LedgerAgainstBook(RuleBasedStateMachine):
    """One tenant of its own in a database shared by all examples."""

    connection: psycopg.Connection[Any]

    def __init__(self) -> None:
        super().__init__()
        self.tenant = f"model-{next(_tenants)}"
        self.now = START
        self.book = Book([self.tenant])
        self.connection.execute("INSERT INTO tenants (id, name) VALUES (%s, 'model')", [self.tenant])
        accounts = [
            Account(self.tenant, "bank", "USD", NormalSide.DEBIT, may_go_negative=True),
            Account(self.tenant, "cash", "USD", NormalSide.DEBIT),
            Account(self.tenant, "alice", "USD", NormalSide.CREDIT),
            Account(self.tenant, "bob", "USD", NormalSide.CREDIT),
            Account(self.tenant, "shop", "USD", NormalSide.CREDIT, may_go_negative=True),
            Account(self.tenant, "euros", "EUR", NormalSide.CREDIT, may_go_negative=True),
        ]
        opened = self.connection.execute(
            "SELECT result FROM ledger_open_accounts(%s::jsonb) ORDER BY ordinal", [to_json(accounts)]
        ).fetchall()
        assert [result for (result,) in opened] == [self.book.open_account(account) for account in accounts]

    @rule(batch=st.lists(entries, min_size=1, max_size=8), again=st.booleans())
    def apply(self, batch: list[JournalEntry], again: bool) -> None:
        """Book a batch, and perhaps the same once more."""
        batch = [self._mine(entry) for entry in batch]
        self._apply_to_both(batch)
        if again:
            self._apply_to_both(batch)

    @rule(amount=st.integers(1, 200), number=st.integers(0, 10**9))
    def fund(self, amount: int, number: int) -> None:
        """Give alice and cash something to spend."""
        lines = (
            Transfer(f"fund-a{number}", TransferKind.POST, "bank", "alice", amount, "USD"),
            Transfer(f"fund-c{number}", TransferKind.POST, "cash", "bank", amount, "USD"),
        )
        self._apply_to_both([JournalEntry(self.tenant, f"fund-{number}", lines)])

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass; holds come due."""
        self.now += timedelta(seconds=seconds)

    @rule(limit=st.integers(1, 3))
    def sweep(self, limit: int) -> None:
        """Release some of the holds that are due, which must not show."""
        self.connection.execute("SELECT ledger_expire_due_at(%s, %s)", [limit, self.now])

    @precondition(lambda self: self.now > START)
    @rule(account=st.sampled_from(["bob", "shop", "nobody"]))
    def close(self, account: str) -> None:
        """Close an account."""
        (result,) = self.connection.execute("SELECT ledger_close_account(%s, %s)", [self.tenant, account]).fetchone()  # type: ignore[misc]
        assert result == self.book.close_account(self.tenant, account)

    @invariant()
    def balances_agree(self) -> None:
        """Every account has the same sums in both."""
        rows = self.connection.execute(
            "SELECT * FROM ledger_read_balances(%s, %s, %s)", [self.tenant, list(ACCOUNTS), self.now]
        ).fetchall()
        found = {account: Balances(*sums) for account, *sums in rows}
        assert found == {account: self.book.balances(self.tenant, account, self.now) for account in ACCOUNTS}

    @invariant()
    def holds_agree(self) -> None:
        """Every hold stands the same in both; one past its time is expired, whether released yet or not."""
        rows = self.connection.execute(
            """SELECT key, CASE WHEN state = 'pending' AND expires_at <= %s THEN 'expired' ELSE state END,
                      CASE WHEN expires_at <= %s THEN 0 ELSE remaining_minor END
               FROM ledger_holds WHERE tenant_id = %s""",
            [self.now, self.now, self.tenant],
        ).fetchall()
        for key, state, remaining in rows:
            held = self.book.hold(self.tenant, key)
            assert held is not None
            due = held.is_due(self.now)
            expected = (HoldState.EXPIRED, 0) if due else (held.state, held.remaining_minor)
            assert (state, remaining) == expected, key

    def teardown(self) -> None:
        """The books prove themselves after every history."""
        assert verify(self.connection) == []

    def _mine(self, entry: JournalEntry) -> JournalEntry:
        lines = tuple(
            replace(t, expires_at=None if t.expires_at is None else self.now + (t.expires_at - START))
            for t in entry.transfers
        )
        return JournalEntry(self.tenant, entry.key, lines, entry.payment_id)

    def _apply_to_both(self, batch: list[JournalEntry]) -> None:
        rows = self.connection.execute(
            "SELECT result, failed_transfer FROM ledger_apply_at(%s::jsonb, %s) ORDER BY ordinal",
            [to_json([_storable(entry) for entry in batch]), self.now],
        ).fetchall()
        expected = self.book.apply(batch, self.now)
        assert [(LedgerResult(result), failed) for result, failed in rows] == [
            (outcome.result, outcome.failed_transfer) for outcome in expected
        ]


def _storable(entry: JournalEntry) -> JournalEntry:
    """JSON carries no integer beyond 64 bits; the wire module bounds them, as this does."""
    lines = tuple(
        replace(t, amount_minor=None if t.amount_minor is None else min(t.amount_minor, 2 * 10**15))
        for t in entry.transfers
    )
    return JournalEntry(entry.tenant_id, entry.key, lines, entry.payment_id)


@contextmanager
def owner_connection(server: LocalPostgres) -> Iterator[psycopg.Connection[Any]]:
    """The owner may call the functions that take the time as an argument; the application may not."""
    with (
        fresh_database(server) as database,
        psycopg.connect(database.owner_url, autocommit=True) as connection,
    ):
        yield connection


@pytest.mark.slow
def test_the_database_answers_as_the_book_does_for_any_history(postgres_server: LocalPostgres) -> None:
    with owner_connection(postgres_server) as connection:
        LedgerAgainstBook.connection = connection
        run_state_machine_as_test(
            LedgerAgainstBook,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
