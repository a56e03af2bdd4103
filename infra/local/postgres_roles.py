"""Roles, passwords and the database of a PostgreSQL server of our own.

Invariant: the application's role owns nothing and is no superuser; what it may do is granted by the migrations. The
same roles are made in production by `infra/deploy/postgres/roles.sh`.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from infra.local.child import LocalStackError

SUPERUSER = "postgres"
OWNER_ROLE = "clearhold_owner"
APP_ROLE = "clearhold_app"
PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True)
class Credentials:
    """The passwords of one cluster's roles."""

    passwords: dict[str, str]

    def password(self, role: str) -> str:
        """Return the password of a role; it needs no quoting within a URL."""
        return self.passwords[role]

    @classmethod
    def load_or_create(cls, path: Path, *, new: bool) -> Credentials:
        """Read the file, or write one with new passwords for a cluster that is yet to be made.

        Raises `LocalStackError` when the cluster exists and its passwords are lost.
        """
        if path.exists():
            return cls(json.loads(path.read_text()))
        if not new:
            raise LocalStackError(f"{path} is missing, and with it the passwords of the PostgreSQL cluster beside it")
        passwords = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in (SUPERUSER, OWNER_ROLE, APP_ROLE)}
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(passwords, file)
        unfinished.rename(path)
        return cls(passwords)


def prepare_database(superuser_dsn: str, credentials: Credentials, database: str) -> None:
    """Make sure that roles, database and the statistics extension exist; changes nothing that does."""
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        for role in (OWNER_ROLE, APP_ROLE):
            if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(credentials.password(role))
                    )
                )
        if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", database):
            name, owner = sql.Identifier(database), sql.Identifier(OWNER_ROLE)
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
    with psycopg.connect(superuser_dsn, dbname=database, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute(
            sql.SQL("REVOKE ALL ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO {1}").format(
                sql.Identifier(database), sql.Identifier(APP_ROLE)
            )
        )


def _exists(connection: psycopg.Connection[tuple[object, ...]], query: str, value: str) -> bool:
    return connection.execute(query, (value,)).fetchone() is not None
