"""Which command a loan takes when: the refusals, before anything happens.

Invariant: pure; it raises a DomainError or lets the command pass, and what passes can only fail at the ledger or a gateway.
"""

from __future__ import annotations

from datetime import date

from domain.errors import DomainError, IllegalTransition, InvalidAmount
from domain.loans.account import LoanAccount
from domain.loans.amortization import schedule_of
from domain.loans.changes import Restructure, RestructureKind, restructure
from domain.loans.charges import waive
from domain.loans.errors import LoanTermsError
from domain.loans.loan import Loan
from domain.loans.proposals import MAX_OPEN_PROPOSALS, Proposal, ProposalKind, ProposalNotOpen, require_actor
from domain.loans.receipts import reverse
from domain.loans.reschedule import successor_terms
from domain.loans.schedule import plan_of
from domain.loans.status import LoanAction, LoanStatus
from domain.money import positive
from workflows.loans.messages import (
    AcceptOffer,
    AddCharge,
    ApproveApplication,
    ChargeOff,
    CheckProposal,
    DeclineApplication,
    LoanCommand,
    LoanState,
    PauseLoan,
    PayOff,
    Recover,
    RefundOverpayment,
    Repay,
    RestructureLoan,
    ResumeLoan,
    RetryDisbursement,
    ReverseRepayment,
    UndoApproval,
    UndoDisbursal,
    UndoWriteOff,
    WaiveCharge,
    WithdrawApplication,
    WriteOff,
)

_S = LoanStatus


class NoMandate(DomainError):
    """Money is to be taken, and nobody said from where."""

    code = "no_mandate"
    advice = "Send a source: a wallet account or a card token."


class NotReferred(DomainError):
    """No person is asked to decide on this application now."""

    code = "not_referred"
    advice = "Read the loan: the rules decide it, or have decided it."


def check(command: LoanCommand, state: LoanState, on: date, *, disbursement_is_stuck: bool) -> None:  # noqa: C901
    """Raise a DomainError when the command is not allowed now."""
    loan = state.loan
    if hasattr(command, "actor"):
        require_actor(command.actor)
    match command:
        case AcceptOffer():
            loan.require(LoanAction.ACCEPT)
        case WithdrawApplication():
            if loan.status is not _S.APPROVED:
                loan.require(LoanAction.WITHDRAW)
        case ApproveApplication() | DeclineApplication():
            _require_referred(state)
            if isinstance(command, ApproveApplication):
                _require_room(state, ProposalKind.APPROVAL)
        case UndoApproval():
            loan.require(LoanAction.UNDO_APPROVAL)
        case RetryDisbursement():
            _require_retry(state, disbursement_is_stuck=disbursement_is_stuck)
        case UndoDisbursal():
            _require_untouched(state)
        case Repay(amount_minor=amount):
            positive(amount, loan.currency)
            _require_source(command, loan)
            loan.require(LoanAction.REPAY_IN_FULL)
        case PayOff():
            _require_source(command, loan)
            loan.require(LoanAction.REPAY_IN_FULL)
        case RefundOverpayment():
            loan.require(LoanAction.REFUND_CREDIT_BALANCE)
        case ReverseRepayment(number=number):
            loan.require_status(_S.ACTIVE, _S.OVERPAID, _S.CLOSED_OBLIGATIONS_MET, to="have a repayment reversed")
            reverse(_account(state), number, on)
        case AddCharge(amount_minor=amount):
            positive(amount, loan.currency)
            if loan.status is not _S.ACTIVE:
                loan.require(LoanAction.ADD_CHARGE)
        case WaiveCharge():
            loan.require_status(_S.ACTIVE, to="have a charge waived")
            waive(_account(state), command.instalment, command.portion, command.amount_minor)
        case PauseLoan(until=until):
            loan.require_status(_S.ACTIVE, to="be paused")
            if until <= on:
                raise LoanTermsError("until", f"it is not after {on}.", advice="Send a later day.")
        case ResumeLoan():
            if not _account(state).is_paused(on):
                raise IllegalTransition("loan", "not paused", "be resumed")
        case RestructureLoan(change=change):
            loan.require_status(_S.ACTIVE, to="be restructured")
            _require_room(state, ProposalKind.RESTRUCTURE)
            check_restructure(state, change, on)
        case ChargeOff():
            loan.require_status(_S.ACTIVE, to="be charged off")
            if loan.charged_off_on is not None:
                raise IllegalTransition("loan", "charged off already", "be charged off")
        case WriteOff():
            loan.require(LoanAction.WRITE_OFF)
            _require_room(state, ProposalKind.WRITE_OFF)
        case UndoWriteOff():
            _require_room(state, ProposalKind.UNDO_WRITE_OFF)
            _require_written_off(loan)
        case CheckProposal(number=number, actor=actor, approve=approve):
            check_proposal(state, number, actor, on, approve=approve)
        case Recover(amount_minor=amount):
            positive(amount, loan.currency)
            _require_source(command, loan)
            loan.require_status(_S.CLOSED_WRITTEN_OFF, to="have money recovered")
            if loan.recovered_minor + amount > loan.written_off_minor:
                raise InvalidAmount("More would be recovered than was written off.", advice="Send at most the rest.")


