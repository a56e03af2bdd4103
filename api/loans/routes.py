"""Routes of loans: apply, and read.

Invariant: a handler authenticates, reads and validates, and then hands over; reads work while every worker is down, except those
that say so.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from api import json_answers, problems
from api.body import validate
from api.cursors import Cursor, loan_cursor, loan_position, number_cursor, number_position
from api.documentation import (
    LOAN_LINKS,
    MONEY_PROBLEMS,
    READ_PROBLEMS,
    accepted,
    answers,
    described,
    problems_of,
)
from api.engine import WorkflowEnded
from api.identifiers import require_id
from api.loans import commands as loan_commands
from api.loans.presenter import event_view, payoff_view, proposal_view, schedule_view, today_of
from api.loans.problems import CLOCK_NOT_FOUND, INVALID_LOAN_TERMS, LOAN_INTERRUPTED
from api.loans.requests import ApplyForLoan
from api.loans.terms import is_day
from api.loans.views import (
    LiveLoan,
    LoanPage,
    LoanSchedule,
    LoanTimeline,
    LoanView,
    PayoffView,
    ProposalList,
)
from api.money_call import carry_out, receive
from api.payments.presenter import transfer_view
from api.problems import FieldError, Problem
from api.resource import WAITING, written_or_accepted
from api.services import Services, services_of
from api.strict_route import StrictRoute
from domain.loans.loan import CLOSED, RUNNING
from domain.loans.proposals import ProposalStatus
from domain.loans.status import LoanStatus
from infra.postgres.loan_reads import MAX_PAGE, LoanFilter, StoredLoan

DEFAULT_PAGE = 20
MAX_EVENTS = 100
"""Most steps on a page of a timeline."""
MAX_PAYOFF_YEARS = 60
"""How far ahead a payoff may be quoted."""

QueryDay = Annotated[date, BeforeValidator(is_day)]

router = APIRouter(prefix="/v1/loans", tags=["loans"], route_class=StrictRoute)


@router.post(
    "",
    operation_id="apply_for_loan",
    summary="Apply for a loan",
    status_code=201,
    response_model=LoanView,
    responses={
        **answers(
            201,
            "The loan, as its first decision left it: offered, referred (still underwriting), or rejected; see `status`.",
            location=True,
            replayed=True,
            links=LOAN_LINKS,
        ),
        **accepted(LoanView),
        **problems_of(
            *MONEY_PROBLEMS,
            INVALID_LOAN_TERMS,
            CLOCK_NOT_FOUND,
            problems.UNKNOWN_CURRENCY,
            problems.INVALID_AMOUNT,
            problems.ACCOUNT_NOT_FOUND,
            problems.ACCOUNT_CLOSED,
            problems.CURRENCY_MISMATCH,
            LOAN_INTERRUPTED,
        ),
    },
    openapi_extra=described(ApplyForLoan, moves_money=True),
)
async def apply_for_loan(request: Request) -> Response:
    """Register an application, check the applicant, and decide.

    **A rejection is an answer, not an error**: the loan exists, the answer is 201, its `status` is `rejected` and `decision`
    holds the reasons for a letter to the applicant.
    """
    services = services_of(request)
    call = await receive(request)
    wanted = validate(ApplyForLoan, call.body)
    return await carry_out(services, call, lambda claim: loan_commands.apply(services, call, wanted, claim))


@router.get(
    "",
    operation_id="list_loans",
    summary="List loans, newest first",
    response_model=LoanPage,
    responses={
        **answers(200, "A page of loans."),
        **problems_of(*READ_PROBLEMS, problems.INVALID_CURSOR, problems.VALIDATION_FAILED),
    },
    openapi_extra=described(),
)
async def list_loans(
    request: Request,
    status: Annotated[LoanStatus | None, Query(description="Only in this status.")] = None,
    customer: Annotated[str | None, Query(description="Only of this borrower.", max_length=200)] = None,
    currency: Annotated[str | None, Query(description="Only in this currency.", pattern="^[A-Z]{3}$")] = None,
    test_clock: Annotated[str | None, Query(description="Only on this test clock.", max_length=70)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Loans on a page.")] = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> Response:
    """List the tenant's loans, newest first; filters narrow each other."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    after = None if cursor is None else loan_position(cursor)
    chosen = LoanFilter(status, customer, currency, test_clock)
    found, more = await services.loans.page(tenant_id, chosen, limit, after)
    data = [services.loan_presenter.stored(stored) for stored in found]
    return json_answers.page(data, loan_cursor(found[-1].created_at, found[-1].loan.id) if more else None)


async def _read(services: Services, request: Request, loan_id: str) -> StoredLoan:
    tenant_id = await services.authenticator.tenant_of(request)
    stored = await services.loans.loan(tenant_id, require_id("loan", loan_id))
    if stored is None:
        raise problems.not_found("loan", loan_id)
    return stored


