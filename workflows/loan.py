"""A loan, from the application to its end, years later.

It registers the application, checks the applicant, decides, makes an offer and waits for an answer; approves, pays out as a
saga, and then serves the loan day by day until it is paid off or given up, and a little longer, in case a payment is
taken back. It continues as new now and then, so that no history grows with the years.

Invariants
- One thing happens at a time: what the days bring comes first, in the order of the days; commands queue, and each is
  checked against the loan as it stands when its turn comes.
- Money moves once: every payment and every entry has a key made of the loan's id, never of a run's.
- A run ends for the next one only when no command waits and none is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from activities.loan_book import LoanBookActivities
from domain.errors import DomainError
from domain.loans.agenda import next_day
from domain.loans.charges import charge_penalties
from domain.loans.loan import CLOSED, ENDED, RUNNING, Loan
from domain.loans.proposals import Proposal, ProposalKind
from domain.loans.status import LoanStatus
from workflows.command_queue import CommandQueue, as_failure
from workflows.loan_clock import BusinessClock
from workflows.loan_disbursement import LoanDisbursement
from workflows.loan_journal import LoanJournal
from workflows.loan_messages import (
    AcceptOffer,
    ApproveApplication,
    ChargeOff,
    CheckProposal,
    DeclineApplication,
    LoanCommand,
    LoanOrder,
    LoanProgress,
    LoanState,
    PauseLoan,
    PayOff,
    PayoffQuote,
    Recover,
    RefundOverpayment,
    Repay,
    RestructureLoan,
    ResumeLoan,
    RetryDisbursement,
    ReverseRepayment,
    WaiveCharge,
    WithdrawApplication,
    WriteOff,
)
from workflows.loan_money import LoanMoney
from workflows.loan_origination import LoanOrigination
from workflows.loan_policies import MAX_COMMANDS_PER_RUN, MAX_DAYS_PER_RUN, MAX_RECENT_UPDATES
from workflows.loan_rules import check, check_proposal, is_referred
from workflows.loan_servicing import LoanServicing
from workflows.policies import MAX_WAITING_COMMANDS
from workflows.saga import SAGA_FAILURES, shielded


@workflow.defn
class LoanWorkflow:
    """One loan; its id is the workflow's id."""

    @workflow.init
    def __init__(self, order: LoanOrder) -> None:
        clock_date = order.today if order.application.test_clock is not None else None
        today = clock_date or workflow.now().date()
        state = order.state or LoanState(Loan.apply(order.application, today), clock_date=clock_date)
        self._order = order
        self._clock = BusinessClock(state.clock_date)
        self._journal = LoanJournal(state)
        money = LoanMoney(order.payment_task_queue)
        self._origination = LoanOrigination(self._journal, self._clock)
        self._disbursement = LoanDisbursement(self._journal, money, self._clock)
        self._servicing = LoanServicing(self._journal, money)
        self._queue: CommandQueue[LoanCommand, Loan] = CommandQueue(MAX_WAITING_COMMANDS)
        self._waits_for = ""
        self._wakes_on: date | None = None
        self._settled = order.state is not None
        self._days_served = 0
        self._commands_done = 0

    @property
    def _loan(self) -> Loan:
        return self._journal.loan

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:  # noqa: ARG002 - __init__ took it
        """Carry the loan on until its end, or until the next run takes over; return it as it ended."""
        while not self._is_over():
            try:
                await self._go_on()
            except SAGA_FAILURES as failure:
                await shielded(self._after_failure(failure))
            if self._may_continue_as_new():
                workflow.continue_as_new(self._next_order())
        self._rest("")
        self._queue.close(self._loan, self._check)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._loan

    # The process

    async def _go_on(self) -> None:
        """Do the next thing: what the loan's status asks for, or a command."""
        self._journal.stop_if_cancelled()
        match self._loan.status:
            case LoanStatus.DRAFT:
                await self._origination.apply()
            case LoanStatus.KYC_PENDING if not is_referred(self._loan):
                await self._check_applicant()
            case LoanStatus.UNDERWRITING if not is_referred(self._loan):
                await self._origination.underwrite()
            case LoanStatus.KYC_PENDING | LoanStatus.UNDERWRITING:
                await self._wait_for_command("two persons to decide: `approve_application`, or `decline_application`")
            case LoanStatus.OFFERED:
                await self._wait_for_acceptance()
            case LoanStatus.ACCEPTED:
                await self._origination.submit()
            case LoanStatus.SUBMITTED_AND_PENDING_APPROVAL:
                await self._origination.approve()
            case LoanStatus.APPROVED:
                await self._pay_out()
            case _:
                await self._serve()

    async def _check_applicant(self) -> None:
        screening = self._origination.begin_screening()
        if not screening.done():
            await self._wait("the screening provider to answer", None, screening.done)
        if self._queue:
            await self._carry_out()
        else:
            await self._origination.end_screening()

    async def _wait_for_acceptance(self) -> None:
        expires = self._loan.offer_expires_on
        after = None if expires is None else expires + timedelta(days=1)
        await self._wait("the borrower to accept the offer", after)
        if self._queue:
            await self._carry_out()
        elif after is not None and self._clock.today >= after:
            await self._origination.lapse()

    async def _pay_out(self) -> None:
        if self._disbursement.is_stuck:
            await self._wait_for_command("an operator: `retry_disbursement`, or the borrower: `withdraw`")
        elif self._queue:
            await self._carry_out()
        else:
            await self._disbursement.disburse()

    async def _serve(self) -> None:
        """Serve the next day that has come, else carry out a command, else wait for either."""
        if self._loan.status is LoanStatus.ACTIVE:
            events = next_day(self._journal.account, self._loan.application.servicing, self._loan.business_date)
            wakes_on = events[0].on if events else None
            if wakes_on is not None and wakes_on <= self._clock.today:
                self._days_served += 1
                await self._servicing.serve_day(events)
                self._reach(wakes_on)
                return
        else:
            wakes_on = self._ends_on()
        if self._must_move():
            await self._servicing.end_day(self._clock.today)
            return
        if not self._queue:
            await self._wait(self._patience(), wakes_on)
        if self._queue:
            await self._carry_out()

    def _reach(self, on: date) -> None:
        """Note that a day's events are done, also where they had nothing to write."""
        if self._loan.business_date < on:
            self._journal.state = replace(self._journal.state, loan=replace(self._loan, business_date=on))

    def _patience(self) -> str:
        match self._loan.status:
            case LoanStatus.ACTIVE:
                late = f", {self._loan.days_past_due} days past due" if self._loan.days_past_due else ""
                return f"the next day of its agenda, or a command{late}"
            case LoanStatus.OVERPAID:
                return "an operator: `refund_overpayment` gives the overpayment back"
            case LoanStatus.CLOSED_WRITTEN_OFF:
                return "recoveries"
        return "a payment that may be taken back; then it ends"

    def _ends_on(self) -> date | None:
        """Return the day on which a closed loan has nothing left to wait for."""
        if self._loan.status not in CLOSED or self._loan.closed_on is None:
            return None
        servicing = self._loan.application.servicing
        met = self._loan.status is LoanStatus.CLOSED_OBLIGATIONS_MET
        return self._loan.closed_on + timedelta(days=servicing.reopen_days if met else servicing.recovery_days)

    def _is_over(self) -> bool:
        if self._loan.status in ENDED:
            return True
        ends_on = self._ends_on()
        return ends_on is not None and ends_on <= self._clock.today and not self._queue

    # Waiting and commands

    async def _wait_for_command(self, waits_for: str) -> None:
        self._journal.require_person(needed=True)
        await self._wait(waits_for, None)
        self._journal.require_person(needed=False)
        await self._carry_out()

    async def _wait(self, waits_for: str, wakes_on: date | None, until: Callable[[], bool] | None = None) -> None:
        """Rest until a command comes, a day begins, or something is so. Whoever waits for the last command is answered."""
        self._rest(waits_for, wakes_on, settled=until is None)
        try:
            await self._clock.wait(
                lambda: bool(self._queue) or self._must_move() or (until is not None and until()), wakes_on, waits_for
            )
        finally:
            self._waits_for, self._wakes_on = "", None
        if self._queue:
            self._journal.show("", None, self._disbursement.saga.names)

    def _must_move(self) -> bool:
        """Tell whether a test clock has left a loan behind that is served by days."""
        return (
            self._clock.shown is not None
            and self._loan.status in RUNNING | CLOSED
            and (self._loan.served_through or self._loan.business_date) < self._clock.shown
        )

    def _rest(self, waits_for: str, wakes_on: date | None = None, *, settled: bool = True) -> None:
        self._waits_for, self._wakes_on = waits_for, wakes_on
        self._settled = self._settled or settled
        self._queue.answer(self._loan)
        self._journal.show(waits_for, wakes_on, self._disbursement.saga.names)

    async def _carry_out(self) -> None:
        """Carry out the next command; a refusal is the answer to it and changes nothing."""
        if not self._queue:
            return
        command = self._queue.take()
        self._commands_done += 1
        try:
            self._check(command)
            await self._act_on(command)
        except DomainError as refusal:
            self._queue.refuse(refusal)
        except ApplicationError as failure:
            self._queue.refuse(failure)

    def _check(self, command: LoanCommand) -> None:
        check(command, self._journal.state, self._clock.today, disbursement_is_stuck=self._disbursement.is_stuck)

    async def _act_on(self, command: LoanCommand) -> None:  # noqa: C901 - one line a command
        today = self._clock.today
        match command:
            case AcceptOffer(actor=actor):
                await self._origination.accept(actor)
            case WithdrawApplication(reason=reason):
                await self._withdraw(reason)
            case DeclineApplication(actor=actor, note=note):
                await self._origination.decline_by_person(actor, note)
            case RetryDisbursement(actor=actor):
                await self._disbursement.retry(actor)
            case Repay():
                await self._servicing.repay(command, today)
            case PayOff(source=source):
                await self._servicing.pay_off(source, today)
            case RefundOverpayment(actor=actor):
                await self._servicing.refund_overpayment(actor, today)
            case ReverseRepayment():
                await self._servicing.reverse(command, today)
            case WaiveCharge():
                await self._servicing.waive(command, today)
            case PauseLoan(until=until, actor=actor, note=note):
                await self._servicing.pause(until, actor, note, today)
            case ResumeLoan(actor=actor):
                await self._servicing.resume(today, actor)
            case ChargeOff(actor=actor, note=note):
                await self._servicing.charge_off(actor, note, today)
            case Recover():
                await self._servicing.recover(command, today)
            case CheckProposal():
                await self._decide_proposal(command)
            case ApproveApplication() | RestructureLoan() | WriteOff():
                await self._propose(command)

    async def _propose(self, command: ApproveApplication | RestructureLoan | WriteOff) -> None:
        """Keep a change for a second person to decide."""
        kinds = {
            ApproveApplication: ProposalKind.APPROVAL,
            RestructureLoan: ProposalKind.RESTRUCTURE,
            WriteOff: ProposalKind.WRITE_OFF,
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
            self._loan,
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
            self._loan,
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
                await self._servicing.write_off(command.actor, self._clock.today)
            case ProposalKind.RESTRUCTURE if proposal.restructure is not None:
                await self._servicing.change_terms(proposal.restructure, command.actor, self._clock.today)

    async def _withdraw(self, reason: str) -> None:
        if self._disbursement.saga.names:
            await self._disbursement.retry("the withdrawal")
        await self._origination.withdraw(reason)

    # Failures, and the next run

    async def _after_failure(self, failure: BaseException) -> None:
        """Undo a payout that failed half-way; a cancellation in Temporal ends an application, and no debt."""
        cancelled = isinstance(failure, asyncio.CancelledError) or is_cancelled_exception(failure)
        status = self._loan.status
        if status is LoanStatus.APPROVED:
            await self._disbursement.undo(failure)
        elif status in RUNNING | CLOSED:
            if cancelled:
                await self._servicing.note_cancellation(self._loan.business_date)
            return
        if cancelled and not self._disbursement.saga.names:
            await self._origination.withdraw("canceled_in_temporal")

    def _may_continue_as_new(self) -> bool:
        most = self._order.max_days_per_run or MAX_DAYS_PER_RUN
        return (
            self._loan.status in RUNNING | CLOSED
            and (
                self._days_served >= most
                or self._commands_done >= MAX_COMMANDS_PER_RUN
                or workflow.info().is_continue_as_new_suggested()
            )
            and self._queue.is_idle
            and workflow.all_handlers_finished()
        )

    def _next_order(self) -> LoanOrder:
        state = replace(self._journal.state, clock_date=self._clock.shown)
        return replace(self._order, state=state)

    async def _ask(self, command: LoanCommand) -> Loan:
        """Put a command in line, once: a repeated one, of this run or an earlier, is answered with the loan as it is."""
        info = workflow.current_update_info()
        update_id = info.id if info is not None else ""
        if update_id in self._journal.state.recent_updates:
            return self._loan
        answer = await self._queue.ask(command)
        state = self._journal.state
        recent = (*state.recent_updates, update_id)[-MAX_RECENT_UPDATES:]
        self._journal.state = replace(state, recent_updates=recent)
        return answer

    def _validate(self, command: LoanCommand) -> None:
        """Say no at once where waiting could not help. While something is under way, a command waits for its turn."""
        self._queue.require_room()
        info = workflow.current_update_info()
        if info is not None and info.id in self._journal.state.recent_updates:
            return
        if (self._waits_for and not self._queue and not self._must_move()) or self._loan.status in ENDED:
            try:
                self._check(command)
            except DomainError as refusal:
                raise as_failure(refusal) from refusal

    # What a client may send

    @workflow.update
    async def submit(self) -> Loan:
        """Return the loan once it rests for the first time: offered, referred or declined; sent together with the start."""
        await workflow.wait_condition(lambda: self._settled)
        return self._loan

    @workflow.update
    async def accept(self, command: AcceptOffer) -> Loan:
        """Accept the offer; returns once the loan is paid out, or the payout failed."""
        return await self._ask(command)

    @workflow.update
    async def withdraw(self, command: WithdrawApplication) -> Loan:
        """Give up the application, at any time before the money is paid out."""
        return await self._ask(command)

    @workflow.update
    async def repay(self, command: Repay) -> Loan:
        """Pay; what is past due and due first, the rest in advance."""
        return await self._ask(command)

    @workflow.update
    async def pay_off(self, command: PayOff) -> Loan:
        """Pay all that is owed today."""
        return await self._ask(command)

    # What the lender's people may send

    @workflow.update
    async def approve_application(self, command: ApproveApplication) -> Loan:
        """Propose to let a referred application go on."""
        return await self._ask(command)

    @workflow.update
    async def decline_application(self, command: DeclineApplication) -> Loan:
        """Decline a referred application."""
        return await self._ask(command)

    @workflow.update
    async def check_proposal(self, command: CheckProposal) -> Loan:
        """Approve or reject what another person proposed."""
        return await self._ask(command)

    @workflow.update
    async def retry_disbursement(self, command: RetryDisbursement) -> Loan:
        """Try again to pay an approved loan out."""
        return await self._ask(command)

    @workflow.update
    async def refund_overpayment(self, command: RefundOverpayment) -> Loan:
        """Give an overpayment back."""
        return await self._ask(command)

    @workflow.update
    async def reverse_repayment(self, command: ReverseRepayment) -> Loan:
        """Note that a repayment was taken back."""
        return await self._ask(command)

    @workflow.update
    async def waive_charge(self, command: WaiveCharge) -> Loan:
        """Give up an unpaid fee or penalty."""
        return await self._ask(command)

    @workflow.update
    async def pause(self, command: PauseLoan) -> Loan:
        """Rest collections and charges."""
        return await self._ask(command)

    @workflow.update
    async def resume(self, command: ResumeLoan) -> Loan:
        """End a pause."""
        return await self._ask(command)

    @workflow.update
    async def restructure(self, command: RestructureLoan) -> Loan:
        """Propose other terms."""
        return await self._ask(command)

    @workflow.update
    async def charge_off(self, command: ChargeOff) -> Loan:
        """Charge the loan off."""
        return await self._ask(command)

    @workflow.update
    async def write_off(self, command: WriteOff) -> Loan:
        """Propose to give the claim up."""
        return await self._ask(command)

    @workflow.update
    async def recover(self, command: Recover) -> Loan:
        """Take money on a written-off loan."""
        return await self._ask(command)

    @accept.validator
    def _validate_accept(self, command: AcceptOffer) -> None:
        self._validate(command)

    @withdraw.validator
    def _validate_withdraw(self, command: WithdrawApplication) -> None:
        self._validate(command)

    @repay.validator
    def _validate_repay(self, command: Repay) -> None:
        self._validate(command)

    @pay_off.validator
    def _validate_pay_off(self, command: PayOff) -> None:
        self._validate(command)

    @approve_application.validator
    def _validate_approve_application(self, command: ApproveApplication) -> None:
        self._validate(command)

    @decline_application.validator
    def _validate_decline_application(self, command: DeclineApplication) -> None:
        self._validate(command)

    @check_proposal.validator
    def _validate_check_proposal(self, command: CheckProposal) -> None:
        self._validate(command)

    @retry_disbursement.validator
    def _validate_retry_disbursement(self, command: RetryDisbursement) -> None:
        self._validate(command)

    @refund_overpayment.validator
    def _validate_refund_overpayment(self, command: RefundOverpayment) -> None:
        self._validate(command)

    @reverse_repayment.validator
    def _validate_reverse_repayment(self, command: ReverseRepayment) -> None:
        self._validate(command)

    @waive_charge.validator
    def _validate_waive_charge(self, command: WaiveCharge) -> None:
        self._validate(command)

    @pause.validator
    def _validate_pause(self, command: PauseLoan) -> None:
        self._validate(command)

    @resume.validator
    def _validate_resume(self, command: ResumeLoan) -> None:
        self._validate(command)

    @restructure.validator
    def _validate_restructure(self, command: RestructureLoan) -> None:
        self._validate(command)

    @charge_off.validator
    def _validate_charge_off(self, command: ChargeOff) -> None:
        self._validate(command)

    @write_off.validator
    def _validate_write_off(self, command: WriteOff) -> None:
        self._validate(command)

    @recover.validator
    def _validate_recover(self, command: Recover) -> None:
        self._validate(command)

    # What a test clock and readers may send

    @workflow.signal
    def advance_clock(self, to: date) -> None:
        """Move the test clock of this loan. A loan in real time does not obey."""
        self._clock.advance(to)

    @workflow.query
    def progress(self) -> LoanProgress:
        """Return what the loan is doing and what it waits for."""
        account = self._journal.state.account
        return LoanProgress(
            self._loan,
            "done" if self._loan.status in ENDED else self._journal.step,
            self._waits_for,
            self._wakes_on,
            self._journal.state.proposals,
            self._disbursement.saga.names,
            len(self._queue),
            account.instalments if account is not None else (),
        )

    @workflow.query
    def payoff_quote(self, on: date) -> PayoffQuote:
        """Return what would pay the loan off on a day, today or later, if nothing else happens until then."""
        day = max(on, self._clock.today)
        try:
            charged = charge_penalties(self._journal.account, self._loan.application.servicing.penalty, day)
            return PayoffQuote(day, charged.account.owed(day), self._loan.currency)
        except DomainError as refusal:
            raise as_failure(refusal) from refusal