def check_restructure(state: LoanState, change: Restructure, on: date) -> None:
    """Raise a DomainError when the new terms cannot be."""
    account = _account(state)
    if not account.principal_outstanding:
        raise IllegalTransition("loan", "without principal", "be restructured")
    if change.kind is RestructureKind.RESCHEDULE:
        schedule_of(plan_of(successor_terms(state.loan, account, change, on)))
    else:
        restructure(account, change, on)


def check_proposal(state: LoanState, number: int, actor: str, on: date, *, approve: bool) -> Proposal:
    """Return an open proposal that this person may decide, or raise a DomainError."""
    found = next((each for each in state.proposals if each.number == number), None)
    if found is None:
        raise ProposalNotOpen(f"There is no open proposal {number}.")
    found.checked(actor, found.made_at, approve=approve)
    if not approve:
        return found
    match found.kind:
        case ProposalKind.APPROVAL:
            _require_referred(state)
        case ProposalKind.WRITE_OFF:
            state.loan.require(LoanAction.WRITE_OFF)
        case ProposalKind.UNDO_WRITE_OFF:
            _require_written_off(state.loan)
        case ProposalKind.RESTRUCTURE:
            state.loan.require_status(_S.ACTIVE, to="be restructured")
            if found.restructure is not None:
                check_restructure(state, found.restructure, on)
    return found


def is_referred(state: LoanState) -> bool:
    """Return whether a person must decide on the application."""
    loan = state.loan
    if loan.status is _S.SUBMITTED_AND_PENDING_APPROVAL:
        return state.approval_undone
    if loan.status is _S.KYC_PENDING:
        return loan.screening_outcome is not None
    return loan.status is _S.UNDERWRITING and loan.decision is not None


def _require_referred(state: LoanState) -> None:
    if not is_referred(state):
        raise NotReferred(f"A loan that is {state.loan.status} asks no person for a decision.")


def _require_retry(state: LoanState, *, disbursement_is_stuck: bool) -> None:
    loan = state.loan
    if loan.status is _S.ACTIVE and _account(state).withheld:
        return
    loan.require(LoanAction.DISBURSE)
    if not disbursement_is_stuck:
        raise IllegalTransition("loan", "being paid out", "have its payout tried again")


def _require_untouched(state: LoanState) -> None:
    """Only a payout that nothing has followed can be undone; the rest of a loan's life is paid, reversed or written off."""
    state.loan.require(LoanAction.UNDO_DISBURSAL)
    account = _account(state)
    charged = any(each.fee or each.penalty for each in account.instalments)
    if account.repayment_count or charged or account.interest_settled or account.charged_off_on is not None:
        raise IllegalTransition("loan", "repaid, charged or changed already", LoanAction.UNDO_DISBURSAL.words)
    if len(state.paid_out) != 1:
        raise IllegalTransition("loan", "not paid out at once", LoanAction.UNDO_DISBURSAL.words)


def _require_written_off(loan: Loan) -> None:
    loan.require(LoanAction.UNDO_WRITE_OFF)
    if loan.recovered_minor:
        raise IllegalTransition("loan", "written off and partly recovered", LoanAction.UNDO_WRITE_OFF.words)


def _require_room(state: LoanState, kind: ProposalKind) -> None:
    if len(state.proposals) >= MAX_OPEN_PROPOSALS:
        raise ProposalNotOpen(f"{MAX_OPEN_PROPOSALS} proposals are open already.", advice="Decide those first.")
    if any(each.kind is kind for each in state.proposals):
        raise ProposalNotOpen(f"A proposal of this kind ({kind}) is open already.", advice="Have it decided first.")


def _require_source(command: Repay | PayOff | Recover, loan: Loan) -> None:
    if command.source is None and loan.application.mandate is None:
        raise NoMandate("The loan has no mandate, and no source was sent.")


def _account(state: LoanState) -> LoanAccount:
    if state.account is None:
        raise IllegalTransition("loan", state.loan.status, "have this done before it is paid out")
    return state.account
