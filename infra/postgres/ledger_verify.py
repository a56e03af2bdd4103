"""Proves the ledger: that its rows agree with each other, and that what guards them stands.

Invariant: it reads one snapshot and changes nothing, so it can run beside live traffic; an empty answer is the proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.postgres import ledger_guards as guards
from infra.postgres.ledger_checks import ROW_CHECKS

MAX_FINDINGS_PER_CHECK = 100
"""A check that finds more says so in its last finding."""
STATEMENT_TIMEOUT_S = 1_800

_REINSTALL = (
    "Restore what the migrations have made, then look at the other findings: the rows may have been changed meanwhile."
)
_GUARD_CHECKS = (
    ("tables_stand", guards.broken_tables, "What is booked may be lost, hidden, or not be what was booked."),
    ("triggers_stand", guards.broken_triggers, "The ledger is not guarded against changes by hand."),
    ("constraints_stand", guards.broken_constraints, "The ledger is not guarded against impossible rows."),
    ("functions_are_ours", guards.broken_functions, "The ledger's rules may have been replaced."),
    ("grants_stand", guards.broken_grants, "The application could write the ledger around its functions."),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: which check found it, where, what was found, what that means, and what to do."""

    check: str
    where: str
    what: str
    meaning: str
    advice: str


def verify(connection: guards.Connection) -> list[Finding]:
    """Return everything that is wrong with the ledger, at most MAX_FINDINGS_PER_CHECK for each check.

    Any role that can read the ledger may call it, on a connection with no transaction open. A million transfers take
    some ten seconds. Raises what PostgreSQL raises, after STATEMENT_TIMEOUT_S at the latest.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        connection.execute("SET LOCAL work_mem = '64MB'")
        return [*_rows(connection), *_guards(connection)]


def _rows(connection: guards.Connection) -> Iterator[Finding]:
    for check in ROW_CHECKS:
        query = f"{check.sql} LIMIT {MAX_FINDINGS_PER_CHECK + 1}"
        found = [(str(where), str(what)) for where, what in connection.execute(query).fetchall()]
        yield from _bounded(check.name, found, check.meaning, check.advice)


def _guards(connection: guards.Connection) -> Iterator[Finding]:
    for name, broken, meaning in _GUARD_CHECKS:
        yield from _bounded(name, list(broken(connection)), meaning, _REINSTALL)


def _bounded(check: str, found: list[tuple[str, str]], meaning: str, advice: str) -> Iterator[Finding]:
    for where, what in found[:MAX_FINDINGS_PER_CHECK]:
        yield Finding(check, where, what, meaning, advice)
    if len(found) > MAX_FINDINGS_PER_CHECK:
        yield Finding(check, "and more", f"only the first {MAX_FINDINGS_PER_CHECK} are listed", meaning, advice)
