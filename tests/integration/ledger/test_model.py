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
_tenants = itertools.count(1)


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw what is usual, and one time in twelve what is odd."""
    # Seven, because Hypothesis prefers the ends of a range.
    return st.integers(0, 11).flatmap(lambda n: odd if n == 7 else usual)


debits = mostly(st.sampled_from(["bank", "bank", "alice", "bob", "cash"]), st.sampled_from([*ACCOUNTS, "nobody"]))
credits_ = mostly(st.sampled_from(["alice", "bob", "shop", "bank"]), st.sampled_from([*ACCOUNTS, "nobody"]))
amounts = mostly(st.integers(1, 40), st.sampled_from([-1, 0, 10**15, 10**15 + 1, 2 * 10**15]))
captured = st.one_of(st.none(), st.integers(1, 20), mostly(st.integers(0, 40), st.just(-1)))
currencies = mostly(st.just("USD"), st.just("EUR"))
lifetimes_s = mostly(st.sampled_from([None, 1, 2, 4]), st.just(0))
kinds = mostly(
    st.sampled_from(
        [TransferKind.POST, TransferKind.HOLD, TransferKind.HOLD, TransferKind.CAPTURE, TransferKind.CAPTURE]
    ),
    st.sampled_from([TransferKind.VOID, TransferKind.VOID, TransferKind.EXPIRE]),
)
odd_keys = st.sampled_from(["", "expire:t1", "x" * 201, "x\x1fy"])


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
        self.keys: list[str] = []
        self.holds: list[str] = []
        self.entries: list[JournalEntry] = []
        self.fund(100)

    @rule(data=st.data())
    def apply(self, data: st.DataObject) -> None:
        """Book a batch of new entries, some of them odd, and some that were sent before."""
        batch: list[JournalEntry] = []
        for _ in range(data.draw(st.integers(1, 6), "entries")):
            if self.entries and data.draw(st.integers(0, 9), "again?") == 7:
                entry = data.draw(st.sampled_from(self.entries), "entry sent before")
                changed = replace(entry, description="changed")
                batch.append(data.draw(mostly(st.just(entry), st.just(changed)), "unchanged?"))
                continue
            lines = tuple(self._draw_transfer(data) for _ in range(data.draw(mostly(st.integers(1, 3), st.just(0)))))
            payment = data.draw(st.sampled_from([None, "pay_1"]), "payment")
            batch.append(JournalEntry(self.tenant, self._draw_key(data, "e"), lines, payment))
        self.entries += batch
        self._apply_to_both(batch)

    @rule(amount=st.integers(1, 100))
    def fund(self, amount: int) -> None:
        """Give alice and cash something to spend."""
        number = len(self.keys)
        self.keys += [f"a{number}", f"c{number}"]
        lines = (
            Transfer(f"a{number}", TransferKind.POST, "bank", "alice", amount, "USD"),
            Transfer(f"c{number}", TransferKind.POST, "cash", "bank", amount, "USD"),
        )
        self._apply_to_both([JournalEntry(self.tenant, f"fund-{number}", lines)])

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0]))
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

    def _draw_key(self, data: st.DataObject, prefix: str) -> str:
        number = len(self.keys)
        known = st.sampled_from(self.keys)
        key: str = data.draw(mostly(st.just(f"{prefix}{number}"), st.one_of(known, odd_keys)), "key")
        self.keys.append(key)
        return key

    def _draw_transfer(self, data: st.DataObject) -> Transfer:
        kind = data.draw(kinds, "kind")
        key = self._draw_key(data, "t")
        if kind in (TransferKind.POST, TransferKind.HOLD):
            expires_at = None
            if kind is TransferKind.HOLD:
                self.holds.append(key)
                lifetime_s = data.draw(lifetimes_s, "lifetime")
                expires_at = None if lifetime_s is None else self.now + timedelta(seconds=lifetime_s)
            debit, credit = data.draw(debits, "debit"), data.draw(credits_, "credit")
            amount, currency = data.draw(amounts, "amount"), data.draw(currencies, "currency")
            return Transfer(key, kind, debit, credit, amount, currency, expires_at=expires_at)
        booked = [name for name in self.holds if self.book.hold(self.tenant, name) is not None]
        likely = booked[-4:] + self.holds[-2:] or ["none"]
        held = mostly(st.sampled_from(likely), st.sampled_from(self.keys))
        amount, final = data.draw(captured, "amount"), data.draw(st.booleans(), "final")
        return Transfer(key, kind, amount_minor=amount, hold=data.draw(held, "hold"), final=final)

    def _apply_to_both(self, batch: list[JournalEntry]) -> None:
        rows = self.connection.execute(
            "SELECT result, failed_transfer FROM ledger_apply_at(%s::jsonb, %s) ORDER BY ordinal",
            [to_json(batch), self.now],
        ).fetchall()
        expected = self.book.apply(batch, self.now)
        assert [(LedgerResult(result), failed) for result, failed in rows] == [
            (outcome.result, outcome.failed_transfer) for outcome in expected
        ]


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
