"""What guards the ledger: tables, triggers, constraints, functions and grants, compared with what the migrations have made.

Invariant: what is expected is read from the SQL of the migrations itself, so the two cannot drift apart. A guard is known by what
it does and not by its name: one put in its place that does less is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

import psycopg

Connection = psycopg.Connection[tuple[object, ...]]

VERSIONS = Path(__file__).parent / "migrations" / "versions"
TABLES = ("ledger_accounts", "ledger_balances", "ledger_entries", "ledger_transfers", "ledger_holds")
APP_ROLE = "clearhold_app"

_FUNCTION = re.compile(
    r"create (?:or replace )?function (ledger_\w+)\s*\(.*?\bas \$\$(.*?)\$\$", re.DOTALL | re.IGNORECASE
)
_TRIGGER = re.compile(r"create trigger (ledger_\w+)\s[^;]*?\bon (ledger_\w+)\s[^;]*;", re.IGNORECASE)
_EVENTS = re.compile(r"(?<=(?:before|.after) )[a-z ]+?(?= on )")
_TABLE = re.compile(r"^create (?:unlogged )?table (ledger_\w+) \((.*?)^\)", re.DOTALL | re.IGNORECASE | re.MULTILINE)
_COLUMN = re.compile(r"^  ([a-z_]+) [a-z]", re.MULTILINE)
_CONSTRAINT = re.compile(
    r"^  constraint (ledger_\w+)\s+(.*?),?\s*(?=^  constraint |\Z)", re.DOTALL | re.IGNORECASE | re.MULTILINE
)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_UNIQUE_INDEX = re.compile(r"create unique index (ledger_\w+)[^;]*;", re.IGNORECASE)
_CALLABLE = re.compile(r"grant execute on function(.*?)to clearhold_app", re.DOTALL | re.IGNORECASE)

_SEARCH_PATH = "search_path=pg_catalog, public, pg_temp"

_TABLES_SQL = """
    SELECT c.relname, c.relpersistence <> 'p', c.relrowsecurity OR c.relforcerowsecurity,
           EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid),
           EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid)
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(%s)
"""
_TRIGGERS_SQL = """
    SELECT t.tgname, c.relname, pg_get_triggerdef(t.oid), t.tgenabled
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal AND c.relname LIKE 'ledger\\_%'
"""
# Enforcement can be switched off since PostgreSQL 18; older catalogs have no such column.
_CONSTRAINTS_SQL = """
    SELECT conname, conrelid::regclass::text, contype::text, pg_get_constraintdef(c.oid),
           ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey))
    FROM pg_constraint c
    WHERE connamespace = 'public'::regnamespace AND convalidated
      AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
