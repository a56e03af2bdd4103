"""Edits by hand, as the application, as the owner and as a superuser: refused, or else without any inconsistency."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import errors, sql

from domain.ledger.entries import JournalEntry, LedgerResult, capture, hold, post
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_guards import TABLES
from infra.postgres.ledger_verify import verify
from tests.support.database import Database

Connection = psycopg.Connection[Any]

EDITS: list[LiteralString] = [
    "UPDATE ledger_balances SET credits_posted = credits_posted + 1",
    "UPDATE ledger_balances SET closed = true",
    "DELETE FROM ledger_balances",
    "TRUNCATE ledger_balances",
    "INSERT INTO ledger_balances SELECT 99, 0, 0, 0, 0, false, false, false, 'USD', 'default'",
    "UPDATE ledger_holds SET remaining_minor = 1",
    "UPDATE ledger_holds SET expires_at = now()",
    "DELETE FROM ledger_holds",
    "TRUNCATE ledger_holds",
    "INSERT INTO ledger_holds SELECT 1, 1, 2, 5, NULL, 'pending', 'USD', 'default', 'k'",
    "UPDATE ledger_transfers SET amount_minor = 1",
    "UPDATE ledger_transfers SET key = 'x' WHERE false",
    "DELETE FROM ledger_transfers",
    "TRUNCATE ledger_transfers",
    "UPDATE ledger_entries SET description = 'x'",
    "DELETE FROM ledger_entries",
    "TRUNCATE ledger_entries",
    "TRUNCATE ledger_accounts CASCADE",
    "TRUNCATE tenants CASCADE",
    "DELETE FROM ledger_accounts",
    "UPDATE ledger_accounts SET currency = 'EUR'",
    "UPDATE ledger_accounts SET may_go_negative = true",
    "UPDATE ledger_accounts SET public_id = 'x' WHERE public_id = 'alice'",
    """MERGE INTO ledger_balances b USING ledger_accounts a ON a.id = b.account_id
       WHEN MATCHED THEN UPDATE SET debits_posted = 7""",
    "INSERT INTO ledger_transfers SELECT * FROM ledger_transfers ON CONFLICT (id) DO UPDATE SET amount_minor = 7",
]

ENTRY = """
    WITH account AS (
        SELECT max(id) FILTER (WHERE public_id = 'alice') AS alice, max(id) FILTER (WHERE public_id = 'bob') AS bob,
               max(id) FILTER (WHERE public_id = 'euros') AS euros, max(id) FILTER (WHERE public_id = 'carol') AS carol
        FROM ledger_accounts
    ), line AS (
        SELECT (500 << 20) + n AS id, format('hand-%s', n) AS key, alice AS debit, bob AS credit
        FROM account, generate_series(0, 1) AS n
    ), entry AS (
        INSERT INTO ledger_entries (id, tenant_id, key, description, transfer_count, content_digest, created_at)
        SELECT min(id), 'default', 'by-hand', 'a correction', {count}, ledger_entry_digest('default', 'by-hand', NULL,
            string_agg(ledger_transfer_content(key, 'post', debit, credit, {digested}, 'USD', NULL, NULL, NULL, NULL),
                       e'\\x1e' ORDER BY id), 'a correction'), now()
        FROM line
    )
    INSERT INTO ledger_transfers
        (id, entry_id, tenant_id, key, kind, debit_account_id, credit_account_id, currency, amount_minor, created_at)
    SELECT {id}, 500 << 20, '{tenant}', key, 'post', debit, {credit}, '{currency}', {amount}, now() FROM line, account
