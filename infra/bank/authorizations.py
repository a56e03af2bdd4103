"""What a card network does with an order: authorize, capture, void, refund, reverse.

Invariant: each function runs inside the transaction that records its decision. It never captures more than is held,
nor gives back more than was captured; what the state of an authorization forbids is a decline, recorded like any other.
"""

import sqlite3

from infra.bank import accounts, challenges, operations
from infra.bank.accounts import Authorization
from infra.bank.errors import Refusal
from infra.bank.messages import AuthorizationOrder, CaptureOrder, RefundOrder, ReversalOrder, VoidOrder
from infra.bank.operations import NO_CURRENCY, NO_REQUEST, Decision, Instruction, Kind, Outcome, now_ms
from infra.bank.response_codes import APPROVED, DECLINES

_REVERSIBLE = (Kind.AUTHORIZE, Kind.SALE, Kind.CAPTURE)
_CHALLENGE_DECLINES = {"failed": "authentication_failed", "used": "challenge_already_used"}


def authorize(connection: sqlite3.Connection, order: AuthorizationOrder, valid_for_ms: int) -> Decision:
    """Decide an authorization, or a sale, by what the card behind the token does."""
    kind = Kind.SALE if order.capture == "automatic" else Kind.AUTHORIZE
    behaviour = accounts.load_card(connection, order.token).behaviour
    challenge_id = order.challenge_id
    if challenge_id is not None:
        status = challenges.use_challenge(connection, challenge_id, order)
        if status == "pending":
            return _require_action(kind, order, challenge_id)
        if status in _CHALLENGE_DECLINES:
            return _decline(kind, order.amount_minor, order.currency, _CHALLENGE_DECLINES[status])
    elif behaviour.requires_challenge:
        return _require_action(kind, order, challenges.open_challenge(connection, order))
    if behaviour.decline_code is not None:
        return _decline(kind, order.amount_minor, order.currency, behaviour.decline_code)
    sold_minor = order.amount_minor if kind is Kind.SALE else 0
    authorization = accounts.open_authorization(
        connection,
        reference=order.reference,
        token=order.token,
        currency=order.currency,
        amount_minor=order.amount_minor,
        captured_minor=sold_minor,
        valid_for_ms=valid_for_ms,
    )
    return _approve(kind, authorization, order.amount_minor, settled_minor=sold_minor)


def capture(connection: sqlite3.Connection, authorization_id: str, order: CaptureOrder) -> Decision:
    """Take part of what is held; the last one, or one marked final, leaves nothing held."""
    authorization = _load(connection, authorization_id, order.currency)
    held_minor = authorization.held_minor(now_ms())
    if held_minor == 0:
        return _decline_on(Kind.CAPTURE, authorization, order.amount_minor, _why_nothing_is_held(authorization))
    if order.amount_minor > held_minor:
        return _decline_on(Kind.CAPTURE, authorization, order.amount_minor, "amount_exceeds_authorized")
    after = accounts.add_to_authorization(
        connection,
        authorization,
        captured_minor=order.amount_minor,
        released_minor=held_minor - order.amount_minor if order.final else 0,
    )
    return _approve(Kind.CAPTURE, after, order.amount_minor, settled_minor=order.amount_minor)


def void(connection: sqlite3.Connection, authorization_id: str, _order: VoidOrder) -> Decision:
    """Release everything still held."""
    authorization = accounts.load_authorization(connection, authorization_id)
    held_minor = authorization.held_minor(now_ms())
    if held_minor == 0:
        return _decline_on(Kind.VOID, authorization, 0, _why_nothing_is_held(authorization))
    after = accounts.add_to_authorization(connection, authorization, released_minor=held_minor)
    return _approve(Kind.VOID, after, held_minor)


def refund(connection: sqlite3.Connection, authorization_id: str, order: RefundOrder) -> Decision:
    """Give back part of what was captured."""
    authorization = _load(connection, authorization_id, order.currency)
    if authorization.captured_minor == 0:
        return _decline_on(Kind.REFUND, authorization, order.amount_minor, "not_captured")
    if authorization.reversed:
        return _decline_on(Kind.REFUND, authorization, order.amount_minor, "authorization_reversed")
    if order.amount_minor > authorization.refundable_minor:
        return _decline_on(Kind.REFUND, authorization, order.amount_minor, "amount_exceeds_captured")
    after = accounts.add_to_authorization(connection, authorization, refunded_minor=order.amount_minor)
    return _approve(Kind.REFUND, after, order.amount_minor, settled_minor=-order.amount_minor)


