"""What a loan would cost: a calculation, nothing is stored.

Invariant: the answer of `POST /v1/loan_quotes` is that of `clearhold loan quote --json`: one function makes both.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import json_answers, problems
from api.body import read_json, validate
from api.documentation import BODY_PROBLEMS, answers, described, problems_of
from api.loans.problems import INVALID_LOAN_TERMS, of_terms
from api.loans.terms import QuoteBody
from api.loans.views import LoanQuote
from api.services import services_of
from api.strict_route import StrictRoute
from domain.errors import DomainError
from domain.loans.quote import QuoteRequest, quote

router = APIRouter(prefix="/v1/loan_quotes", tags=["loans"], route_class=StrictRoute)


@router.post(
    "",
    operation_id="quote_loan",
    summary="Quote a loan",
    response_model=LoanQuote,
    responses={
        **answers(200, "The schedule, its cost, and the annual percentage rate."),
        **problems_of(*BODY_PROBLEMS, INVALID_LOAN_TERMS, problems.UNKNOWN_CURRENCY),
    },
    openapi_extra=described(QuoteBody),
)
async def quote_loan(request: Request) -> Response:
    """Calculate the instalments of a loan and what it costs; decimal strings in and out."""
    services = services_of(request)
    await services.authenticator.tenant_of(request)
    body = await read_json(request, services.settings.api_body_max_bytes)
    validate(QuoteBody, body)
    try:
        made = quote(QuoteRequest.parse(body.content))
    except DomainError as error:
        raise of_terms(error) from None
    return json_answers.answer(made.as_dict())