"""
_INDEXES_SQL = """
    SELECT c.relname, pg_get_indexdef(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique AND i.indisvalid AND i.indisready
"""
_FUNCTIONS_SQL = """
    SELECT proname, prosrc, has_function_privilege(%s, oid, 'EXECUTE'), prosecdef, coalesce(proconfig, '{}'),
           count(*) OVER (PARTITION BY proname)
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'ledger\\_%%'
"""
_GRANTS_SQL = """
    SELECT table_name, privilege FROM unnest(%s::text[]) AS table_name,
        unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS privilege
    WHERE has_table_privilege(%s, format('public.%%I', table_name), privilege)
       OR privilege IN ('INSERT', 'UPDATE') AND has_any_column_privilege(%s, format('public.%%I', table_name), privilege)
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


def broken_tables(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield tables that do not outlive a crash, or whose rows a rule, a policy or an heir could hide or add."""
    faults = (
        "it is not logged: a crash empties it",
        "it has row security: some do not see all of it",
        "it has a rule, which may do something else than was asked for",
        "it inherits or is inherited from: rows come from elsewhere",
    )
    found = {row[0]: row[1:] for row in _rows(connection, _TABLES_SQL, [list(TABLES)])}
    for table in TABLES:
        if table not in found:
            yield f"table {table}", "it is gone"
            continue
        for fault, has_it in zip(faults, found[table], strict=True):
            if has_it:
                yield f"table {table}", fault


def broken_triggers(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield `(where, what)` for triggers that are gone, not always enabled, changed, or not ours."""
    expected = {match.group(1, 2): _normal(match[0]) for match in _TRIGGER.finditer(_sql())}
    found = {(name, table): (text, state) for name, table, text, state in _rows(connection, _TRIGGERS_SQL)}
    for (name, table), definition in expected.items():
        where = f"trigger {name} on {table}"
        if (name, table) not in found:
            yield where, "it is gone"
            continue
        has, state = found[name, table]
        if _normal(str(has)) != definition:
            yield where, f"it was made by {has}"
        if state not in ("A", b"A"):
            yield where, "it is disabled, or does not fire for a session that plays a replica"
    for extra in found.keys() - expected.keys():
        yield f"trigger {extra[0]} on {extra[1]}", "no migration has made it"


def broken_constraints(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield constraints and unique indexes that are gone, not enforced, or about something else.

    The server writes a CHECK in words of its own, so of a CHECK only the columns it speaks of are compared.
    """
    found = {(name, table): rest for name, table, *rest in _rows(connection, _CONSTRAINTS_SQL)}
    for table, body in _TABLE.findall(_COMMENT.sub("", _sql())):
        columns = set(_COLUMN.findall(body)) - {"constraint"}
        for name, definition in _CONSTRAINT.findall(body):
            where = f"constraint {name}"
            if (name, table) not in found:
                yield where, "it is gone, or not enforced"
                continue
            kind, has, has_columns = found[name, table]
            if kind in ("c", b"c"):
                if set(cast("list[str]", has_columns)) != columns & set(re.findall(r"[a-z_]+", definition)):
                    yield where, f"it is another one: {has}"
            elif _normal(str(has)) != _normal(definition):
                yield where, f"it is another one: {has}"
    unique = {name: str(text) for name, text in _rows(connection, _INDEXES_SQL)}
    for match in _UNIQUE_INDEX.finditer(_sql()):
        if match[1] not in unique:
            yield f"unique index {match[1]}", "it is gone, or invalid"
        elif _normal(unique[match[1]]) != _normal(match[0]):
            yield f"unique index {match[1]}", f"it is another one: {unique[match[1]]}"


def _normal(definition: str) -> str:
    """Bring a definition, ours or the server's, to one form: lower case, no schema, events sorted, no spaces."""
    text = " ".join(definition.lower().rstrip(";").split()).replace("public.", "").replace(" using btree", "")
    text = _EVENTS.sub(lambda events: " or ".join(sorted(events[0].split(" or "))), text)
    return re.sub(r"\s*([(),])\s*", r"\1", text)


def broken_functions(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield functions that are gone, that differ from this release, or that the application may or may not call."""
    callable_by_app = {name for block in _CALLABLE.findall(_sql()) for name in re.findall(r"(ledger_\w+)\s*\(", block)}
    found = {row[0]: row for row in _rows(connection, _FUNCTIONS_SQL, [APP_ROLE])}
    for name, body in expected_functions().items():
        if name not in found:
            yield f"function {name}", "it is gone"
            continue
        _, source, executable, is_definer, settings, count = found[name]
        if source != body:
            yield f"function {name}", "its code is not that of this release"
        if executable != (name in callable_by_app):
            yield f"function {name}", f"the application may{'' if executable else ' not'} call it"
        if is_definer and _SEARCH_PATH not in cast("list[str]", settings):
            yield f"function {name}", "it runs with the owner's rights and has no fixed search_path"
        if cast("int", count) > 1:
            yield f"function {name}", "there is another of that name, with other parameters"
    for unknown in found.keys() - expected_functions().keys():
        yield f"function {unknown}", "no migration has made it"


def broken_grants(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield tables of the ledger that the application could write without its functions."""
    for table, privilege in _rows(connection, _GRANTS_SQL, [list(TABLES), APP_ROLE, APP_ROLE]):
        yield f"table {table}", f"{APP_ROLE} may {privilege} it"
    for is_superuser, is_owner in _rows(connection, _ROLE_SQL, [APP_ROLE]):
        if is_superuser or is_owner:
            yield f"role {APP_ROLE}", "it is a superuser or belongs to the owner of the ledger"


def _rows(
    connection: Connection, query: LiteralString, parameters: list[object] | None = None
) -> list[tuple[object, ...]]:
    return connection.execute(query, parameters).fetchall()