@router.get(
    "/{loan_id}",
    operation_id="get_loan",
    summary="Read a loan",
    response_model=LoanView,
    responses={**answers(200, "The loan."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def get_loan(request: Request, loan_id: str) -> Response:
    """Read a loan as it is written; works while every worker is down."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    stored = await services.loans.loan(tenant_id, require_id("loan", loan_id))
    view = None if stored is None else services.loan_presenter.stored(stored)
    return await written_or_accepted(services, tenant_id, "loan", loan_id, view)


@router.get(
    "/{loan_id}/schedule",
    operation_id="get_loan_schedule",
    summary="Read a loan's schedule, with what was actually paid",
    response_model=LoanSchedule,
    responses={**answers(200, "The schedule."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def get_loan_schedule(request: Request, loan_id: str) -> Response:
    """Read the instalments and the repayments; before the payout, the instalments that the terms promise."""
    services = services_of(request)
    loan = (await _read(services, request, loan_id)).loan
    rows = await services.loans.instalments(loan.tenant_id, loan_id)
    repayments = await services.loans.repayments(loan.tenant_id, loan_id)
    return json_answers.answer(schedule_view(loan, rows, repayments))


@router.get(
    "/{loan_id}/payoff",
    operation_id="quote_loan_payoff",
    summary="Ask what would pay a loan off",
    response_model=PayoffView,
    responses={
        **answers(200, "What is owed on that day."),
        **problems_of(
            *READ_PROBLEMS,
            problems.VALIDATION_FAILED,
            problems.ILLEGAL_TRANSITION,
            problems.NO_WORKER,
            problems.ENGINE_UNAVAILABLE,
        ),
    },
    openapi_extra=described(),
)
async def quote_loan_payoff(
    request: Request,
    loan_id: str,
    on: Annotated[QueryDay | None, Query(description="Today or later; none: today.")] = None,
) -> Response:
    """Ask the loan's workflow what is owed on a day, if nothing else happens until then; needs a worker."""
    services = services_of(request)
    loan = (await _read(services, request, loan_id)).loan
    today = today_of(loan)
    day = on or today
    if not today <= day or day.year > today.year + MAX_PAYOFF_YEARS:
        rule = f"The day is {today} or later, at most {MAX_PAYOFF_YEARS} years ahead."
        raise Problem(problems.VALIDATION_FAILED, rule, errors=[FieldError("/query/on", rule)])
    if loan.status not in RUNNING | CLOSED:
        detail = f"A loan that is {loan.status} has nothing to pay off."
        raise Problem(problems.ILLEGAL_TRANSITION, detail)
    quote = await services.loan_engine.payoff_quote(loan_id, day)
    return json_answers.answer(payoff_view(loan_id, quote))


@router.get(
    "/{loan_id}/proposals",
    operation_id="list_loan_proposals",
    summary="List what was proposed, and decided",
    response_model=ProposalList,
    responses={**answers(200, "The proposals, oldest first."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def list_loan_proposals(request: Request, loan_id: str) -> Response:
    """List a loan's proposals: who made each, and who decided it."""
    services = services_of(request)
    loan = (await _read(services, request, loan_id)).loan
    found = await services.loans.proposals(loan.tenant_id, loan_id)
    view = {"object": "list", "data": [proposal_view(loan_id, each) for each in found]}
    return json_answers.answer(view)


@router.get(
    "/{loan_id}/live",
    operation_id="get_live_loan",
    summary="Ask a loan what it is doing",
    response_model=LiveLoan,
    responses={
        **answers(200, "What its workflow says."),
        **problems_of(*READ_PROBLEMS, LOAN_INTERRUPTED, problems.NO_WORKER, problems.ENGINE_UNAVAILABLE),
    },
    openapi_extra=described(),
)
async def get_live_loan(request: Request, loan_id: str) -> Response:
    """Ask the loan's workflow itself; once it has ended, answer from what is written."""
    services = services_of(request)
    stored = await _read(services, request, loan_id)
    view: dict[str, Any] = {
        "object": "live_loan",
        "loan": services.loan_presenter.stored(stored),
        "step": "done",
        "waits_for": "",
        "wakes_on": None,
        "compensations": [],
        "waiting_commands": 0,
        "open_proposals": [],
    }
    try:
        progress = await services.loan_engine.progress(loan_id)
    except WorkflowEnded:
        if not loan_commands.is_over(stored.loan):
            detail = f"The workflow of loan {loan_id} was stopped from outside."
            raise Problem(LOAN_INTERRUPTED, detail) from None
    else:
        open_ones = [each.number for each in progress.proposals if each.status is ProposalStatus.PENDING]
        view |= {
            "loan": services.loan_presenter.loan(progress.loan, stored.created_at, stored.updated_at),
            "step": WAITING if progress.waits_for else progress.step,
            "waits_for": progress.waits_for,
            "wakes_on": progress.wakes_on,
            "compensations": progress.compensations,
            "waiting_commands": progress.waiting_commands,
            "open_proposals": open_ones,
        }
    return json_answers.answer(view)


@router.get(
    "/{loan_id}/timeline",
    operation_id="get_loan_timeline",
    summary="Read a loan's story",
    response_model=LoanTimeline,
    responses={
        **answers(200, "A page of the story."),
        **problems_of(*READ_PROBLEMS, problems.INVALID_CURSOR, problems.VALIDATION_FAILED),
    },
    openapi_extra=described(),
)
async def get_loan_timeline(
    request: Request,
    loan_id: str,
    limit: Annotated[int, Query(ge=1, le=MAX_EVENTS, description="Steps on a page.")] = MAX_EVENTS,
    cursor: Cursor = None,
) -> Response:
    """Read each step of a loan, oldest first: day, who acted, the payment, and the ledger's transfers."""
    services = services_of(request)
    loan = (await _read(services, request, loan_id)).loan
    after = 0 if cursor is None else number_position(cursor)
    events = await services.loans.events(loan.tenant_id, loan_id, after, limit + 1)
    page, more = events[:limit], len(events) > limit
    keys = [each.entry_key for each in page if each.entry_key is not None]
    entries = await services.ledger.entries_of_keys(loan.tenant_id, keys) if keys else []
    transfers = {entry.key: [transfer_view(transfer) for transfer in entry.transfers] for entry in entries}
    view = {
        "object": "loan_timeline",
        "loan": loan_id,
        "trace_id": loan.application.trace_id,
        "events": [event_view(each, transfers) for each in page],
        "has_more": more,
        "next_cursor": number_cursor(page[-1].sequence) if more else None,
    }
    return json_answers.answer(view)
