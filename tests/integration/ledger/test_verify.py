"""Verification: silent on a sound ledger, and precise about what somebody with all rights did to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from domain.ledger.entries import JournalEntry, LedgerResult, capture, hold, post, void
from infra.postgres.ledger import PostgresLedger
from infra.postgres.ledger_verify import MAX_FINDINGS_PER_CHECK, Finding, verify
from tests.support.database import Database

Connection = psycopg.Connection[Any]


@pytest.fixture
async def superuser(database: Database, wallets: PostgresLedger) -> Iterator[Connection]:  # type: ignore[misc]
    """A superuser on a ledger with some history."""
    outcomes = await wallets.apply(
        [
            JournalEntry(
                "default", "e1", (hold("h1", "alice", "bob", 30, "USD"), capture("c1", "h1", 10, final=False))
            ),
            JournalEntry("default", "e2", (hold("h2", "alice", "carol", 20, "USD"), void("v2", "h2")), "pay_2", "text"),
            JournalEntry("default", "e3", (post("p3", "alice", "bob", 7, "USD"), capture("c3", "h1", 0))),
        ]
    )
    assert {o.result for o in outcomes} == {LedgerResult.CREATED}
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        yield connection


def tamper(connection: Connection, *edits: LiteralString) -> list[Finding]:
    """Do what only somebody with all rights can: edit with the triggers off, and put everything back in place."""
    tables = ("accounts", "balances", "entries", "transfers", "holds")
    with connection.transaction():
        for table in tables:
            connection.execute(f"ALTER TABLE ledger_{table} DISABLE TRIGGER ALL")
        for edit in edits:
            connection.execute(edit)
        names = connection.execute(
            """SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
               WHERE c.relname LIKE 'ledger%' AND NOT t.tgisinternal"""
        ).fetchall()
        for table in tables:
            connection.execute(f"ALTER TABLE ledger_{table} ENABLE TRIGGER ALL")
        for table, trigger in names:
            connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
    return verify(connection)


def checks(findings: list[Finding]) -> set[str]:
    return {finding.check for finding in findings}


def test_a_sound_ledger_has_no_findings_for_any_role(database: Database, superuser: Connection) -> None:
    for url in (database.app_url, database.owner_url, database.superuser_url):
        with psycopg.connect(url, autocommit=True) as connection:
            assert verify(connection) == []
        with psycopg.connect(url) as connection:
            assert verify(connection) == []


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (
            "UPDATE ledger_balances SET credits_posted = credits_posted + 1 WHERE credits_posted = 100",
            {"currencies_sum_to_zero", "balances_follow_transfers"},
        ),
        (
            "UPDATE ledger_balances SET credits_posted = credits_posted + 1, debits_posted = debits_posted + 1",
            {"balances_follow_transfers"},
        ),
        (
            "UPDATE ledger_transfers SET amount_minor = 8 WHERE key = 'p3'",
            {"balances_follow_transfers", "entries_are_whole"},
        ),
        ("UPDATE ledger_transfers SET key = 'p4' WHERE key = 'p3'", {"entries_are_whole"}),
        (
            """UPDATE ledger_transfers SET credit_account_id = (SELECT id FROM ledger_accounts WHERE public_id = 'euros')
               WHERE key = 'p3'""",
            {"balances_follow_transfers", "entries_are_whole", "transfers_fit_accounts"},
        ),
        ("DELETE FROM ledger_transfers WHERE key = 'p3'", {"balances_follow_transfers", "entries_are_whole"}),
        (
            "DELETE FROM ledger_transfers WHERE key = 'h2'",
            {"holds_follow_transfers", "entries_are_whole", "transfers_fit_accounts", "balances_follow_transfers"},
        ),
        ("DELETE FROM ledger_entries WHERE key = 'e2'", {"entries_are_whole"}),
        ("UPDATE ledger_entries SET description = 'another' WHERE key = 'e2'", {"entries_are_whole"}),
        ("UPDATE ledger_entries SET payment_id = NULL WHERE key = 'e2'", {"entries_are_whole"}),
        ("UPDATE ledger_entries SET transfer_count = 3 WHERE key = 'e2'", {"entries_are_whole"}),
        ("UPDATE ledger_entries SET tenant_id = 'x' WHERE key = 'e2'", {"entries_are_whole"}),
        ("UPDATE ledger_holds SET state = 'expired' WHERE key = 'h2'", {"holds_follow_transfers"}),
        ("DELETE FROM ledger_holds WHERE key = 'h2'", {"holds_follow_transfers"}),
        (
            "UPDATE ledger_balances SET debits_must_not_exceed_credits = false, closed = true WHERE credits_posted = 100",
            {"accounts_have_balances"},
        ),
        (
            "UPDATE ledger_accounts SET currency = 'GBP' WHERE public_id = 'carol'",
            {"accounts_have_balances", "transfers_fit_accounts"},
        ),
        ("DELETE FROM ledger_accounts WHERE public_id = 'euros'", {"accounts_have_balances"}),
        (
            """UPDATE ledger_accounts SET may_go_negative = false WHERE public_id = 'bank'""",
            {"accounts_have_balances"},
        ),
        (
            """UPDATE ledger_accounts SET may_go_negative = false, normal_side = 'credit' WHERE public_id = 'bank'""",
            {"accounts_have_balances", "limits_are_kept"},
        ),
        ("SELECT setval('ledger_batches', 1)", {"ids_are_ahead"}),
    ],
)
def test_an_edit_with_the_triggers_off_is_found(superuser: Connection, edit: LiteralString, found: set[str]) -> None:
    findings = tamper(superuser, edit)
    assert checks(findings) == found
    for finding in findings:
        assert finding.where
        assert finding.what
        assert finding.meaning
        assert finding.advice


@pytest.mark.parametrize(
    ("edit", "check", "where"),
    [
        (
            "ALTER TABLE ledger_transfers DISABLE TRIGGER ledger_transfers_are_immutable",
            "triggers_stand",
            "trigger ledger_transfers_are_immutable on ledger_transfers",
        ),
        (
            "ALTER TABLE ledger_transfers ENABLE TRIGGER ledger_transfers_are_immutable",
            "triggers_stand",
            "trigger ledger_transfers_are_immutable on ledger_transfers",
        ),
        (
            "DROP TRIGGER ledger_balances_are_derived ON ledger_balances",
            "triggers_stand",
            "trigger ledger_balances_are_derived on ledger_balances",
        ),
        (
            """CREATE TRIGGER extra AFTER INSERT ON ledger_transfers
               FOR EACH STATEMENT EXECUTE FUNCTION ledger_transfers_belong()""",
            "triggers_stand",
            "trigger extra on ledger_transfers",
        ),
        (
            "ALTER TABLE ledger_balances DROP CONSTRAINT ledger_balances_sums_are_not_negative",
            "constraints_stand",
            "constraint ledger_balances_sums_are_not_negative",
        ),
        ("DROP INDEX ledger_entries_key_key", "constraints_stand", "unique index ledger_entries_key_key"),
        (
            """DROP TRIGGER ledger_balances_are_derived ON ledger_balances;
               CREATE TRIGGER ledger_balances_are_derived BEFORE INSERT OR UPDATE ON ledger_balances
               FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION ledger_refuse_direct_change();
               ALTER TABLE ledger_balances ENABLE ALWAYS TRIGGER ledger_balances_are_derived""",
            "triggers_stand",
            "trigger ledger_balances_are_derived on ledger_balances",
        ),
        (
            """DROP TRIGGER ledger_transfers_are_immutable ON ledger_transfers;
               CREATE TRIGGER ledger_transfers_are_immutable BEFORE TRUNCATE ON ledger_transfers
               FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
               ALTER TABLE ledger_transfers ENABLE ALWAYS TRIGGER ledger_transfers_are_immutable""",
            "triggers_stand",
            "trigger ledger_transfers_are_immutable on ledger_transfers",
        ),
        (
            """CREATE SCHEMA other; CREATE FUNCTION other.ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql
               AS 'BEGIN RETURN NULL; END';
               DROP TRIGGER ledger_holds_are_kept ON ledger_holds;
               CREATE TRIGGER ledger_holds_are_kept BEFORE DELETE OR TRUNCATE ON ledger_holds
               FOR EACH STATEMENT EXECUTE FUNCTION other.ledger_refuse_change();
               ALTER TABLE ledger_holds ENABLE ALWAYS TRIGGER ledger_holds_are_kept""",
            "triggers_stand",
            "trigger ledger_holds_are_kept on ledger_holds",
        ),
        (
            """ALTER TABLE ledger_balances DROP CONSTRAINT ledger_balances_sums_are_not_negative;
               ALTER TABLE ledger_balances ADD CONSTRAINT ledger_balances_sums_are_not_negative CHECK (true)""",
            "constraints_stand",
            "constraint ledger_balances_sums_are_not_negative",
        ),
        (
            """ALTER TABLE ledger_accounts DROP CONSTRAINT ledger_accounts_public_id_key;
               ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_public_id_key UNIQUE (id, public_id)""",
            "constraints_stand",
            "constraint ledger_accounts_public_id_key",
        ),
        (
            """DROP INDEX ledger_transfers_key_key;
               CREATE UNIQUE INDEX ledger_transfers_key_key ON ledger_transfers (key, tenant_id) WHERE kind = 'post'""",
            "constraints_stand",
            "unique index ledger_transfers_key_key",
        ),
        ("ALTER TABLE ledger_holds SET UNLOGGED", "tables_stand", "table ledger_holds"),
        ("ALTER TABLE ledger_entries ENABLE ROW LEVEL SECURITY", "tables_stand", "table ledger_entries"),
        (
            "CREATE RULE never AS ON INSERT TO ledger_transfers DO INSTEAD NOTHING",
            "tables_stand",
            "table ledger_transfers",
        ),
        ("CREATE TABLE heir () INHERITS (ledger_balances)", "tables_stand", "table ledger_balances"),
        (
            "CREATE FUNCTION ledger_apply(jsonb, integer) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "functions_are_ours",
            "function ledger_apply",
        ),
        (
            "ALTER FUNCTION ledger_apply(jsonb) SET search_path = other, pg_catalog, public, pg_temp",
            "functions_are_ours",
            "function ledger_apply",
        ),
        ("GRANT UPDATE (credits_posted) ON ledger_balances TO clearhold_app", "grants_stand", "table ledger_balances"),
        (
            "CREATE OR REPLACE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "functions_are_ours",
            "function ledger_refuse_change",
        ),
        ("GRANT EXECUTE ON FUNCTION ledger_apply_at TO PUBLIC", "functions_are_ours", "function ledger_apply_at"),
        ("REVOKE EXECUTE ON FUNCTION ledger_apply FROM clearhold_app", "functions_are_ours", "function ledger_apply"),
        ("ALTER FUNCTION ledger_apply(jsonb) RESET search_path", "functions_are_ours", "function ledger_apply"),
        (
            "CREATE FUNCTION ledger_extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "functions_are_ours",
            "function ledger_extra",
        ),
        ("GRANT UPDATE ON ledger_balances TO clearhold_app", "grants_stand", "table ledger_balances"),
        ("GRANT INSERT ON ledger_transfers TO PUBLIC", "grants_stand", "table ledger_transfers"),
    ],
)
def test_a_guard_that_is_taken_away_is_found(
    superuser: Connection, edit: LiteralString, check: str, where: str
) -> None:
    superuser.execute(edit)
    findings = verify(superuser)
    assert {(finding.check, finding.where) for finding in findings} == {(check, where)}


def test_a_change_in_any_function_is_found(superuser: Connection) -> None:
    functions = superuser.execute(
        """SELECT proname, pg_get_functiondef(oid) FROM pg_proc
           WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'ledger\\_%'"""
    ).fetchall()
    assert len(functions) > 20
    for _, definition in functions:
        superuser.execute(definition.replace("AS $function$", "AS $function$ -- changed"))
    found = {finding.where for finding in verify(superuser)}
    assert found == {f"function {name}" for name, _ in functions}


def test_a_loss_of_any_constraint_is_found(superuser: Connection) -> None:
    constraints = superuser.execute(
        """SELECT conname, conrelid::regclass::text FROM pg_constraint
           WHERE conrelid::regclass::text LIKE 'ledger\\_%' AND contype <> 'n'"""
    ).fetchall()
    assert len(constraints) > 25
    for name, table in constraints:
        superuser.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {} CASCADE").format(sql.Identifier(table), sql.Identifier(name))
        )
    found = {finding.where for finding in verify(superuser) if finding.check == "constraints_stand"}
    assert found == {f"constraint {name}" for name, _ in constraints}


def test_an_application_that_belongs_to_the_owner_is_found(superuser: Connection) -> None:
    with superuser.transaction(force_rollback=True):
        superuser.execute("GRANT clearhold_owner TO clearhold_app")
        found = list(map(str, checks_of_roles(superuser)))
    assert any("belongs to the owner" in text for text in found)


def checks_of_roles(connection: Connection) -> list[Any]:
    """The guards alone, within the transaction that is rolled back: roles are shared by all databases."""
    from infra.postgres.ledger_guards import broken_grants

    return list(broken_grants(connection))


def test_findings_are_bounded(superuser: Connection) -> None:
    findings = tamper(
        superuser,
        """INSERT INTO ledger_accounts (tenant_id, public_id, currency, normal_side, purpose, may_go_negative)
           SELECT 'default', 'x' || n, 'USD', 'credit', 'wallet', true FROM generate_series(1, 500) AS n""",
    )
    assert len(findings) == MAX_FINDINGS_PER_CHECK + 1
    assert findings[-1].where == "and more"