"""
SOUND: dict[str, str] = {
    "count": "2", "digested": "5", "id": "line.id", "tenant": "default", "credit": "credit", "currency": "USD",
    "amount": "5",
}  # fmt: skip


@pytest.fixture
async def history(wallets: PostgresLedger) -> PostgresLedger:
    """A ledger with a post, a hold that is partly captured, and a hold that is whole."""
    outcomes = await wallets.apply(
        [
            JournalEntry(
                "default", "e1", (hold("h1", "alice", "bob", 30, "USD"), capture("c1", "h1", 10, final=False))
            ),
            JournalEntry(
                "default", "e2", (hold("h2", "alice", "carol", 20, "USD"), post("p2", "alice", "bob", 1, "USD"))
            ),
        ]
    )
    assert {o.result for o in outcomes} == {LedgerResult.CREATED}
    return wallets


@pytest.fixture
def owner(database: Database, history: PostgresLedger) -> Iterator[Connection]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


def snapshot(connection: Connection) -> list[Any]:
    """Everything the ledger holds."""
    return [connection.execute(sql.SQL("TABLE {} ORDER BY 1").format(sql.Identifier(t))).fetchall() for t in TABLES]


@pytest.mark.parametrize("role", ["app", "owner", "superuser", "replica"])
async def test_no_role_can_edit_the_ledger_by_hand(database: Database, history: PostgresLedger, role: str) -> None:
    url = {"app": database.app_url, "owner": database.owner_url}.get(role, database.superuser_url)
    with psycopg.connect(url, autocommit=True) as connection:
        if role == "replica":
            # Silences ordinary triggers, so ours are enabled always.
            connection.execute("SET session_replication_role = replica")
        before = snapshot(connection)
        for edit in EDITS:
            with pytest.raises((errors.InsufficientPrivilege, errors.IntegrityError)) as refused:
                connection.execute(edit)
            if role != "app" and not isinstance(refused.value, errors.IntegrityConstraintViolation):
                assert isinstance(refused.value, (errors.UniqueViolation, errors.CheckViolation)), edit
        assert snapshot(connection) == before
        assert verify(connection) == []


@pytest.mark.parametrize(
    "call",
    [
        "SELECT ledger_apply_at('[]', now())",
        "SELECT ledger_book(NULL, now())",
        "SELECT ledger_expire_due_at(1, now())",
        "SELECT ledger_release_due(NULL, NULL, now())",
        "SELECT nextval('ledger_batches')",
        "INSERT INTO tenants (id, name) VALUES ('mine', 'Mine')",
        "ALTER TABLE ledger_balances DISABLE TRIGGER ALL",
        "CREATE FUNCTION public.ledger_mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
async def test_the_application_cannot_reach_the_inner_functions(
    database: Database, history: PostgresLedger, call: LiteralString
) -> None:
    with (
        psycopg.connect(database.app_url, autocommit=True) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(call)


def test_a_refusal_says_what_happened_and_what_to_do(owner: Connection) -> None:
    with pytest.raises(errors.IntegrityConstraintViolation) as refused:
        owner.execute("DELETE FROM ledger_transfers")
    assert "append-only: DELETE on ledger_transfers is refused" in str(refused.value)
    assert refused.value.diag.message_hint == "Book a new entry that corrects the old one, through ledger_apply."
    with pytest.raises(errors.IntegrityConstraintViolation) as refused:
        owner.execute("UPDATE ledger_balances SET debits_posted = 0")
    assert "derived from ledger_transfers" in str(refused.value)
    assert refused.value.diag.message_hint is not None


def test_a_sound_entry_inserted_by_hand_moves_the_balances_with_it(owner: Connection) -> None:
    owner.execute(ENTRY.format(**SOUND))
    assert owner.execute(
        "SELECT debits_posted, credits_posted FROM ledger_read_balances('default', '{alice}')"
    ).fetchone() == (21, 100)
    owner.execute("SELECT setval('ledger_batches', 500)")
    assert verify(owner) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"count": "1"}, "is not whole|belongs to no entry"),
        ({"count": "3"}, "is not whole"),
        ({"digested": "6"}, "is not whole"),
        ({"amount": "6"}, "is not whole"),
        ({"id": "line.id + 1"}, "is not whole|belongs to no entry"),
        ({"id": "line.id - 1"}, "follow_their_entry"),
        ({"tenant": "other"}, "cannot take|belongs to no entry"),
        ({"currency": "EUR"}, "cannot take"),
        ({"credit": "account.euros"}, "cannot take"),
        ({"credit": "account.carol"}, "is not whole"),
        ({"credit": "debit"}, "accounts_are_different"),
        ({"credit": "12345"}, "cannot take"),
        ({"amount": "60", "digested": "60"}, "debits_must_not_exceed_credits"),
        ({"amount": "0", "digested": "0"}, "amount_fits_kind"),
        ({"amount": "-5", "digested": "-5"}, "amount_fits_kind"),
    ],
)
def test_an_unsound_entry_inserted_by_hand_is_refused_whole(
    owner: Connection, change: dict[str, str], reason: str
) -> None:
    before = snapshot(owner)
    with pytest.raises(errors.IntegrityError, match=reason):
        owner.execute(ENTRY.format(**{**SOUND, **change}))
    assert snapshot(owner) == before


def test_an_entry_without_transfers_and_transfers_without_an_entry_are_refused(owner: Connection) -> None:
    with pytest.raises(errors.IntegrityConstraintViolation, match="not whole"):
        owner.execute(
            """INSERT INTO ledger_entries (id, tenant_id, key, description, transfer_count, content_digest, created_at)
               SELECT id + (900::bigint << 20), tenant_id, 'lone', description, 1, content_digest, now()
               FROM ledger_entries LIMIT 1"""
        )
    with pytest.raises(errors.IntegrityConstraintViolation, match="belongs to no entry"):
        owner.execute(
            """INSERT INTO ledger_transfers SELECT (jsonb_populate_record(t, jsonb_build_object(
                   'id', 900::bigint << 20, 'entry_id', 900::bigint << 20, 'key', 'lone'))).*
               FROM ledger_transfers t WHERE key = 'fund'"""
        )


def test_an_entry_cannot_be_extended_later(owner: Connection) -> None:
    for shift in (1, 2, 3):
        with pytest.raises(errors.IntegrityError, match=r"belongs to no entry|already exists"):
            owner.execute(
                """INSERT INTO ledger_transfers SELECT (jsonb_populate_record(t, jsonb_build_object(
                       'id', t.id + %s, 'key', 'more', 'created_at', t.created_at))).*
                   FROM ledger_transfers t WHERE key = 'p2'""",
                [shift - 1],
            )


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "capture", "amount_minor": 21, "is_final": True, "takes_all": False},
        {"kind": "capture", "amount_minor": 5, "is_final": False, "takes_all": False, "credit_account_id": 2},
        {"kind": "capture", "amount_minor": 5, "is_final": True, "takes_all": False},
        {"kind": "capture", "amount_minor": 5, "is_final": False, "takes_all": True},
        {"kind": "void", "amount_minor": 0, "released_minor": 19},
        {"kind": "void", "amount_minor": 0, "released_minor": 21},
        {"kind": "expire", "amount_minor": 0, "released_minor": 20},
    ],
)
def test_a_hold_cannot_be_settled_by_hand_against_its_terms(owner: Connection, values: dict[str, Any]) -> None:
    before = snapshot(owner)
    with pytest.raises(errors.IntegrityError, match=r"cannot be settled|sums_are_not_negative"):
        owner.execute(
            """
            WITH line AS (
                SELECT (jsonb_populate_record(t, jsonb_build_object(
                    'id', 700::bigint << 20, 'entry_id', 700::bigint << 20, 'key', 'by-hand', 'hold_id', t.id,
                    'created_at', now()) || %s::jsonb)).*
                FROM ledger_transfers t WHERE key = 'h2'
            ), entry AS (
                INSERT INTO ledger_entries (id, tenant_id, key, description, transfer_count, content_digest, created_at)
                SELECT id, tenant_id, key, '', 1, ledger_entry_digest('default', 'by-hand', NULL,
                    ledger_transfer_content(key, kind, NULL, NULL, amount_minor, NULL, 'h2', is_final, takes_all, NULL),
                    ''), created_at
                FROM line
            )
            INSERT INTO ledger_transfers SELECT * FROM line
            """,
            [psycopg.types.json.Jsonb(values)],
        )
    assert snapshot(owner) == before


def test_closing_an_account_by_hand_reaches_its_balance_row(owner: Connection) -> None:
    owner.execute("UPDATE ledger_accounts SET status = 'closed', closed_at = now() WHERE public_id = 'bob'")
    assert owner.execute(
        "SELECT closed FROM ledger_balances JOIN ledger_accounts a ON a.id = account_id WHERE a.public_id = 'bob'"
    ).fetchone() == (True,)
    assert verify(owner) == []
    with pytest.raises(errors.IntegrityConstraintViolation, match="cannot take"):
        owner.execute(ENTRY.format(**SOUND))
