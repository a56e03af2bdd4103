"""Routes of what the lender's people do to a loan alone: decline, charge, pause, charge off, recover and so on.

Invariant: each names who acts, in the header `Clearhold-Actor` until there is authentication; what needs a second person is in
`api.loans.proposal_routes`.
"""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import problems
from api.body import validate
from api.loans.call import command_described, receive_from_person
from api.loans.command_requests import ChargeBody, EmptyBody, NoteBody, PauseBody, RecoverBody, ReverseBody, WaiveBody
from api.loans.commands import LoanAction, command
from api.loans.problems import INVALID_LOAN_TERMS, NO_MANDATE, NOT_REFERRED, PAYMENT_DECLINED, PAYOUT_NOT_RETURNED
from api.loans.requests import mandate_of
from api.strict_route import StrictRoute
from domain.loans.status import LoanStatus
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import (
    AddCharge,
    ChargeOff,
    DeclineApplication,
    PauseLoan,
    Recover,
    RefundOverpayment,
    ResumeLoan,
    RetryDisbursement,
    ReverseRepayment,
    UndoApproval,
    UndoDisbursal,
    WaiveCharge,
)

router = APIRouter(prefix="/v1/loans", tags=["lending"], route_class=StrictRoute)

_described = partial(command_described, by_person=True)


@router.post(
    "/{loan_id}/decline",
    operation_id="decline_loan_application",
    summary="Decline a referred application",
    **_described(NoteBody, "The loan, rejected, with its reasons.", NOT_REFERRED, optional_body=True),
)
async def decline_loan_application(request: Request, loan_id: str) -> Response:
    """A person says no to an application that was referred, or whose applicant may be on a sanctions list."""
    call, actor = await receive_from_person(request, optional_body=True)
    message = DeclineApplication(actor, validate(NoteBody, call.body).note)
    action = LoanAction(
        "be declined",
        LoanWorkflow.decline_application,
        message,
        lambda loan: loan.status is LoanStatus.REJECTED and loan.failure_code == "declined_by_person",
    )
    return await command(request, loan_id, call, action)


@router.post(
    "/{loan_id}/undo_approval",
    operation_id="undo_loan_approval",
    summary="Take an approval back",
    **_described(NoteBody, "The loan, submitted and waiting for two persons to approve it.", optional_body=True),
)
async def undo_loan_approval(request: Request, loan_id: str) -> Response:
    """Take back the approval of a loan that is not paid out: two persons must approve it again, or one declines it."""
    call, actor = await receive_from_person(request, optional_body=True)
    message = UndoApproval(actor, validate(NoteBody, call.body).note)
    action = LoanAction("have its approval undone", LoanWorkflow.undo_approval, message)
    return await command(request, loan_id, call, action)


@router.post(
    "/{loan_id}/undo_disbursal",
    operation_id="undo_loan_disbursal",
    summary="Take a payout back",
    **_described(NoteBody, "The loan, approved and not paid out.", PAYOUT_NOT_RETURNED, optional_body=True),
)
async def undo_loan_disbursal(request: Request, loan_id: str) -> Response:
    """Take the money back from the borrower's wallet, as long as nothing was repaid or charged; interest is not earned."""
    call, actor = await receive_from_person(request, optional_body=True)
    message = UndoDisbursal(actor, validate(NoteBody, call.body).note)
    action = LoanAction("have its payout undone", LoanWorkflow.undo_disbursal, message)
    return await command(request, loan_id, call, action)


@router.post(
    "/{loan_id}/add_charge",
    operation_id="charge_loan",
    summary="Charge a fee by hand",
    **_described(ChargeBody, "The loan with the fee, due at once.", problems.INVALID_AMOUNT),
)
async def charge_loan(request: Request, loan_id: str) -> Response:
    """Charge a fee; a loan that is paid off is open again until it is paid."""
    call, actor = await receive_from_person(request)
    wanted = validate(ChargeBody, call.body)
    message = AddCharge(wanted.amount, actor, wanted.note)
    return await command(request, loan_id, call, LoanAction("be charged", LoanWorkflow.add_charge, message))


@router.post(
    "/{loan_id}/retry_disbursement",
    operation_id="retry_loan_disbursement",
    summary="Try again to pay a loan out",
    **_described(EmptyBody, "The loan after the attempt.", optional_body=True),
)
async def retry_loan_disbursement(request: Request, loan_id: str) -> Response:
    """Try again to pay out an approved loan whose payout failed, or the tranches of an active one that were withheld."""
    call, actor = await receive_from_person(request, optional_body=True)
    validate(EmptyBody, call.body)
    action = LoanAction("be paid out", LoanWorkflow.retry_disbursement, RetryDisbursement(actor))
    return await command(request, loan_id, call, action)


