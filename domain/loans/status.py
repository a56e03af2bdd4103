"""The status of a loan, and which action leads where.

Invariant: a status changes only along `TRANSITIONS`; any other action raises IllegalTransition.

From `submitted_and_pending_approval` on, the graph is Apache Fineract's. Origination comes before it:

    draft -> kyc_pending -> underwriting -> offered -> accepted -> submitted_and_pending_approval -> approved -> active

An accepted offer is not yet an approval to pay out: acceptance is the borrower's, approval the lender's. `submit` books
the accepted loan for approval, and `approve` is the lender's act, by a second person or by the rules where the credit
decision left nothing to a person. So disbursement always starts from `approved`, and a disbursement that fails goes
back to it, whoever approved. A withdrawal is possible in every status before that; an approved loan is first taken
back with `undo_approval`. An offer that lapses is a withdrawal by silence.

Charge-off, days past due and pause are attributes beside the status, never statuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from domain.errors import IllegalTransition
from domain.transitions import Action


class LoanStatus(StrEnum):
    """Where a loan stands."""

    DRAFT = "draft"
    KYC_PENDING = "kyc_pending"
    UNDERWRITING = "underwriting"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    SUBMITTED_AND_PENDING_APPROVAL = "submitted_and_pending_approval"
    APPROVED = "approved"
    ACTIVE = "active"
    WITHDRAWN_BY_CLIENT = "withdrawn_by_client"
    REJECTED = "rejected"
    CLOSED_OBLIGATIONS_MET = "closed_obligations_met"
    CLOSED_WRITTEN_OFF = "closed_written_off"
    CLOSED_RESCHEDULED = "closed_rescheduled"
    OVERPAID = "overpaid"


class LoanAction(Action):
    """What is done to a loan that may change its status."""

    APPLY = "apply", "be applied for"
    CLEAR_KYC = "clear_kyc", "be cleared by screening"
    OFFER = "offer", "be offered"
    ACCEPT = "accept", "be accepted"
    LAPSE = "lapse", "lapse"
    SUBMIT = "submit", "be submitted for approval"
    APPROVE = "approve", "be approved"
    REJECT = "reject", "be rejected"
    WITHDRAW = "withdraw", "be withdrawn"
    UNDO_APPROVAL = "undo_approval", "have its approval undone"
    DISBURSE = "disburse", "be paid out"
    UNDO_DISBURSAL = "undo_disbursal", "have its payout undone"
    REPAY_IN_FULL = "repay_in_full", "be repaid"
    WRITE_OFF = "write_off", "be written off"
    UNDO_WRITE_OFF = "undo_write_off", "have its write-off undone"
    RESCHEDULE = "reschedule", "be rescheduled"
    OVERPAY = "overpay", "be overpaid"
    CHARGEBACK = "chargeback", "have a repayment taken back"
    ADD_CHARGE = "add_charge", "be charged a fee or penalty"
    REFUND_CREDIT_BALANCE = "refund_credit_balance", "have an overpayment refunded"


_S, _A = LoanStatus, LoanAction

CODES: Mapping[LoanStatus, int] = MappingProxyType(
    {
        _S.DRAFT: 10,
        _S.KYC_PENDING: 20,
        _S.UNDERWRITING: 30,
        _S.OFFERED: 40,
        _S.ACCEPTED: 50,
        _S.SUBMITTED_AND_PENDING_APPROVAL: 100,
        _S.APPROVED: 200,
        _S.ACTIVE: 300,
        _S.WITHDRAWN_BY_CLIENT: 400,
        _S.REJECTED: 500,
        _S.CLOSED_OBLIGATIONS_MET: 600,
        _S.CLOSED_WRITTEN_OFF: 601,
        _S.CLOSED_RESCHEDULED: 602,
        _S.OVERPAID: 700,
    }
)
"""Numbers that order the statuses: Fineract's from 100 on, ours before."""

TRANSITIONS: Mapping[tuple[LoanStatus, LoanAction], LoanStatus] = MappingProxyType(
    {
        (_S.DRAFT, _A.APPLY): _S.KYC_PENDING,
        (_S.DRAFT, _A.WITHDRAW): _S.WITHDRAWN_BY_CLIENT,
        (_S.KYC_PENDING, _A.CLEAR_KYC): _S.UNDERWRITING,
        (_S.KYC_PENDING, _A.REJECT): _S.REJECTED,
        (_S.KYC_PENDING, _A.WITHDRAW): _S.WITHDRAWN_BY_CLIENT,
        (_S.UNDERWRITING, _A.OFFER): _S.OFFERED,
        (_S.UNDERWRITING, _A.REJECT): _S.REJECTED,
        (_S.UNDERWRITING, _A.WITHDRAW): _S.WITHDRAWN_BY_CLIENT,
        (_S.OFFERED, _A.ACCEPT): _S.ACCEPTED,
        (_S.OFFERED, _A.LAPSE): _S.WITHDRAWN_BY_CLIENT,
        (_S.OFFERED, _A.WITHDRAW): _S.WITHDRAWN_BY_CLIENT,
        (_S.ACCEPTED, _A.SUBMIT): _S.SUBMITTED_AND_PENDING_APPROVAL,
        (_S.ACCEPTED, _A.WITHDRAW): _S.WITHDRAWN_BY_CLIENT,
        (_S.SUBMITTED_AND_PENDING_APPROVAL, _A.APPROVE): _S.APPROVED,
        (_S.SUBMITTED_AND_PENDING_APPROVAL, _A.REJECT): _S.REJECTED,
        (_S.SUBMITTED_AND_PENDING_APPROVAL, _A.WITHDRAW): _S.WITHDRAWN_BY_CLIENT,
        (_S.APPROVED, _A.UNDO_APPROVAL): _S.SUBMITTED_AND_PENDING_APPROVAL,
        (_S.APPROVED, _A.DISBURSE): _S.ACTIVE,
        (_S.ACTIVE, _A.UNDO_DISBURSAL): _S.APPROVED,
        (_S.ACTIVE, _A.REPAY_IN_FULL): _S.CLOSED_OBLIGATIONS_MET,
        (_S.ACTIVE, _A.WRITE_OFF): _S.CLOSED_WRITTEN_OFF,
        (_S.ACTIVE, _A.RESCHEDULE): _S.CLOSED_RESCHEDULED,
        (_S.ACTIVE, _A.OVERPAY): _S.OVERPAID,
        (_S.CLOSED_OBLIGATIONS_MET, _A.CHARGEBACK): _S.ACTIVE,
        (_S.CLOSED_OBLIGATIONS_MET, _A.ADD_CHARGE): _S.ACTIVE,
        (_S.OVERPAID, _A.CHARGEBACK): _S.ACTIVE,
        (_S.OVERPAID, _A.REFUND_CREDIT_BALANCE): _S.CLOSED_OBLIGATIONS_MET,
        (_S.CLOSED_WRITTEN_OFF, _A.UNDO_WRITE_OFF): _S.ACTIVE,
    }
)


def transition(status: LoanStatus, action: LoanAction) -> LoanStatus:
    """Return the status an action leads to. Raises IllegalTransition when the present one does not allow it."""
    try:
        return TRANSITIONS[status, action]
    except KeyError:
        raise IllegalTransition("loan", status.value, action.words) from None


def allowed_actions(status: LoanStatus) -> tuple[LoanAction, ...]:
    """Return the actions a status allows, in the order they are defined."""
    return tuple(action for action in LoanAction if (status, action) in TRANSITIONS)


def is_final(status: LoanStatus) -> bool:
    """Return whether no action leads out of a status."""
    return not allowed_actions(status)
