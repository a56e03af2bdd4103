"""The bank's memory: its SQLite schema and how connections to it are opened.

Invariant: one connection writes, others only read. The database itself refuses an authorization that captures or gives
back more than it holds, a second operation under one key, and a change to a recorded operation.

Journal mode WAL lets readers go on while the writer commits. `synchronous=FULL` syncs the log at each commit: NORMAL
would survive a kill of the process but forget answered operations when the machine loses power, and a bank that forgets
what it answered cannot be reconciled with. The price is one sync (about 0.3 ms on an SSD) per commit, which concurrent
requests share.
"""

import secrets
import sqlite3
from pathlib import Path

BUSY_TIMEOUT_S = 10.0
FINGERPRINT_KEY_BYTES = 32

SCHEMA = """
CREATE TABLE IF NOT EXISTS secret (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS card (
    token TEXT PRIMARY KEY,
    brand TEXT NOT NULL,
    last4 TEXT NOT NULL CHECK (length(last4) = 4),
    exp_month INTEGER NOT NULL,
    exp_year INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    decline_code TEXT,
    requires_challenge INTEGER NOT NULL,
    disputed_later INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS challenge (
    id TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    reference TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'authenticated', 'failed', 'used')),
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS authorization (
    id TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    token TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    captured_minor INTEGER NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
    released_minor INTEGER NOT NULL DEFAULT 0 CHECK (released_minor >= 0),
    refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    reversed_minor INTEGER NOT NULL DEFAULT 0 CHECK (reversed_minor >= 0),
    reversed INTEGER NOT NULL DEFAULT 0,
    network_transaction_id TEXT NOT NULL,
    approval_code TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    CHECK (captured_minor + released_minor <= amount_minor),
    CHECK (refunded_minor + reversed_minor <= captured_minor)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS authorization_by_reference ON authorization (reference);

CREATE TABLE IF NOT EXISTS reversed_capture (
    key TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS operation (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    request_digest BLOB NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reference TEXT NOT NULL,
    subject TEXT,
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    settled_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    http_status INTEGER NOT NULL,
    body BLOB NOT NULL,
    trace_id TEXT,
    created_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS operation_by_reference ON operation (reference, seq);
CREATE INDEX IF NOT EXISTS operation_by_subject ON operation (subject) WHERE kind IN ('payout', 'collection');

CREATE TRIGGER IF NOT EXISTS operation_is_never_changed BEFORE UPDATE ON operation
BEGIN SELECT RAISE(ABORT, 'an operation is never changed'); END;
CREATE TRIGGER IF NOT EXISTS operation_is_never_deleted BEFORE DELETE ON operation
BEGIN SELECT RAISE(ABORT, 'an operation is never deleted'); END;

CREATE TABLE IF NOT EXISTS screening (
    id TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    outcome TEXT NOT NULL,
    score INTEGER NOT NULL,
    list_entry TEXT,
    trace_id TEXT,
    created_at_ms INTEGER NOT NULL
) STRICT;
"""


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the writing connection, making the file and its schema when they are missing."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(SCHEMA)
    connection.execute(
        "INSERT OR IGNORE INTO secret (name, value) VALUES ('card_fingerprint', ?)",
        (secrets.token_bytes(FINGERPRINT_KEY_BYTES),),
    )
    connection.row_factory = sqlite3.Row
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that sees every committed operation and can write nothing."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    connection.row_factory = sqlite3.Row
    return connection


def read_secret(connection: sqlite3.Connection, name: str) -> bytes:
    """Return one of the bank's own secrets."""
    (value,) = connection.execute("SELECT value FROM secret WHERE name = ?", (name,)).fetchone()
    return bytes(value)
