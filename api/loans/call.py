"""What all commands to a loan have in common: how they are described, and how those of the lender's people are received.

Invariant: whoever acts for the lender says so in the header `Clearhold-Actor`, until there is authentication.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel

from api.documentation import COMMAND_PROBLEMS, LOAN_ACTOR, accepted, answers, described, problems_of
from api.identifiers import actor_of
from api.loans.problems import LEDGER_REFUSED, LOAN_INTERRUPTED
from api.loans.views import LoanView
from api.money_call import MoneyCall, receive
from api.problems import ProblemType

LOAN_PROBLEMS = (*COMMAND_PROBLEMS, LOAN_INTERRUPTED, LEDGER_REFUSED)
"""What every command to a loan can be answered with."""


def command_described(
    body: type[BaseModel], outcome: str, *kinds: ProblemType, optional_body: bool = False, by_person: bool = False
) -> dict[str, Any]:
    """Return the arguments of a route that answers with the loan; `by_person`, one of the lender's people must be named."""
    parameters = (LOAN_ACTOR,) if by_person else ()
    return {
        "response_model": LoanView,
        "responses": {
            **answers(200, outcome, replayed=True),
            **accepted(LoanView),
            **problems_of(*LOAN_PROBLEMS, *kinds),
        },
        "openapi_extra": described(body, optional_body=optional_body, moves_money=True, parameters=parameters),
    }


async def receive_from_person(request: Request, *, optional_body: bool = False) -> tuple[MoneyCall, str]:
    """Authenticate and read a call, and return it with who makes it. Raises Problem as `receive`, and 422 without a name."""
    call = await receive(request, optional_body=optional_body)
    return call, actor_of(request)