def reverse(connection: sqlite3.Connection, order: ReversalOrder) -> Decision:
    """Undo the authorization, sale or capture of another key, as an ISO 8583 reversal advice (0420) does.

    When the original never arrived its key is barred: a late copy finds a recorded decline. Raises Refusal 422
    `not_reversible` for a key of anything else, or of another reference.
    """
    original = operations.find(connection, order.original_key)
    if original is None:
        _bar(connection, order)
        return _undone(None, 0, 0)
    if original["kind"] not in _REVERSIBLE or original["reference"] != order.reference:
        raise Refusal(422, "not_reversible", "The original key is no authorization or capture of this reference.")
    if original["subject"] is None:
        return _undone(None, 0, 0)
    authorization = accounts.load_authorization(connection, original["subject"])
    if authorization.reversed:
        return _undone(authorization, 0, 0)
    if original["kind"] == Kind.CAPTURE:
        return _reverse_capture(connection, original, authorization)
    held_minor, given_back_minor = authorization.held_minor(now_ms()), authorization.refundable_minor
    after = accounts.add_to_authorization(
        connection, authorization, released_minor=held_minor, reversed_minor=given_back_minor, reverse=True
    )
    return _undone(after, held_minor, given_back_minor)


def _reverse_capture(connection: sqlite3.Connection, original: sqlite3.Row, authorization: Authorization) -> Decision:
    """Give back one capture, less what was refunded meanwhile; what is still held stays so."""
    taken_minor = original["amount_minor"] if original["outcome"] == Outcome.APPROVED else 0
    if not accounts.claim_reversal(connection, original["key"]):
        taken_minor = 0
    given_back_minor = min(taken_minor, authorization.refundable_minor)
    after = accounts.add_to_authorization(connection, authorization, reversed_minor=given_back_minor)
    return _undone(after, 0, given_back_minor)


def _bar(connection: sqlite3.Connection, order: ReversalOrder) -> None:
    barred = Instruction(order.original_key, order.reference, NO_REQUEST, None)
    operations.record(connection, barred, _decline(Kind.AUTHORIZE, 0, NO_CURRENCY, "reversed"))


def _undone(authorization: Authorization | None, held_minor: int, given_back_minor: int) -> Decision:
    if authorization is not None:
        amount_minor = held_minor + given_back_minor
        return _approve(Kind.REVERSAL, authorization, amount_minor, settled_minor=-given_back_minor)
    details = {
        "authorization_id": None,
        "authorization_status": "none",
        "decline_code": None,
        "response_code": APPROVED,
    }
    return Decision(Kind.REVERSAL, Outcome.APPROVED, 0, NO_CURRENCY, details=details)


def _load(connection: sqlite3.Connection, authorization_id: str, currency: str) -> Authorization:
    authorization = accounts.load_authorization(connection, authorization_id)
    if authorization.currency != currency:
        raise Refusal(422, "currency_mismatch", "The authorization is in another currency.")
    return authorization


def _why_nothing_is_held(authorization: Authorization) -> str:
    if authorization.reversed:
        return "authorization_reversed"
    if authorization.expired(now_ms()):
        return "authorization_expired"
    return "already_captured" if authorization.captured_minor else "authorization_voided"


def _require_action(kind: Kind, order: AuthorizationOrder, challenge_id: str) -> Decision:
    details = {
        "authorization_id": None,
        "authorization_status": "none",
        "decline_code": None,
        "response_code": DECLINES["authentication_required"],
        "challenge_id": challenge_id,
    }
    return Decision(kind, Outcome.REQUIRES_ACTION, order.amount_minor, order.currency, details=details)


def _approve(kind: Kind, authorization: Authorization, amount_minor: int, settled_minor: int = 0) -> Decision:
    details = {**_details(authorization), "decline_code": None, "response_code": APPROVED}
    return Decision(
        kind, Outcome.APPROVED, amount_minor, authorization.currency, settled_minor, authorization.id, details
    )


def _decline(kind: Kind, amount_minor: int, currency: str, code: str) -> Decision:
    details = {
        "authorization_id": None,
        "authorization_status": "none",
        "decline_code": code,
        "response_code": DECLINES[code],
    }
    return Decision(kind, Outcome.DECLINED, amount_minor, currency, details=details)


def _decline_on(kind: Kind, authorization: Authorization, amount_minor: int, code: str) -> Decision:
    details = {**_details(authorization), "decline_code": code, "response_code": DECLINES[code]}
    return Decision(kind, Outcome.DECLINED, amount_minor, authorization.currency, 0, authorization.id, details)


def _details(authorization: Authorization) -> dict[str, str | int | None]:
    return {
        "authorization_id": authorization.id,
        "authorization_status": authorization.status(now_ms()),
        "network_transaction_id": authorization.network_transaction_id,
        "approval_code": authorization.approval_code,
        "expires_at": operations.moment(authorization.expires_at_ms),
    }
