"""Bank transfers: payouts to an account, collections under a direct debit mandate, and why they come back.

Invariant: the outcome follows from the token alone and from how often it was used before, so a test or a demo can name
the failure it wants. `acct_*` and `mdt_*` tokens settle unless they carry a rule:

    mdt_insufficient_funds              every attempt is rejected
    mdt_insufficient_funds_x2           the first 2 attempts are rejected
    mdt_insufficient_funds_at_2_5       attempts 2 and 5 are rejected
    mdt_insufficient_funds_at_2.loan-7  anything after a dot only makes the token unique

An attempt is an idempotency key: repeating one under its key is not another attempt.
"""

import re
import sqlite3
from dataclasses import dataclass

from infra.bank.errors import Refusal
from infra.bank.messages import CollectionOrder, PayoutOrder
from infra.bank.operations import Decision, Kind, Outcome

ACCEPTED = "ACSC"
REJECTED = "RJCT"
IBAN_MODULUS = 97
IBAN_REMAINDER = 1
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_TOKEN = re.compile(
    r"(?P<prefix>acct|mdt)_(?P<rule>[a-z_]*?)(?:_x(?P<first>[0-9]{1,3})|_at(?P<which>(?:_[0-9]{1,3}){1,20}))?(?:\..*)?"
)


@dataclass(frozen=True, slots=True)
class Return:
    """Why a transfer was rejected: ISO 20022 reason where one is in use here, and the NACHA return code."""

    reason_code: str | None
    return_code: str | None


# ISO 20022 external status reasons and NACHA return codes; None where the other code set has no such reason.
RETURNS: dict[str, Return] = {
    "insufficient_funds": Return("AM04", "R01"),
    "account_closed": Return("AC04", "R02"),
    "incorrect_account": Return("AC01", "R03"),
    "authorization_revoked": Return(None, "R07"),
    "unauthorized": Return(None, "R10"),
    "account_blocked": Return("AC06", "R16"),
    "corporate_not_authorized": Return(None, "R29"),
    "duplication": Return("AM05", None),
    "regulatory": Return("RR01", None),
}


def pay_out(connection: sqlite3.Connection, order: PayoutOrder) -> Decision:
    """Send money to an account token or an IBAN; an IBAN with wrong check digits is rejected with AC01."""
    if order.account.startswith("acct_"):
        reason = _reason(connection, Kind.PAYOUT, order.account)
    elif _IBAN.fullmatch(order.account) is None:
        raise Refusal(422, "invalid_account", "The account is neither an acct_ token nor an IBAN.")
    else:
        reason = None if iban_valid(order.account) else "incorrect_account"
    return _decide(Kind.PAYOUT, order.account, order.amount_minor, order.currency, reason)


def collect(connection: sqlite3.Connection, order: CollectionOrder) -> Decision:
    """Pull money under a mandate token."""
    if not order.mandate.startswith("mdt_"):
        raise Refusal(422, "invalid_mandate", "A mandate is an mdt_ token.")
    reason = _reason(connection, Kind.COLLECTION, order.mandate)
    return _decide(Kind.COLLECTION, order.mandate, order.amount_minor, order.currency, reason)


def iban_valid(iban: str) -> bool:
    """Check the digits of an IBAN (ISO 13616: rearranged, letters as 10 to 35, remainder 1 modulo 97)."""
    rearranged = iban[4:] + iban[:4]
    return int("".join(str(int(character, 36)) for character in rearranged)) % IBAN_MODULUS == IBAN_REMAINDER


def _reason(connection: sqlite3.Connection, kind: Kind, token: str) -> str | None:
    match = _TOKEN.fullmatch(token)
    if match is None or match["rule"] not in RETURNS:
        return None
    if match["first"] is None and match["which"] is None:
        return match["rule"]
    (before,) = connection.execute(
        "SELECT count(*) FROM operation WHERE subject = ? AND kind IN ('payout', 'collection') AND kind = ?",
        (token, kind),
    ).fetchone()
    attempt = before + 1
    if match["first"] is not None:
        return match["rule"] if attempt <= int(match["first"]) else None
    return match["rule"] if str(attempt) in match["which"].split("_") else None


def _decide(kind: Kind, account: str, amount_minor: int, currency: str, reason: str | None) -> Decision:
    returned = RETURNS[reason] if reason is not None else Return(None, None)
    settled_minor = 0 if reason is not None else amount_minor if kind is Kind.COLLECTION else -amount_minor
    details = {
        "status": ACCEPTED if reason is None else REJECTED,
        "reason": reason,
        "reason_code": returned.reason_code,
        "return_code": returned.return_code,
    }
    outcome = Outcome.SETTLED if reason is None else Outcome.REJECTED
    return Decision(kind, outcome, amount_minor, currency, settled_minor, account, details)
