"""Cardholder challenges (3-D Secure): opened by an authorization, answered by the cardholder, used once.

Invariant: a challenge vouches for one token, amount, currency and reference, and only for one authorization.
"""

import sqlite3

from infra.bank.errors import Refusal
from infra.bank.messages import AuthorizationOrder
from infra.bank.operations import new_reference, now_ms


def open_challenge(connection: sqlite3.Connection, order: AuthorizationOrder) -> str:
    """Open a challenge for an authorization and return its id."""
    challenge_id = new_reference("chl")
    connection.execute(
        "INSERT INTO challenge (id, token, reference, amount_minor, currency, status, created_at_ms)"
        " VALUES (?, ?, ?, ?, ?, 'pending', ?)",
        (challenge_id, order.token, order.reference, order.amount_minor, order.currency, now_ms()),
    )
    return challenge_id


def load_challenge(connection: sqlite3.Connection, challenge_id: str) -> sqlite3.Row:
    """Return a challenge; raises Refusal 404 `challenge_not_found`."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM challenge WHERE id = ?", (challenge_id,)).fetchone()
    if row is None:
        raise Refusal(404, "challenge_not_found", "There is no such challenge.")
    return row


def complete_challenge(connection: sqlite3.Connection, challenge_id: str, outcome: str) -> str:
    """Play the cardholder and return the status reached: `authenticated` or `failed`.

    Giving the same answer again changes nothing; another answer, or one after use, raises Refusal 409
    `challenge_completed`.
    """
    status: str = load_challenge(connection, challenge_id)["status"]
    if status == "pending":
        _set_status(connection, challenge_id, outcome)
    elif status != outcome:
        raise Refusal(409, "challenge_completed", f"This challenge is {status} already.")
    return outcome


def use_challenge(connection: sqlite3.Connection, challenge_id: str, order: AuthorizationOrder) -> str:
    """Spend a challenge on an authorization if it is authenticated; return the status it had before.

    Raises Refusal 404 `challenge_not_found` and 422 `challenge_mismatch`.
    """
    row = load_challenge(connection, challenge_id)
    vouched = (row["token"], row["reference"], row["amount_minor"], row["currency"])
    if vouched != (order.token, order.reference, order.amount_minor, order.currency):
        raise Refusal(422, "challenge_mismatch", "The challenge was opened for another authorization.")
    status: str = row["status"]
    if status == "authenticated":
        _set_status(connection, challenge_id, "used")
    return status


def _set_status(connection: sqlite3.Connection, challenge_id: str, status: str) -> None:
    connection.execute("UPDATE challenge SET status = ? WHERE id = ?", (status, challenge_id))
