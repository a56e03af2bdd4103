"""Routes of the card side: tokens, authorizations and what follows them, challenges, inquiries.

Invariant: a card number enters by `POST /tokens` only. Bodies are read by hand rather than as route parameters, which
halves the cost of a call and keeps a refused value out of every error message.
"""

import sqlite3
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from infra.bank import accounts, authorizations, cards, challenges
from infra.bank.accounts import Authorization
from infra.bank.desk import desk_of, read_body, reply
from infra.bank.errors import Refusal
from infra.bank.faults import FaultyOperation
from infra.bank.messages import (
    AuthorizationOrder,
    CaptureOrder,
    CardFields,
    ChallengeOutcome,
    RefundOrder,
    ReversalOrder,
    VoidOrder,
)
from infra.bank.openapi import body_of
from infra.bank.operations import Decision, moment, now_ms

MAX_AUTHORIZATIONS_LISTED = 100

router = APIRouter(tags=["cards"])


@router.post("/tokens", openapi_extra=body_of(CardFields, keyed=False), status_code=201)
async def exchange_card_for_token(request: Request) -> Response:
    """Exchange card fields for a token, as a hosted card form does; 402 with a code when the card is no good."""
    desk, fields = desk_of(request), await read_body(request, CardFields)
    card = cards.read_card(
        fields.number, fields.exp_month, fields.exp_year, fields.cvc, desk.fingerprint_key, datetime.now(UTC)
    )

    async def work() -> Response:
        token = await desk.write(lambda connection: accounts.store_card(connection, card))
        return reply(_describe_card(token, card), 201)

    return await desk.answer(request, FaultyOperation.TOKENIZATION, "", work)


@router.get("/tokens/{token}")
async def show_token(token: str, request: Request) -> Response:
    """Return what may be shown of the card behind a token."""
    return reply(_describe_card(token, accounts.load_card(desk_of(request).reader, token)))


@router.post("/authorizations", openapi_extra=body_of(AuthorizationOrder))
async def authorize(request: Request) -> Response:
    """Authorize a card, with capture at once (a sale) or later; 402 declined, `requires_action` with a challenge."""
    desk = desk_of(request)

    def decide(connection: sqlite3.Connection, order: AuthorizationOrder) -> Decision:
        return authorizations.authorize(connection, order, desk.authorization_valid_for_ms)

    order = await read_body(request, AuthorizationOrder)
    return await desk.carry_out(request, FaultyOperation.AUTHORIZE, order, decide)


@router.post("/authorizations/{authorization_id}/captures", openapi_extra=body_of(CaptureOrder))
async def capture(authorization_id: str, request: Request) -> Response:
    """Capture part or all of what is held, as often as something is left."""
    order = await read_body(request, CaptureOrder)
    return await desk_of(request).carry_out(
        request, FaultyOperation.CAPTURE, order, lambda c, o: authorizations.capture(c, authorization_id, o)
    )


@router.post("/authorizations/{authorization_id}/void", openapi_extra=body_of(VoidOrder))
async def void(authorization_id: str, request: Request) -> Response:
    """Release what is still held."""
    order = await read_body(request, VoidOrder)
    return await desk_of(request).carry_out(
        request, FaultyOperation.VOID, order, lambda c, o: authorizations.void(c, authorization_id, o)
    )


@router.post("/authorizations/{authorization_id}/refunds", openapi_extra=body_of(RefundOrder))
async def refund(authorization_id: str, request: Request) -> Response:
    """Give back part or all of what was captured, as often as something is left."""
    order = await read_body(request, RefundOrder)
    return await desk_of(request).carry_out(
        request, FaultyOperation.REFUND, order, lambda c, o: authorizations.refund(c, authorization_id, o)
    )


@router.post("/reversals", openapi_extra=body_of(ReversalOrder))
async def reverse(request: Request) -> Response:
    """Undo the authorization sent under another key, or bar that key when it never arrived."""
    order = await read_body(request, ReversalOrder)
    return await desk_of(request).carry_out(request, FaultyOperation.REVERSAL, order, authorizations.reverse)