@router.post(
    "/{loan_id}/refund_overpayment",
    operation_id="refund_loan_overpayment",
    summary="Give an overpayment back",
    **_described(EmptyBody, "The loan, closed.", PAYMENT_DECLINED, optional_body=True),
)
async def refund_loan_overpayment(request: Request, loan_id: str) -> Response:
    """Pay what was paid too much to the borrower's wallet; the loan is closed."""
    call, actor = await receive_from_person(request, optional_body=True)
    validate(EmptyBody, call.body)
    action = LoanAction("refund an overpayment", LoanWorkflow.refund_overpayment, RefundOverpayment(actor))
    return await command(request, loan_id, call, action)


@router.post(
    "/{loan_id}/reverse",
    operation_id="reverse_loan_repayment",
    summary="Note that a repayment was taken back",
    **_described(ReverseBody, "The loan, owing again what was paid.", INVALID_LOAN_TERMS),
)
async def reverse_loan_repayment(request: Request, loan_id: str) -> Response:
    """A chargeback or a return: the money went back, what it paid is owed again, a closed loan is open again."""
    call, actor = await receive_from_person(request)
    wanted = validate(ReverseBody, call.body)
    message = ReverseRepayment(wanted.repayment, actor, wanted.reason)
    return await command(
        request, loan_id, call, LoanAction("reverse a repayment", LoanWorkflow.reverse_repayment, message)
    )


@router.post(
    "/{loan_id}/waive",
    operation_id="waive_loan_charge",
    summary="Waive a fee or a penalty",
    **_described(WaiveBody, "The loan without the charge.", INVALID_LOAN_TERMS, problems.INVALID_AMOUNT),
)
async def waive_loan_charge(request: Request, loan_id: str) -> Response:
    """Give up an unpaid fee or penalty of an instalment."""
    call, actor = await receive_from_person(request)
    wanted = validate(WaiveBody, call.body)
    message = WaiveCharge(wanted.instalment, wanted.portion, wanted.amount, actor, wanted.note)
    return await command(request, loan_id, call, LoanAction("waive a charge", LoanWorkflow.waive_charge, message))


@router.post(
    "/{loan_id}/pause",
    operation_id="pause_loan",
    summary="Pause a loan",
    **_described(PauseBody, "The loan, paused.", INVALID_LOAN_TERMS),
)
async def pause_loan(request: Request, loan_id: str) -> Response:
    """Rest collections, late fees and penalty interest until a day."""
    call, actor = await receive_from_person(request)
    wanted = validate(PauseBody, call.body)
    message = PauseLoan(wanted.until, actor, wanted.note)
    return await command(request, loan_id, call, LoanAction("pause", LoanWorkflow.pause, message))


@router.post(
    "/{loan_id}/resume",
    operation_id="resume_loan",
    summary="End a pause",
    **_described(EmptyBody, "The loan, served again.", optional_body=True),
)
async def resume_loan(request: Request, loan_id: str) -> Response:
    """Go on before the pause is over."""
    call, actor = await receive_from_person(request, optional_body=True)
    validate(EmptyBody, call.body)
    return await command(request, loan_id, call, LoanAction("resume", LoanWorkflow.resume, ResumeLoan(actor)))


@router.post(
    "/{loan_id}/charge_off",
    operation_id="charge_off_loan",
    summary="Charge a loan off",
    **_described(NoteBody, "The loan, charged off and still active.", optional_body=True),
)
async def charge_off_loan(request: Request, loan_id: str) -> Response:
    """Expect nothing any more: an accounting event; the borrower owes what they owed."""
    call, actor = await receive_from_person(request, optional_body=True)
    message = ChargeOff(actor, validate(NoteBody, call.body).note)
    return await command(request, loan_id, call, LoanAction("be charged off", LoanWorkflow.charge_off, message))


@router.post(
    "/{loan_id}/recover",
    operation_id="recover_loan",
    summary="Take money on a written-off loan",
    **_described(
        RecoverBody, "The loan with what was recovered.", problems.INVALID_AMOUNT, NO_MANDATE, PAYMENT_DECLINED
    ),
)
async def recover_loan(request: Request, loan_id: str) -> Response:
    """Take money on a claim that was given up."""
    call, actor = await receive_from_person(request)
    wanted = validate(RecoverBody, call.body)
    message = Recover(wanted.amount, actor, mandate_of(wanted.source))
    return await command(request, loan_id, call, LoanAction("recover", LoanWorkflow.recover, message))
