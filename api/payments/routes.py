"""Routes of payments.

Invariant: a handler authenticates, reads and validates, and then hands over; it holds no rule about money.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BeforeValidator
from starlette.responses import Response

from api import json_answers, problems
from api.body import validate
from api.cursors import Cursor, payment_cursor, payment_position
from api.documentation import (
    MONEY_PROBLEMS,
    PAYMENT_LINKS,
    READ_PROBLEMS,
    accepted,
    answers,
    described,
    problems_of,
)
from api.engine import WorkflowEnded
from api.identifiers import require_id
from api.money_call import carry_out, receive
from api.payments import commands as payment_commands
from api.payments.requests import CreatePayment
from api.payments.views import LivePayment, PaymentPage, PaymentView, Timeline
from api.problems import Problem
from api.resource import WAITING, written_or_accepted
from api.services import Services, services_of
from api.strict_route import StrictRoute
from domain.payments.status import PaymentStatus
from infra.postgres.ledger import MAX_PAGE as MAX_ENTRIES
from infra.postgres.payment_reads import MAX_PAGE, PaymentFilter
from infra.postgres.stored_payments import StoredPayment

DEFAULT_PAGE = 20

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def _is_moment(value: Any) -> Any:
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        raise ValueError("a moment is written as in RFC 3339, with its offset: 2026-11-23T10:30:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_is_moment)]

router = APIRouter(prefix="/v1/payments", tags=["payments"], route_class=StrictRoute)


@router.post(
    "",
    operation_id="create_payment",
    summary="Create a payment",
    status_code=201,
    response_model=PaymentView,
    responses={
        **answers(
            201,
            "The payment, as its first attempt left it: see `status`.",
            location=True,
            replayed=True,
            links=PAYMENT_LINKS,
        ),
        **accepted(PaymentView),
        **problems_of(
            *MONEY_PROBLEMS,
            problems.INVALID_AMOUNT,
            problems.UNKNOWN_CURRENCY,
            problems.CURRENCY_MISMATCH,
            problems.ACCOUNT_NOT_FOUND,
            problems.ACCOUNT_CLOSED,
            problems.ACCOUNTS_MUST_DIFFER,
        ),
    },
    openapi_extra=described(CreatePayment, moves_money=True),
)
async def create_payment(request: Request) -> Response:
    """Create a payment and, unless `confirm` is false, try at once to get the money.

    **A decline is an answer, not an error**: the payment exists, the answer is 201, its `status` is `failed` (or
    `requires_payment_method` while `attempts_allowed` leaves another attempt) and `failure` says why. A problem
    (4xx) means that nothing happened.
    """
    services = services_of(request)
    call = await receive(request)
    wanted = validate(CreatePayment, call.body)
    return await carry_out(services, call, lambda claim: payment_commands.create(services, call, wanted, claim))


@router.get(
    "",
    operation_id="list_payments",
    summary="List payments, newest first",
    response_model=PaymentPage,
    responses={
        **answers(200, "A page of payments."),
        **problems_of(
            *READ_PROBLEMS, problems.INVALID_CURSOR, problems.VALIDATION_FAILED, problems.CARD_NUMBER_REFUSED
        ),
    },
    openapi_extra=described(),
)
async def list_payments(
    request: Request,
    status: Annotated[PaymentStatus | None, Query(description="Only in this status.")] = None,
    account: Annotated[str | None, Query(description="Only paid to this account.", max_length=200)] = None,
    customer: Annotated[str | None, Query(description="Only of this customer.", max_length=200)] = None,
    currency: Annotated[str | None, Query(description="Only in this currency.", pattern="^[A-Z]{3}$")] = None,
    created_after: Annotated[Moment | None, Query(description="Created then or later.")] = None,
    created_before: Annotated[Moment | None, Query(description="Created earlier.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Payments on a page.")] = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> Response:
    """List the tenant's payments, newest first; filters narrow each other."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    chosen = PaymentFilter(status, account, customer, currency, created_after, created_before)
    after = None if cursor is None else payment_position(cursor)
    found, more = await services.payments.payments(tenant_id, chosen, limit, after)
    data = [services.presenter.stored(stored) for stored in found]
    return json_answers.page(data, payment_cursor(found[-1].payment) if more else None)


async def _read(services: Services, request: Request, payment_id: str) -> StoredPayment:
    tenant_id = await services.authenticator.tenant_of(request)
    stored = await services.payments.payment(tenant_id, require_id("payment", payment_id))
    if stored is None:
        raise problems.not_found("payment", payment_id)
    return stored


@router.get(
    "/{payment_id}",
    operation_id="get_payment",
    summary="Read a payment",
    response_model=PaymentView,
    responses={**answers(200, "The payment."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def get_payment(request: Request, payment_id: str) -> Response:
    """Read a payment as it is written; works while every worker is down."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    stored = await services.payments.payment(tenant_id, require_id("payment", payment_id))
    view = None if stored is None else services.presenter.stored(stored)
    return await written_or_accepted(services, tenant_id, "payment", payment_id, view)


@router.get(
    "/{payment_id}/live",
    operation_id="get_live_payment",
    summary="Ask a payment what it is doing",
    tags=["operators"],
    response_model=LivePayment,
    responses={
        **answers(200, "What its workflow says."),
        **problems_of(
            *READ_PROBLEMS,
            problems.PAYMENT_INTERRUPTED,
            problems.NO_WORKER,
            problems.ENGINE_UNAVAILABLE,
        ),
    },
    openapi_extra=described(),
)
async def get_live_payment(request: Request, payment_id: str) -> Response:
    """Ask the payment's workflow itself; once it has ended, answer from what is written."""
    services = services_of(request)
    stored = await _read(services, request, payment_id)
    step, waits_for, deadline, compensations, waiting = "done", "", None, list[str](), 0
    payment = stored.payment
    if not payment.status.is_final:
        try:
            progress = await services.engine.progress(payment_id)
        except WorkflowEnded:
            stored = await _read(services, request, payment_id)
            payment = stored.payment
            if not payment.status.is_final:
                detail = f"The workflow of payment {payment_id} was stopped from outside."
                raise Problem(problems.PAYMENT_INTERRUPTED, detail) from None
        else:
            payment, waits_for = progress.payment, progress.waits_for
            step = WAITING if waits_for else progress.step
            deadline, compensations, waiting = progress.deadline, progress.compensations, progress.waiting_commands
    view = {
        "object": "live_payment",
        "payment": services.presenter.payment(payment, stored.amount_refunded_minor, stored.amount_refunding_minor),
        "step": step,
        "waits_for": waits_for,
        "deadline": deadline,
        "compensations": compensations,
        "waiting_commands": waiting,
    }
    return json_answers.answer(view)


@router.get(
    "/{payment_id}/timeline",
    operation_id="get_payment_timeline",
    summary="Read a payment's story",
    response_model=Timeline,
    responses={**answers(200, "The story."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def get_payment_timeline(request: Request, payment_id: str) -> Response:
    """Read each step of a payment and its refunds: time, ledger transfers, gateway reference; and where to look further."""
    services = services_of(request)
    payment = (await _read(services, request, payment_id)).payment
    story = await services.payments.story(payment.tenant_id, payment_id)
    entries = await services.ledger.entries_of_payment(payment.tenant_id, payment_id, MAX_ENTRIES)
    return json_answers.answer(services.presenter.timeline(payment, story, entries))
