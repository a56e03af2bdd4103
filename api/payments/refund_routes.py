"""Routes of refunds.

Invariant: a handler authenticates, reads and validates, and then hands over; it holds no rule about money.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import json_answers, problems
from api.body import validate
from api.documentation import (
    ACTOR,
    COMMAND_PROBLEMS,
    READ_PROBLEMS,
    REFUND_LINKS,
    accepted,
    answers,
    described,
    problems_of,
)
from api.identifiers import actor_of, require_id
from api.money_call import carry_out, receive
from api.payments import refund_commands
from api.payments.requests import CreateRefund, ResolveRefundBody, ReviewRefund
from api.payments.views import RefundList, RefundView
from api.resource import written_or_accepted
from api.services import services_of
from api.strict_route import StrictRoute
from domain import ids
from workflows.payments.messages import ResolveRefund, RetryReview

router = APIRouter(prefix="/v1", tags=["refunds"], route_class=StrictRoute)


@router.post(
    "/payments/{payment_id}/refunds",
    operation_id="create_refund",
    summary="Refund a payment",
    status_code=201,
    response_model=RefundView,
    responses={
        **answers(201, "The refund, done or failed: see `status`.", location=True, replayed=True, links=REFUND_LINKS),
        **accepted(RefundView),
        **problems_of(
            *COMMAND_PROBLEMS, problems.INVALID_AMOUNT, problems.REFUND_EXCEEDS_CAPTURED, problems.REFUND_REFUSED
        ),
    },
    openapi_extra=described(CreateRefund, optional_body=True, moves_money=True),
)
async def create_refund(request: Request, payment_id: str) -> Response:
    """Give back part or all of what was captured.

    A refund that the gateway declines, or for which the paid account has too little left, is an answer: 201, `status`
    `failed`, and `failure` says why. More than is left to refund is a problem (422), and nothing happened.
    """
    services = services_of(request)
    call = await receive(request, optional_body=True)
    wanted = validate(CreateRefund, call.body)
    return await carry_out(
        services,
        call,
        lambda claim: refund_commands.create(services, call, payment_id, wanted, claim),
        payment_id=require_id("payment", payment_id),
        refund_id=ids.refund_id(call.tenant_id, call.key),
    )


@router.get(
    "/payments/{payment_id}/refunds",
    operation_id="list_refunds",
    summary="List a payment's refunds",
    response_model=RefundList,
    responses={**answers(200, "The refunds, oldest first."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def list_refunds(request: Request, payment_id: str) -> Response:
    """List a payment's refunds, oldest first."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    if await services.payments.payment(tenant_id, require_id("payment", payment_id)) is None:
        raise problems.not_found("payment", payment_id)
    refunds = await services.payments.refunds(tenant_id, payment_id)
    view = {"object": "list", "data": [services.presenter.refund(refund) for refund in refunds]}
    return json_answers.answer(view)


@router.get(
    "/refunds/{refund_id}",
    operation_id="get_refund",
    summary="Read a refund",
    response_model=RefundView,
    responses={**answers(200, "The refund."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def get_refund(request: Request, refund_id: str) -> Response:
    """Read a refund as it is written; works while every worker is down."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    refund = await services.payments.refund(tenant_id, require_id("refund", refund_id))
    view = None if refund is None else services.presenter.refund(refund)
    return await written_or_accepted(services, tenant_id, "refund", refund_id, view)


@router.post(
    "/refunds/{refund_id}/review",
    operation_id="review_refund",
    summary="Decide about a refund that needs review",
    tags=["operators"],
    response_model=RefundView,
    responses={
        **answers(200, "The refund after the decision.", replayed=True),
        **accepted(RefundView),
        **problems_of(*COMMAND_PROBLEMS),
    },
    openapi_extra=described(ReviewRefund, moves_money=True, parameters=(ACTOR,)),
)
async def review_refund(request: Request, refund_id: str) -> Response:
    """For operators: ask the gateway again, or close the refund with what was found outside."""
    services = services_of(request)
    call = await receive(request)
    actor, wanted = actor_of(request), validate(ReviewRefund, call.body).root
    refund = await services.payments.refund(call.tenant_id, require_id("refund", refund_id))
    if refund is None:
        raise problems.not_found("refund", refund_id)
    message: RetryReview | ResolveRefund = RetryReview(actor, wanted.note)
    if isinstance(wanted, ResolveRefundBody):
        message = ResolveRefund(actor, wanted.succeeded, wanted.note)
    return await carry_out(services, call, lambda _: refund_commands.review(services, call, refund, message))
