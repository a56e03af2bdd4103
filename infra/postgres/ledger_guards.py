"""What guards the ledger: triggers, constraints, functions and grants, compared with what the migrations have made.

Invariant: what is expected is read from the SQL of the migrations itself, so the two cannot drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import LiteralString

import psycopg

Connection = psycopg.Connection[tuple[object, ...]]

VERSIONS = Path(__file__).parent / "migrations" / "versions"
TABLES = ("ledger_accounts", "ledger_balances", "ledger_entries", "ledger_transfers", "ledger_holds")
APP_ROLE = "clearhold_app"

_FUNCTION = re.compile(
    r"create (?:or replace )?function (ledger_\w+)\s*\(.*?\bas \$\$(.*?)\$\$", re.DOTALL | re.IGNORECASE
)
_TRIGGER = re.compile(
    r"create trigger (ledger_\w+) .*?\bon (ledger_\w+)\s.*?execute function (ledger_\w+)", re.DOTALL | re.IGNORECASE
)
_CONSTRAINT = re.compile(r"constraint (ledger_\w+)\s", re.IGNORECASE)
_UNIQUE_INDEX = re.compile(r"create unique index (ledger_\w+)", re.IGNORECASE)
_CALLABLE = re.compile(r"grant execute on function(.*?)to clearhold_app", re.DOTALL | re.IGNORECASE)

_TRIGGERS_SQL = """
    SELECT t.tgname, c.relname, p.proname, t.tgenabled
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal AND c.relname LIKE 'ledger\\_%'
"""
# Enforcement can be switched off since PostgreSQL 18; older catalogs have no such column.
_CONSTRAINTS_SQL = """
    SELECT conname FROM pg_constraint c
    WHERE connamespace = 'public'::regnamespace AND convalidated
      AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
"""
_INDEXES_SQL = """
    SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique AND i.indisvalid AND i.indisready
"""
_FUNCTIONS_SQL = """
    SELECT proname, prosrc, has_function_privilege(%s, oid, 'EXECUTE'), prosecdef,
           coalesce(proconfig::text, '') LIKE '%%search_path%%'
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'ledger\\_%%'
"""
_GRANTS_SQL = """
    SELECT table_name, privilege FROM unnest(%s::text[]) AS table_name,
        unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS privilege
    WHERE has_table_privilege(%s, format('public.%%I', table_name), privilege)
"""
_ROLE_SQL = """
    SELECT rolsuper, pg_has_role(rolname, (SELECT relowner FROM pg_class WHERE oid = 'public.ledger_transfers'::regclass),
                                 'MEMBER')
    FROM pg_roles WHERE rolname = %s
"""


@cache
def _sql() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(VERSIONS.glob("*/[0-9]*.sql")))


def expected_functions() -> dict[str, str]:
    """Return the body of each function of the ledger, as its newest migration has it."""
    return dict(_FUNCTION.findall(_sql()))


def broken_triggers(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield `(where, what)` for triggers that are gone, not always enabled, changed, or not ours."""
    expected = {(name, table): function for name, table, function in _TRIGGER.findall(_sql())}
    found = {(name, table): (function, state) for name, table, function, state in _rows(connection, _TRIGGERS_SQL)}
    for (name, table), function in expected.items():
        where = f"trigger {name} on {table}"
        if (name, table) not in found:
            yield where, "it is gone"
            continue
        has, state = found[name, table]
        if has != function:
            yield where, f"it calls {has} instead of {function}"
        if state not in ("A", b"A"):
            yield where, "it is disabled, or does not fire for a session that plays a replica"
    for extra in found.keys() - expected.keys():
        yield f"trigger {extra[0]} on {extra[1]}", "no migration has made it"


def broken_constraints(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield constraints and unique indexes that are gone, not validated or not enforced."""
    valid = {name for (name,) in _rows(connection, _CONSTRAINTS_SQL)}
    for name in sorted(set(_CONSTRAINT.findall(_sql())) - valid):
        yield f"constraint {name}", "it is gone, or not enforced"
    unique = {name for (name,) in _rows(connection, _INDEXES_SQL)}
    for name in sorted(set(_UNIQUE_INDEX.findall(_sql())) - unique):
        yield f"unique index {name}", "it is gone, or invalid"


def broken_functions(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield functions that are gone, that differ from this release, or that the application may or may not call."""
    callable_by_app = {name for block in _CALLABLE.findall(_sql()) for name in re.findall(r"(ledger_\w+)\s*\(", block)}
    found = {row[0]: row for row in _rows(connection, _FUNCTIONS_SQL, [APP_ROLE])}
    for name, body in expected_functions().items():
        if name not in found:
            yield f"function {name}", "it is gone"
            continue
        _, source, executable, is_definer, has_path = found[name]
        if source != body:
            yield f"function {name}", "its code is not that of this release"
        if executable != (name in callable_by_app):
            yield f"function {name}", f"the application may{'' if executable else ' not'} call it"
        if is_definer and not has_path:
            yield f"function {name}", "it runs with the owner's rights and has no fixed search_path"
    for unknown in found.keys() - expected_functions().keys():
        yield f"function {unknown}", "no migration has made it"


def broken_grants(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield tables of the ledger that the application could write without its functions."""
    for table, privilege in _rows(connection, _GRANTS_SQL, [list(TABLES), APP_ROLE]):
        yield f"table {table}", f"{APP_ROLE} may {privilege} it"
    for is_superuser, is_owner in _rows(connection, _ROLE_SQL, [APP_ROLE]):
        if is_superuser or is_owner:
            yield f"role {APP_ROLE}", "it is a superuser or belongs to the owner of the ledger"


def _rows(
    connection: Connection, query: LiteralString, parameters: list[object] | None = None
) -> list[tuple[object, ...]]:
    return connection.execute(query, parameters).fetchall()
