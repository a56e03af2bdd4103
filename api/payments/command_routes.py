"""Routes of what a client or an operator has done to a payment that exists.

Invariant: a handler authenticates, reads and validates, and then hands over; it holds no rule about money.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import problems
from api.body import validate
from api.documentation import ACTOR, COMMAND_PROBLEMS, accepted, answers, described, problems_of
from api.identifiers import actor_of, require_id
from api.money_call import Accepted, Done, MoneyCall, carry_out, receive
from api.payments.commands import PaymentCommand, confirmation, require_payer, send
from api.payments.requests import (
    CancelPaymentBody,
    CapturePaymentBody,
    ConfirmPaymentBody,
    ResolvePaymentBody,
    ReviewPayment,
)
from api.payments.views import PaymentView
from api.services import services_of
from api.strict_route import StrictRoute
from domain.payments.status import PaymentAction
from infra.postgres.idempotency import Claim
from workflows.payments.messages import CancelPayment, CapturePayment, ResolveReview, RetryReview
from workflows.payments.payment import PaymentWorkflow

router = APIRouter(prefix="/v1/payments", tags=["payments"], route_class=StrictRoute)


@router.post(
    "/{payment_id}/confirm",
    operation_id="confirm_payment",
    summary="Confirm a payment",
    response_model=PaymentView,
    responses={
        **answers(200, "The payment, as the attempt left it.", replayed=True),
        **accepted(PaymentView),
        **problems_of(
            *COMMAND_PROBLEMS,
            problems.PAYMENT_METHOD_MISMATCH,
            problems.ACCOUNT_NOT_FOUND,
            problems.ACCOUNT_CLOSED,
            problems.CURRENCY_MISMATCH,
            problems.ACCOUNTS_MUST_DIFFER,
        ),
    },
    openapi_extra=described(ConfirmPaymentBody, optional_body=True, moves_money=True),
)
async def confirm_payment(request: Request, payment_id: str) -> Response:
    """Begin an attempt: the first, the next with another payment method, or the one a challenge interrupted."""
    services = services_of(request)
    call = await receive(request, optional_body=True)
    method = validate(ConfirmPaymentBody, call.body).payment_method

    async def work(claim: Claim) -> Done | Accepted:
        message = confirmation(method, claim)
        await require_payer(services, call, method, claim)
        command = PaymentCommand(PaymentWorkflow.confirm, message, lambda p: p.require(PaymentAction.CONFIRM))
        return await send(services, call, payment_id, command, claim)

    return await carry_out(services, call, work, payment_id=require_id("payment", payment_id))


async def _command(request: Request, payment_id: str, command: PaymentCommand, call: MoneyCall) -> Response:
    services = services_of(request)
    return await carry_out(
        services,
        call,
        lambda claim: send(services, call, payment_id, command, claim),
        payment_id=require_id("payment", payment_id),
    )


@router.post(
    "/{payment_id}/capture",
    operation_id="capture_payment",
    summary="Capture a payment",
    response_model=PaymentView,
    responses={
        **answers(200, "The payment after the capture.", replayed=True),
        **accepted(PaymentView),
        **problems_of(*COMMAND_PROBLEMS, problems.INVALID_AMOUNT),
    },
    openapi_extra=described(CapturePaymentBody, optional_body=True, moves_money=True),
)
async def capture_payment(request: Request, payment_id: str) -> Response:
    """Capture part or all of what is authorized; with `final: false` the rest can be captured later."""
    call = await receive(request, optional_body=True)
    wanted = validate(CapturePaymentBody, call.body)
    message = CapturePayment(wanted.amount, wanted.final)
    command = PaymentCommand(PaymentWorkflow.capture, message, lambda p: p.begin_capture(wanted.amount or 1))
    return await _command(request, payment_id, command, call)


@router.post(
    "/{payment_id}/cancel",
    operation_id="cancel_payment",
    summary="Cancel a payment",
    response_model=PaymentView,
    responses={
        **answers(200, "The payment after it was canceled.", replayed=True),
        **accepted(PaymentView),
        **problems_of(*COMMAND_PROBLEMS),
    },
    openapi_extra=described(CancelPaymentBody, optional_body=True, moves_money=True),
)
async def cancel_payment(request: Request, payment_id: str) -> Response:
    """Give up what is not captured; what is captured stays captured."""
    call = await receive(request, optional_body=True)
    message = CancelPayment(validate(CancelPaymentBody, call.body).reason)
    command = PaymentCommand(PaymentWorkflow.cancel, message, lambda p: p.require(PaymentAction.CANCEL))
    return await _command(request, payment_id, command, call)


@router.post(
    "/{payment_id}/review",
    operation_id="review_payment",
    summary="Decide about a payment that needs review",
    tags=["operators"],
    response_model=PaymentView,
    responses={
        **answers(200, "The payment after the decision.", replayed=True),
        **accepted(PaymentView),
        **problems_of(*COMMAND_PROBLEMS),
    },
    openapi_extra=described(ReviewPayment, moves_money=True, parameters=(ACTOR,)),
)
async def review_payment(request: Request, payment_id: str) -> Response:
    """For operators: try again what could not be undone, or close the payment with what was found outside."""
    call = await receive(request)
    actor, wanted = actor_of(request), validate(ReviewPayment, call.body).root
    if isinstance(wanted, ResolvePaymentBody):
        outcome, note = wanted.final_status(), wanted.note
        message = ResolveReview(actor, outcome, note)
        command = PaymentCommand(PaymentWorkflow.resolve, message, lambda p: p.resolved(outcome, note))
    else:
        retry = RetryReview(actor, wanted.note)
        command = PaymentCommand(PaymentWorkflow.retry, retry, lambda p: p.require(PaymentAction.RETRY))
    return await _command(request, payment_id, command, call)