@router.get("/authorizations/{authorization_id}")
async def show_authorization(authorization_id: str, request: Request) -> Response:
    """Return an authorization as it is now."""
    desk = desk_of(request)

    async def work() -> Response:
        return reply(_describe_authorization(accounts.load_authorization(desk.reader, authorization_id)))

    return await desk.answer(request, FaultyOperation.INQUIRY, authorization_id, work)


@router.get("/authorizations")
async def list_authorizations(reference: str, request: Request) -> Response:
    """Return the authorizations of one reference, oldest first, at most 100."""
    desk = desk_of(request)

    async def work() -> Response:
        rows = desk.reader.execute(
            "SELECT * FROM authorization WHERE reference = ? ORDER BY created_at_ms, id LIMIT ?",
            (reference, MAX_AUTHORIZATIONS_LISTED),
        )
        return reply({"authorizations": [_describe_authorization(accounts.from_row(row)) for row in rows]})

    return await desk.answer(request, FaultyOperation.INQUIRY, reference, work)


@router.get("/operations/{key:path}", tags=["inquiry"])
async def inquire(key: str, request: Request) -> Response:
    """Return the recorded answer of a key; 404 `operation_not_found` when no such request was carried out."""
    desk = desk_of(request)

    async def work() -> Response:
        return reply(desk.inquire(key))

    return await desk.answer(request, FaultyOperation.INQUIRY, key, work)


@router.get("/challenges/{challenge_id}")
async def show_challenge(challenge_id: str, request: Request) -> Response:
    """Return a challenge and its status."""
    return reply(_describe_challenge(challenges.load_challenge(desk_of(request).reader, challenge_id)))


@router.post("/challenges/{challenge_id}/complete", openapi_extra=body_of(ChallengeOutcome, keyed=False))
async def complete_challenge(challenge_id: str, request: Request) -> Response:
    """Play the cardholder who passes or fails the challenge."""
    desk, answer = desk_of(request), await read_body(request, ChallengeOutcome)

    async def work() -> Response:
        status = await desk.write(lambda c: challenges.complete_challenge(c, challenge_id, answer.outcome))
        return reply({"id": challenge_id, "status": status})

    return await desk.answer(request, FaultyOperation.CHALLENGE, challenge_id, work)


@router.post("/admin/authorizations/{authorization_id}/expire", tags=["admin"])
async def expire_authorization(authorization_id: str, request: Request) -> Response:
    """Let the time of an authorization run out now; 409 `nothing_held` when nothing is left to expire."""

    def expire(connection: sqlite3.Connection) -> Authorization:
        authorization = accounts.load_authorization(connection, authorization_id)
        if not authorization.held_minor(now_ms()):
            raise Refusal(409, "nothing_held", "Nothing is held on this authorization.")
        connection.execute("UPDATE authorization SET expires_at_ms = ? WHERE id = ?", (now_ms(), authorization_id))
        return accounts.load_authorization(connection, authorization_id)

    return reply(_describe_authorization(await desk_of(request).write(expire)))


def _describe_card(token: str, card: cards.Card) -> dict[str, Any]:
    return {
        "id": token,
        "brand": card.brand,
        "last4": card.last4,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "fingerprint": card.fingerprint,
    }


def _describe_challenge(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "token", "reference", "amount_minor", "currency", "status")}


def _describe_authorization(authorization: Authorization) -> dict[str, Any]:
    at_ms = now_ms()
    return {
        "id": authorization.id,
        "reference": authorization.reference,
        "status": authorization.status(at_ms),
        "token": authorization.token,
        "currency": authorization.currency,
        "amount_minor": authorization.amount_minor,
        "held_minor": authorization.held_minor(at_ms),
        "captured_minor": authorization.captured_minor,
        "released_minor": authorization.released_minor,
        "refunded_minor": authorization.refunded_minor,
        "reversed_minor": authorization.reversed_minor,
        "network_transaction_id": authorization.network_transaction_id,
        "approval_code": authorization.approval_code,
        "created_at": moment(authorization.created_at_ms),
        "expires_at": moment(authorization.expires_at_ms),
    }
