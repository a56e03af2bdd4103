"""Routes of what the borrower's side has done to a loan: accept, withdraw, repay, pay off.

Invariant: a handler authenticates, reads and validates, and then hands over; it holds no rule about money.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import problems
from api.body import validate
from api.loans.call import command_described
from api.loans.command_requests import EmptyBody, PayoffBody, RepayBody, WithdrawBody
from api.loans.commands import LoanAction, command
from api.loans.problems import NO_MANDATE, PAYMENT_DECLINED
from api.loans.requests import mandate_of
from api.money_call import receive
from api.strict_route import StrictRoute
from domain.loans.status import LoanStatus
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import AcceptOffer, PayOff, Repay, WithdrawApplication

router = APIRouter(prefix="/v1/loans", tags=["loans"], route_class=StrictRoute)


@router.post(
    "/{loan_id}/accept",
    operation_id="accept_loan_offer",
    summary="Accept the offer",
    **command_described(
        EmptyBody,
        "The loan, paid out; still `approved` when the payout failed (see `failure`), or another command came first.",
        optional_body=True,
    ),
)
async def accept_loan_offer(request: Request, loan_id: str) -> Response:
    """Accept what is offered: the loan is approved, paid out and becomes active."""
    call = await receive(request, optional_body=True)
    validate(EmptyBody, call.body)
    return await command(request, loan_id, call, LoanAction("accept", LoanWorkflow.accept, AcceptOffer()))


@router.post(
    "/{loan_id}/withdraw",
    operation_id="withdraw_loan_application",
    summary="Withdraw the application",
    **command_described(WithdrawBody, "The loan, withdrawn.", optional_body=True),
)
async def withdraw_loan_application(request: Request, loan_id: str) -> Response:
    """Give the application up; possible at any time before the money is paid out."""
    call = await receive(request, optional_body=True)
    message = WithdrawApplication(validate(WithdrawBody, call.body).reason)
    action = LoanAction(
        "withdraw", LoanWorkflow.withdraw, message, lambda loan: loan.status is LoanStatus.WITHDRAWN_BY_CLIENT
    )
    return await command(request, loan_id, call, action)


@router.post(
    "/{loan_id}/repay",
    operation_id="repay_loan",
    summary="Repay",
    **command_described(
        RepayBody, "The loan after the repayment.", problems.INVALID_AMOUNT, NO_MANDATE, PAYMENT_DECLINED
    ),
)
async def repay_loan(request: Request, loan_id: str) -> Response:
    """Take a repayment: what is past due and due first, the rest in advance or as a prepayment."""
    call = await receive(request)
    wanted = validate(RepayBody, call.body)
    message = Repay(wanted.amount, wanted.effect, mandate_of(wanted.source))
    return await command(request, loan_id, call, LoanAction("repay", LoanWorkflow.repay, message))


@router.post(
    "/{loan_id}/payoff",
    operation_id="pay_off_loan",
    summary="Pay a loan off",
    **command_described(PayoffBody, "The loan, closed.", NO_MANDATE, PAYMENT_DECLINED, optional_body=True),
)
async def pay_off_loan(request: Request, loan_id: str) -> Response:
    """Take all that is owed today; the loan is closed."""
    call = await receive(request, optional_body=True)
    message = PayOff(mandate_of(validate(PayoffBody, call.body).source))
    return await command(request, loan_id, call, LoanAction("be paid off", LoanWorkflow.pay_off, message))
