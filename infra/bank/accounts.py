"""Stored cards, challenges and authorizations, as rows and as the values read from them.

Invariant: the status of an authorization is derived from its amounts and the clock and stored nowhere, so it cannot
disagree with them.
"""

import secrets
import sqlite3
from dataclasses import dataclass

from infra.bank.cards import Behaviour, Card
from infra.bank.errors import Refusal
from infra.bank.operations import new_reference, now_ms

TRANSACTION_ID_DIGITS = 15
APPROVAL_CODE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Authorization:
    """An authorization and what became of its amount, all in minor units of `currency`."""

    id: str
    reference: str
    token: str
    currency: str
    amount_minor: int
    captured_minor: int
    released_minor: int
    refunded_minor: int
    reversed_minor: int
    reversed: bool
    network_transaction_id: str
    approval_code: str
    created_at_ms: int
    expires_at_ms: int

    def held_minor(self, at_ms: int) -> int:
        """Return what can still be captured at a moment."""
        return 0 if self.expired(at_ms) else self.amount_minor - self.captured_minor - self.released_minor

    def expired(self, at_ms: int) -> bool:
        """Tell whether something was left uncaptured when the time ran out."""
        return at_ms >= self.expires_at_ms and self.captured_minor + self.released_minor < self.amount_minor

    @property
    def refundable_minor(self) -> int:
        """Return what was captured and not given back."""
        return self.captured_minor - self.refunded_minor - self.reversed_minor

    def status(self, at_ms: int) -> str:
        """Name the state in one word."""
        if self.reversed:
            return "reversed"
        if self.captured_minor:
            return "partially_captured" if self.held_minor(at_ms) else "captured"
        if self.released_minor:
            return "voided"
        return "expired" if self.expired(at_ms) else "authorized"


def store_card(connection: sqlite3.Connection, card: Card) -> str:
    """Keep a card and return the token that stands for it from now on."""
    token = new_reference("tok")
    connection.execute(
        "INSERT INTO card (token, brand, last4, exp_month, exp_year, fingerprint, decline_code, requires_challenge,"
        " disputed_later, created_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            token,
            card.brand,
            card.last4,
            card.exp_month,
            card.exp_year,
            card.fingerprint,
            card.behaviour.decline_code,
            card.behaviour.requires_challenge,
            card.behaviour.disputed_later,
            now_ms(),
        ),
    )
    return token


def load_card(connection: sqlite3.Connection, token: str) -> Card:
    """Return the card behind a token; raises Refusal 404 `token_not_found`."""
    row = connection.execute("SELECT * FROM card WHERE token = ?", (token,)).fetchone()
    if row is None:
        raise Refusal(404, "token_not_found", "No card was exchanged for this token.")
    behaviour = Behaviour(row["decline_code"], bool(row["requires_challenge"]), bool(row["disputed_later"]))
    return Card(row["brand"], row["last4"], row["exp_month"], row["exp_year"], row["fingerprint"], behaviour)


def open_authorization(
    connection: sqlite3.Connection, *, reference: str, token: str, currency: str, amount_minor: int,
    captured_minor: int, valid_for_ms: int,
) -> Authorization:  # fmt: skip
    """Write a new authorization, captured already when it is a sale."""
    at_ms = now_ms()
    authorization = Authorization(
        id=new_reference("auth"),
        reference=reference,
        token=token,
        currency=currency,
        amount_minor=amount_minor,
        captured_minor=captured_minor,
        released_minor=0,
        refunded_minor=0,
        reversed_minor=0,
        reversed=False,
        network_transaction_id=_digits(TRANSACTION_ID_DIGITS),
        approval_code=_digits(APPROVAL_CODE_DIGITS),
        created_at_ms=at_ms,
        expires_at_ms=at_ms + valid_for_ms,
    )
    connection.execute(
        "INSERT INTO authorization (id, reference, token, currency, amount_minor, captured_minor,"
        " network_transaction_id, approval_code, created_at_ms, expires_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            authorization.id,
            reference,
            token,
            currency,
            amount_minor,
            captured_minor,
            authorization.network_transaction_id,
            authorization.approval_code,
            at_ms,
            authorization.expires_at_ms,
        ),
    )
    return authorization


def find_authorization(connection: sqlite3.Connection, authorization_id: str) -> Authorization | None:
    """Return an authorization, or None when there is none of that id."""
    row = connection.execute("SELECT * FROM authorization WHERE id = ?", (authorization_id,)).fetchone()
    return None if row is None else from_row(row)


def load_authorization(connection: sqlite3.Connection, authorization_id: str) -> Authorization:
    """Return an authorization; raises Refusal 404 `authorization_not_found`."""
    authorization = find_authorization(connection, authorization_id)
    if authorization is None:
        raise Refusal(404, "authorization_not_found", "There is no such authorization.")
    return authorization


def from_row(row: sqlite3.Row) -> Authorization:
    """Read an authorization from its row."""
    values = {name: row[name] for name in Authorization.__slots__}
    return Authorization(**{**values, "reversed": bool(row["reversed"])})


def add_to_authorization(
    connection: sqlite3.Connection, authorization: Authorization, *, captured_minor: int = 0, released_minor: int = 0,
    refunded_minor: int = 0, reversed_minor: int = 0, reverse: bool = False,
) -> Authorization:  # fmt: skip
    """Add to the amounts of an authorization and return it as it is then."""
    connection.execute(
        "UPDATE authorization SET captured_minor = captured_minor + ?, released_minor = released_minor + ?,"
        " refunded_minor = refunded_minor + ?, reversed_minor = reversed_minor + ?, reversed = reversed OR ?"
        " WHERE id = ?",
        (captured_minor, released_minor, refunded_minor, reversed_minor, reverse, authorization.id),
    )
    return load_authorization(connection, authorization.id)


def claim_reversal(connection: sqlite3.Connection, capture_key: str) -> bool:
    """Mark a capture as reversed; false when it was before."""
    claim = connection.execute("INSERT OR IGNORE INTO reversed_capture (key) VALUES (?)", (capture_key,))
    return claim.rowcount == 1


def _digits(count: int) -> str:
    return f"{secrets.randbelow(10**count):0{count}d}"
