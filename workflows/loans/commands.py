"""Carrying out what clients and the lender's people ask of a loan.

Invariant: a command is checked against the loan as it stands when its turn comes; one that needs a second person becomes a
proposal, and changes nothing until another person approves it.
"""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from activities.loan_book import LoanBookActivities
from domain.errors import IllegalTransition
from domain.loans.changes import Restructure, RestructureKind
from domain.loans.proposals import Proposal, ProposalKind
from domain.loans.status import LoanStatus
from workflows.loans.clock import BusinessClock
from workflows.loans.decisions import LoanDecisions
from workflows.loans.disbursement import LoanDisbursement
from workflows.loans.journal import LoanJournal
from workflows.loans.messages import (
    AcceptOffer,
    AddCharge,
    ApproveApplication,
    ChargeOff,
    CheckProposal,
    DeclineApplication,
    LoanCommand,
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
from workflows.loans.origination import LoanOrigination
from workflows.loans.rules import check, check_proposal
from workflows.loans.servicing import LoanServicing
from workflows.loans.successor import LoanSuccessor
from workflows.loans.tranches import LoanTranches


class LoanCommands:
    """What a loan does when it is told to."""

    def __init__(
        self,
        journal: LoanJournal,
        clock: BusinessClock,
        origination: LoanOrigination,
        disbursement: LoanDisbursement,
        tranches: LoanTranches,
        servicing: LoanServicing,
        decisions: LoanDecisions,
        successor: LoanSuccessor,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._origination = origination
        self._disbursement = disbursement
        self._servicing = servicing
        self._decisions = decisions
        self._tranches = tranches
        self._successor = successor

    def check(self, command: LoanCommand) -> None:
        """Raise a DomainError when the command is not allowed now. Pure."""
        if self._tranches.is_stuck:
            if not isinstance(command, RetryDisbursement):
                raise IllegalTransition(
                    "loan", "with a payout that is not undone", "have anything done but that payout tried again"
                )
            return
        check(command, self._journal.state, self._clock.present, disbursement_is_stuck=self._disbursement.is_stuck)

    async def act_on(self, command: LoanCommand) -> None:  # noqa: C901 - one line a command
        """Carry out a command that `check` let pass."""
        today = self._clock.today
        match command:
            case AcceptOffer(actor=actor):
                await self._origination.accept(actor)
            case WithdrawApplication(reason=reason):
                await self._withdraw(reason)
            case DeclineApplication(actor=actor, note=note):
                await self._origination.decline_by_person(actor, note)
            case UndoApproval(actor=actor, note=note):
                await self._disbursement.finish_undoing()
                await self._origination.undo_approval(actor, note)
            case RetryDisbursement(actor=actor):
                if self._journal.loan.status is LoanStatus.ACTIVE:
                    await self._tranches.retry(actor, today)
                else:
                    await self._disbursement.retry(actor)
            case UndoDisbursal(actor=actor, note=note):
                await self._disbursement.undo_disbursal(actor, note)
            case Repay():
                await self._servicing.repay(command, today)
            case PayOff(source=source):
                await self._servicing.pay_off(source, today)
            case RefundOverpayment(actor=actor):
                await self._servicing.refund_overpayment(actor, today)
            case ReverseRepayment():
                await self._servicing.reverse(command, today)
            case AddCharge():
                await self._decisions.add_charge(command, today)
            case WaiveCharge():
                await self._decisions.waive(command, today)
            case PauseLoan(until=until, actor=actor, note=note):
                await self._decisions.pause(until, actor, note, today)
            case ResumeLoan(actor=actor):
                await self._decisions.resume(today, actor)
            case ChargeOff(actor=actor, note=note):
                await self._decisions.charge_off(actor, note, today)
            case Recover():
                await self._servicing.recover(command, today)
            case CheckProposal():
                await self._decide_proposal(command)
            case ApproveApplication() | RestructureLoan() | WriteOff() | UndoWriteOff():
                await self._propose(command)

    async def _propose(self, command: ApproveApplication | RestructureLoan | WriteOff | UndoWriteOff) -> None:
        """Keep a change for a second person to decide."""
        kinds = {
            ApproveApplication: ProposalKind.APPROVAL,
            RestructureLoan: ProposalKind.RESTRUCTURE,
            WriteOff: ProposalKind.WRITE_OFF,
            UndoWriteOff: ProposalKind.UNDO_WRITE_OFF,
        }
        state = self._journal.state
        number = state.proposal_count + 1
        proposal = Proposal(
            number,
            kinds[type(command)],
            command.actor,
            workflow.now(),
            command.note,
            command.change if isinstance(command, RestructureLoan) else None,
        )
        self._journal.state = replace(state, proposal_count=number)
        await self._journal.write_or_fail(
            LoanBookActivities.record_origination
            if command.__class__ is ApproveApplication
            else LoanBookActivities.record_servicing,
            self._journal.loan,
            "proposed",
            f"{command.actor} proposes: {proposal.kind.value.replace('_', ' ')}. {command.note}".strip(),
            proposal=proposal,
            actor=command.actor,
        )

    async def _decide_proposal(self, command: CheckProposal) -> None:
        proposal = check_proposal(
            self._journal.state, command.number, command.actor, self._clock.today, approve=command.approve
        )
        decided = proposal.checked(command.actor, workflow.now(), approve=command.approve)
        word = "approves" if command.approve else "rejects"
        await self._journal.write_or_fail(
            LoanBookActivities.record_servicing,
            self._journal.loan,
            f"proposal_{decided.status.value}",
            f"{command.actor} {word} proposal {proposal.number} of {proposal.maker}. {command.note}".strip(),
            proposal=decided,
            actor=command.actor,
        )
        if not command.approve:
            return
        match proposal.kind:
            case ProposalKind.APPROVAL:
                await self._origination.approve_by_person(command.actor, proposal.maker)
            case ProposalKind.WRITE_OFF:
                await self._decisions.write_off(command.actor, self._clock.today)
            case ProposalKind.UNDO_WRITE_OFF:
                await self._decisions.undo_write_off(command.actor, self._clock.today)
            case ProposalKind.RESTRUCTURE if proposal.restructure is not None:
                await self._change_terms(proposal.restructure, proposal.maker, command.actor)

    async def _change_terms(self, change: Restructure, maker: str, actor: str) -> None:
        if change.kind is RestructureKind.RESCHEDULE:
            await self._successor.take_over(change, maker, actor, self._clock.today)
        else:
            await self._decisions.change_terms(change, actor, self._clock.today)

    async def _withdraw(self, reason: str) -> None:
        await self._disbursement.finish_undoing()
        await self._origination.withdraw(reason)
