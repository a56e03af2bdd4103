"""Routes of test clocks: months pass in seconds for the loans that follow one.

Invariant: a clock only goes forward; the answer to an advance comes when all its loans have reached the day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import problems
from api.body import validate
from api.documentation import (
    CLOCK_LINKS,
    COMMAND_PROBLEMS,
    MONEY_PROBLEMS,
    READ_PROBLEMS,
    accepted,
    answers,
    described,
    problems_of,
)
from api.engine import Refused, WorkflowEnded
from api.identifiers import require_id
from api.loans.problems import INVALID_CLOCK_DATE, as_problem
from api.loans.requests import AdvanceClockBody, CreateClock
from api.loans.views import ClockResource
from api.money_call import Accepted, Done, MoneyCall, carry_out, receive
from api.resource import written_or_accepted
from api.services import Services, services_of
from api.strict_route import StrictRoute
from domain import ids
from infra.postgres.idempotency import Claim, ClaimOutcome
from infra.postgres.loan_reads import StoredClock
from workflows.loans.shared_clock import AdvanceClock, ClockOrder, ClockView, LoanClockWorkflow

router = APIRouter(prefix="/v1/test_clocks", tags=["test clocks"], route_class=StrictRoute)


@router.post(
    "",
    operation_id="create_test_clock",
    summary="Make a test clock",
    status_code=201,
    response_model=ClockResource,
    responses={
        **answers(201, "The clock.", location=True, replayed=True, links=CLOCK_LINKS),
        **accepted(ClockResource),
        **problems_of(*MONEY_PROBLEMS),
    },
    openapi_extra=described(CreateClock, optional_body=True, moves_money=True),
)
async def create_test_clock(request: Request) -> Response:
    """Make a clock that stands still until it is advanced; apply for loans with its id as `test_clock`."""
    services = services_of(request)
    call = await receive(request, optional_body=True)
    wanted = validate(CreateClock, call.body)

    async def work(claim: Claim) -> Done | Accepted:  # noqa: ARG001 - the same for a first and a repeated call
        clock_id = ids.clock_id(call.tenant_id, call.key)
        order = ClockOrder(call.tenant_id, clock_id, wanted.on or datetime.now(UTC).date(), wanted.name)
        path = f"/v1/test_clocks/{clock_id}"
        try:
            made = await services.loan_engine.start_clock(order, ids.update_id(call.key), call.wait_s)
        except WorkflowEnded:
            return Done(_stored(services, await _written(services, call.tenant_id, clock_id)), 201, path)
        if made is None:
            return Accepted(services.loan_presenter.clock(clock_id, order.name, order.on, None), path, clock_id)
        return Done(_view(services, made), 201, path)

    return await carry_out(services, call, work)


@router.get(
    "/{clock_id}",
    operation_id="get_test_clock",
    summary="Read a test clock",
    response_model=ClockResource,
    responses={**answers(200, "The clock."), **problems_of(*READ_PROBLEMS)},
    openapi_extra=described(),
)
async def get_test_clock(request: Request, clock_id: str) -> Response:
    """Read what a clock shows, and the day it is advancing to."""
    services = services_of(request)
    tenant_id = await services.authenticator.tenant_of(request)
    stored = await services.loans.clock(tenant_id, require_id("test clock", clock_id))
    view = None if stored is None else _stored(services, stored)
    return await written_or_accepted(services, tenant_id, "test clock", clock_id, view)


@router.post(
    "/{clock_id}/advance",
    operation_id="advance_test_clock",
    summary="Advance a test clock",
    response_model=ClockResource,
    responses={
        **answers(200, "The clock; all its loans have reached the day.", replayed=True),
        **accepted(ClockResource),
        **problems_of(*COMMAND_PROBLEMS, INVALID_CLOCK_DATE),
    },
    openapi_extra=described(AdvanceClockBody, moves_money=True),
)
async def advance_test_clock(request: Request, clock_id: str) -> Response:
    """Let the days up to `to` pass for all loans of the clock: instalments fall due, are collected, are late."""
    services = services_of(request)
    call = await receive(request)
    wanted = validate(AdvanceClockBody, call.body)
    await _written(services, call.tenant_id, require_id("test clock", clock_id))
    return await carry_out(services, call, lambda claim: _advance(services, call, clock_id, wanted, claim))


async def _advance(
    services: Services, call: MoneyCall, clock_id: str, wanted: AdvanceClockBody, claim: Claim
) -> Done | Accepted:
    try:
        left = await services.loan_engine.command(
            clock_id, LoanClockWorkflow.advance, AdvanceClock(wanted.to), ids.update_id(call.key), call.wait_s
        )
    except WorkflowEnded:
        raise problems.Problem(problems.ILLEGAL_TRANSITION, "The test clock was deleted.") from None
    except Refused as refusal:
        now = await _written(services, call.tenant_id, clock_id)
        if claim.outcome is ClaimOutcome.RESUMED and now.business_date >= wanted.to:
            return Done(_stored(services, now))
        raise as_problem(refusal) from refusal
    if left is None:
        now = await _written(services, call.tenant_id, clock_id)
        return Accepted(_stored(services, now), f"/v1/test_clocks/{clock_id}")
    return Done(_view(services, cast(ClockView, left)))


async def _written(services: Services, tenant_id: str, clock_id: str) -> StoredClock:
    stored = await services.loans.clock(tenant_id, clock_id)
    if stored is None:
        raise problems.not_found("test clock", clock_id)
    return stored


def _view(services: Services, clock: ClockView) -> dict[str, object]:
    return services.loan_presenter.clock(clock.clock_id, clock.name, clock.on, clock.advancing_to)


def _stored(services: Services, clock: StoredClock) -> dict[str, object]:
    return services.loan_presenter.clock(clock.id, clock.name, clock.business_date, clock.advancing_to)
