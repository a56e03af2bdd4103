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

from dataclasses import replace
from datetime import UTC, date

from temporalio import workflow

from domain.errors import DomainError
from domain.loans.charges import charge_penalties
from domain.loans.loan import CLOSED, ENDED, RUNNING, Loan
from workflows.command_queue import as_failure, update_id
from workflows.loans.messages import (
    AcceptOffer,
    AddCharge,
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
    UndoApproval,
    UndoDisbursal,
    UndoWriteOff,
    WaiveCharge,
    WithdrawApplication,
    WriteOff,
)
from workflows.loans.policies import MAX_COMMANDS_PER_RUN, MAX_DAYS_PER_RUN, MAX_RECENT_UPDATES
from workflows.loans.process import LoanProcess
from workflows.loans.state import carried, hand_on
from workflows.saga import SAGA_FAILURES, shielded


@workflow.defn
class LoanWorkflow:
    """One loan; its id is the workflow's id."""

    @workflow.init
    def __init__(self, order: LoanOrder) -> None:
        clock_date = order.today if order.application.test_clock is not None else None
        today = clock_date or order.application.created_at.astimezone(UTC).date()
        known = carried(order, workflow.payload_converter())
        state = known or LoanState(Loan.apply(order.application, today), clock_date=clock_date)
        self._order = order
        self._process = LoanProcess(state, order.payment_task_queue, settled=known is not None)

    @property
    def _loan(self) -> Loan:
        return self._process.loan

    @workflow.run
    async def run(self, order: LoanOrder) -> Loan:  # noqa: ARG002 - __init__ took it
        """Carry the loan on until its end, or until the next run takes over; return it as it ended."""
        process = self._process
        while not process.is_over():
            try:
                await process.go_on()
            except SAGA_FAILURES as failure:
                await shielded(process.after_failure(failure))
            if self._may_continue_as_new():
                workflow.continue_as_new(self._next_order())
        process.rest("")
        process.queue.close(self._loan, process.check)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._loan

    def _may_continue_as_new(self) -> bool:
        most = self._order.max_days_per_run or MAX_DAYS_PER_RUN
        return (
            self._loan.status in RUNNING | CLOSED
            and (
                self._process.days_served >= most
                or self._process.commands_done >= MAX_COMMANDS_PER_RUN
                or workflow.info().is_continue_as_new_suggested()
            )
            and self._process.queue.is_idle
            and not self._process.compensations
            and workflow.all_handlers_finished()
        )

    def _next_order(self) -> LoanOrder:
        state = replace(
            self._process.journal.state, clock_date=self._process.clock.shown, clock_told=self._process.clock.told
        )
        return hand_on(self._order, state, workflow.payload_converter())

    async def _ask(self, command: LoanCommand) -> Loan:
        """Put a command in line, once: a repeated one, of this run or an earlier, is answered with the loan as it is."""
        if update_id() in self._process.journal.state.recent_updates:
            return self._loan
        answer = await self._process.queue.ask(command)
        state = self._process.journal.state
        recent = (*state.recent_updates, update_id())[-MAX_RECENT_UPDATES:]
        self._process.journal.state = replace(state, recent_updates=recent)
        return answer

    def _validate(self, command: LoanCommand) -> None:
        """Say no at once where waiting could not help. While something is under way, a command waits for its turn."""
        self._process.queue.require_room()
        if update_id() in self._process.journal.state.recent_updates:
            return
        if (
            self._process.waits_for and not self._process.queue and not self._process.must_move()
        ) or self._loan.status in ENDED:
            try:
                self._process.check(command)
            except DomainError as refusal:
                raise as_failure(refusal) from refusal

    # What a client may send

    @workflow.update
    async def submit(self) -> Loan:
        """Return the loan once it rests for the first time: offered, referred or declined; sent together with the start."""
        await workflow.wait_condition(lambda: self._process.settled)
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
    async def undo_approval(self, command: UndoApproval) -> Loan:
        """Take the approval of a loan that is not paid out back."""
        return await self._ask(command)

    @workflow.update
    async def undo_disbursal(self, command: UndoDisbursal) -> Loan:
        """Take the payout back of a loan on which nothing has happened since."""
        return await self._ask(command)

    @workflow.update
    async def retry_disbursement(self, command: RetryDisbursement) -> Loan:
        """Try again to pay an approved loan out, or the tranches that were withheld."""
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
    async def add_charge(self, command: AddCharge) -> Loan:
        """Charge a fee by hand."""
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
    async def undo_write_off(self, command: UndoWriteOff) -> Loan:
        """Propose to claim again what was given up."""
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

    @undo_approval.validator
    def _validate_undo_approval(self, command: UndoApproval) -> None:
        self._validate(command)

    @undo_disbursal.validator
    def _validate_undo_disbursal(self, command: UndoDisbursal) -> None:
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

    @add_charge.validator
    def _validate_add_charge(self, command: AddCharge) -> None:
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

    @undo_write_off.validator
    def _validate_undo_write_off(self, command: UndoWriteOff) -> None:
        self._validate(command)

    @recover.validator
    def _validate_recover(self, command: Recover) -> None:
        self._validate(command)

    # What a test clock and readers may send

    @workflow.signal
    def advance_clock(self, to: date) -> None:
        """Move the test clock of this loan. A loan in real time does not obey."""
        self._process.tell_day(to)

    @workflow.query
    def progress(self) -> LoanProgress:
        """Return what the loan is doing and what it waits for."""
        account = self._process.journal.state.account
        return LoanProgress(
            self._loan,
            "done" if self._loan.status in ENDED else self._process.journal.step,
            self._process.waits_for,
            self._process.wakes_on,
            self._process.journal.state.proposals,
            self._process.compensations,
            len(self._process.queue),
            account.instalments if account is not None else (),
        )

    @workflow.query
    def payoff_quote(self, on: date) -> PayoffQuote:
        """Return what would pay the loan off on a day, today or later, if nothing else happens until then."""
        day = max(on, self._process.clock.today)
        try:
            charged = charge_penalties(self._process.journal.account, self._loan.application.servicing.penalty, day)
            return PayoffQuote(day, charged.account.owed(day), self._loan.currency)
        except DomainError as refusal:
            raise as_failure(refusal) from refusal
