"""Routes of what two persons decide together: manual approval, restructuring, write-off, and undoing one.

Invariant: one person proposes, another approves or rejects; until then nothing about the loan changes. Who they are is the header
`Clearhold-Actor`, until there is authentication.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from api import problems
from api.body import validate
from api.documentation import LOAN_ACTOR, accepted, answers, described, problems_of
from api.loans.call import LOAN_PROBLEMS, command_described, receive_from_person
from api.loans.command_requests import DecideProposalBody, NoteBody, RestructureBody
from api.loans.commands import LoanAction, command, propose
from api.loans.problems import INVALID_LOAN_TERMS, NOT_REFERRED, PROPOSAL_NOT_OPEN, SECOND_PERSON_REQUIRED
from api.loans.views import LoanView, ProposalView
from api.problems import ProblemType
from api.strict_route import StrictRoute
from domain.loans.proposals import ProposalKind
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import ApproveApplication, CheckProposal, RestructureLoan, UndoWriteOff, WriteOff

MAX_NUMBER = 1_000_000

router = APIRouter(prefix="/v1/loans", tags=["lending"], route_class=StrictRoute)


def _proposing(body: type[BaseModel], *kinds: ProblemType, optional_body: bool = False) -> dict[str, Any]:
    return {
        "status_code": 201,
        "response_model": ProposalView,
        "responses": {
            **answers(201, "The proposal; another person must approve it.", location=True, replayed=True),
            **accepted(LoanView),
            **problems_of(*LOAN_PROBLEMS, PROPOSAL_NOT_OPEN, *kinds),
        },
        "openapi_extra": described(body, optional_body=optional_body, moves_money=True, parameters=(LOAN_ACTOR,)),
    }


def _deciding(outcome: str) -> dict[str, Any]:
    kinds = (PROPOSAL_NOT_OPEN, SECOND_PERSON_REQUIRED, NOT_REFERRED, INVALID_LOAN_TERMS)
    return command_described(DecideProposalBody, outcome, *kinds, optional_body=True, by_person=True)


@router.post(
    "/{loan_id}/approve",
    operation_id="approve_loan_application",
    summary="Propose to approve a referred application",
    **_proposing(NoteBody, NOT_REFERRED, optional_body=True),
)
async def approve_loan_application(request: Request, loan_id: str) -> Response:
    """Propose that a referred application, or one with a weak sanctions match, goes on."""
    call, actor = await receive_from_person(request, optional_body=True)
    wanted = validate(NoteBody, call.body)
    action = LoanAction("be approved", LoanWorkflow.approve_application, ApproveApplication(actor, wanted.note))
    return await propose(request, loan_id, call, action, ProposalKind.APPROVAL, actor)


@router.post(
    "/{loan_id}/restructure",
    operation_id="restructure_loan",
    summary="Propose other terms",
    **_proposing(RestructureBody, INVALID_LOAN_TERMS),
)
async def restructure_loan(request: Request, loan_id: str) -> Response:
    """Propose to re-age, re-amortize, change the rate from a day on, grant a payment holiday, or reschedule.

    Rescheduling closes the loan; its view then names, in `rescheduled_to`, the loan that takes its place.
    """
    call, actor = await receive_from_person(request)
    wanted = validate(RestructureBody, call.body)
    message = RestructureLoan(wanted.change(), actor, wanted.note)
    action = LoanAction("restructure", LoanWorkflow.restructure, message)
    return await propose(request, loan_id, call, action, ProposalKind.RESTRUCTURE, actor)


@router.post(
    "/{loan_id}/write_off",
    operation_id="write_off_loan",
    summary="Propose to write a loan off",
    **_proposing(NoteBody, optional_body=True),
)
async def write_off_loan(request: Request, loan_id: str) -> Response:
    """Propose to give the claim up for good; it can still be recovered afterwards."""
    call, actor = await receive_from_person(request, optional_body=True)
    wanted = validate(NoteBody, call.body)
    action = LoanAction("be written off", LoanWorkflow.write_off, WriteOff(actor, wanted.note))
    return await propose(request, loan_id, call, action, ProposalKind.WRITE_OFF, actor)


@router.post(
    "/{loan_id}/undo_write_off",
    operation_id="undo_loan_write_off",
    summary="Propose to undo a write-off",
    **_proposing(NoteBody, optional_body=True),
)
async def undo_loan_write_off(request: Request, loan_id: str) -> Response:
    """Propose to claim again what was given up, interest and penalties since included; not once something was recovered."""
    call, actor = await receive_from_person(request, optional_body=True)
    wanted = validate(NoteBody, call.body)
    action = LoanAction("have its write-off undone", LoanWorkflow.undo_write_off, UndoWriteOff(actor, wanted.note))
    return await propose(request, loan_id, call, action, ProposalKind.UNDO_WRITE_OFF, actor)


@router.post(
    "/{loan_id}/proposals/{number}/approve",
    operation_id="approve_loan_proposal",
    summary="Approve what another person proposed",
    **_deciding("The loan, changed as proposed."),
)
async def approve_loan_proposal(request: Request, loan_id: str, number: str) -> Response:
    """Carry out what another person proposed."""
    return await _decide(request, loan_id, number, approve=True)


@router.post(
    "/{loan_id}/proposals/{number}/reject",
    operation_id="reject_loan_proposal",
    summary="Reject what another person proposed",
    **_deciding("The loan, unchanged."),
)
async def reject_loan_proposal(request: Request, loan_id: str, number: str) -> Response:
    """Leave the loan as it is."""
    return await _decide(request, loan_id, number, approve=False)


async def _decide(request: Request, loan_id: str, number: str, *, approve: bool) -> Response:
    call, actor = await receive_from_person(request, optional_body=True)
    wanted = validate(DecideProposalBody, call.body)
    if not number.isascii() or not number.isdecimal() or not 0 < int(number[:9]) <= MAX_NUMBER:
        raise problems.not_found("proposal")
    message = CheckProposal(int(number), actor, approve=approve, note=wanted.note)
    return await command(
        request, loan_id, call, LoanAction("have a proposal decided", LoanWorkflow.check_proposal, message)
    )
