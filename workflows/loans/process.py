"""A loan under way: what its status asks for next, and what it waits for meanwhile.

Invariants
- One thing happens at a time: what the days bring comes first, in the order of the days; then one command.
- Whoever sent a command is answered when the loan rests again, or is refused.
- A step that fails for good is not tried again at once: the loan rests and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from domain.errors import DomainError
from domain.loans.agenda import next_day
from domain.loans.loan import CLOSED, ENDED, RUNNING, Loan
from domain.loans.status import LoanStatus
from workflows.command_queue import CommandQueue, as_failure
from workflows.loans.clock import BusinessClock
from workflows.loans.commands import LoanCommands
from workflows.loans.decisions import LoanDecisions
from workflows.loans.disbursement import LoanDisbursement
from workflows.loans.journal import LEDGER_REFUSED, LoanJournal
from workflows.loans.messages import LoanCommand, LoanState
from workflows.loans.money import LoanMoney
from workflows.loans.origination import LoanOrigination
from workflows.loans.policies import FAILED_STEP_PAUSE
from workflows.loans.rules import is_referred
from workflows.loans.servicing import LoanServicing
from workflows.loans.successor import LoanSuccessor
from workflows.loans.tranches import LoanTranches
from workflows.policies import MAX_WAITING_COMMANDS
from workflows.saga import reason_of


class LoanProcess:
    """A loan under way. `waits_for` is empty while something is being done."""

    def __init__(self, state: LoanState, payment_task_queue: str | None, *, settled: bool) -> None:
        self.clock = BusinessClock(state.clock_date, state.loan.business_date, state.clock_told)
        self.journal = LoanJournal(state)
        money = LoanMoney(payment_task_queue)
        self._origination = LoanOrigination(self.journal, self.clock)
        self.disbursement = LoanDisbursement(self.journal, money, self.clock)
        self._tranches = LoanTranches(self.journal, money)
        self._decisions = LoanDecisions(self.journal)
        self._servicing = LoanServicing(self.journal, money, self._tranches, self._decisions)
        self._commands = LoanCommands(
            self.journal,
            self.clock,
            self._origination,
            self.disbursement,
            self._tranches,
            self._servicing,
            self._decisions,
            LoanSuccessor(self.journal, payment_task_queue),
        )
        self.queue: CommandQueue[LoanCommand, Loan] = CommandQueue(MAX_WAITING_COMMANDS)
        self.waits_for = ""
        self.wakes_on: date | None = None
        self.settled = settled
        self.days_served = 0
        self.commands_done = 0
        self._failure: BaseException | None = None

    @property
    def loan(self) -> Loan:
        """The loan as last written."""
        return self.journal.loan

    @property
    def compensations(self) -> list[str]:
        """What would be undone if the payout under way failed now, in that order."""
        return self._tranches.saga.names + self.disbursement.saga.names

    def check(self, command: LoanCommand) -> None:
        """Raise a DomainError when the command is not allowed now. Pure."""
        self._commands.check(command)

    # What the status asks for

    async def go_on(self) -> None:
        """Do the next thing: what the loan's status asks for, or a command."""
        self.journal.stop_if_cancelled()
        self._show_told()
        if self._failure is not None:
            await self._rest_after(self._failure)
        await self.queue.in_context_of_sender(self._do_next())

    async def _do_next(self) -> None:
        match self.loan.status:
            case LoanStatus.DRAFT:
                await self._origination.apply()
            case LoanStatus.KYC_PENDING if not is_referred(self.journal.state):
                await self._check_applicant()
            case LoanStatus.UNDERWRITING if not is_referred(self.journal.state):
                await self._origination.underwrite()
            case LoanStatus.KYC_PENDING | LoanStatus.UNDERWRITING:
                await self._wait_for_command("two persons to decide: `approve_application`, or `decline_application`")
            case LoanStatus.OFFERED:
                await self._wait_for_acceptance()
            case LoanStatus.ACCEPTED:
                await self._origination.submit()
            case LoanStatus.SUBMITTED_AND_PENDING_APPROVAL if self.journal.state.approval_undone:
                await self._wait_for_command("two persons to decide: `approve_application`, or `decline_application`")
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
        if self.queue:
            await self._carry_out()
        else:
            await self._origination.end_screening()

    async def _wait_for_acceptance(self) -> None:
        expires = self.loan.offer_expires_on
        after = None if expires is None else expires + timedelta(days=1)
        await self._wait("the borrower to accept the offer", after)
        if self.queue:
            await self._carry_out()
        elif after is not None and self.clock.today >= after:
            await self._origination.lapse()

    async def _pay_out(self) -> None:
        if self.disbursement.is_stuck:
            await self._wait_for_command("an operator: `retry_disbursement`, or the borrower: `withdraw`")
        elif self.queue:
            await self._carry_out()
        else:
            await self.disbursement.disburse()

    async def _serve(self) -> None:
        """Book what was moved, else serve the next day that has come, else carry out a command, else wait for either."""
        if self.journal.state.unbooked is not None:
            await self._servicing.book_moved()
            return
        if self._tranches.is_stuck:
            await self._wait_for_command("an operator: `retry_disbursement` undoes the payout that failed")
            return
        is_active = self.loan.status is LoanStatus.ACTIVE
        withheld = is_active and bool(self.journal.account.withheld)
        self.journal.require_person(needed=withheld or bool(self.journal.state.proposals))
        if is_active:
            events = next_day(self.journal.account, self.loan.application.servicing, self.loan.business_date)
            wakes_on = events[0].on if events else None
            if wakes_on is not None and wakes_on <= self.clock.today:
                self.days_served += 1
                await self._servicing.serve_day(events)
                self._reach(wakes_on)
                return
        else:
            wakes_on = self._ends_on()
        if self.must_move():
            await self._servicing.end_day(self.clock.today)
            return
        if not self.queue:
            await self._wait(self._patience(), wakes_on)
        if self.queue:
            await self._carry_out()

    def _reach(self, on: date) -> None:
        """Note that a day's events are done, also where they had nothing to write."""
        if self.loan.business_date < on:
            self.journal.state = replace(self.journal.state, loan=replace(self.loan, business_date=on))

    def _patience(self) -> str:
        """Say what the loan waits for; people first."""
        undecided = "".join(
            f"a second person to decide proposal {each.number}, " for each in self.journal.state.proposals
        )
        return f"{undecided}{self._what_comes()}"

    def _what_comes(self) -> str:
        match self.loan.status:
            case LoanStatus.ACTIVE:
                late = f", {self.loan.days_past_due} days past due" if self.loan.days_past_due else ""
                if self.journal.account.withheld:
                    return f"an operator: `retry_disbursement` pays out the tranche that was withheld{late}"
                return f"the next day of its agenda, or a command{late}"
            case LoanStatus.OVERPAID:
                return "an operator: `refund_overpayment` gives the overpayment back"
            case LoanStatus.CLOSED_WRITTEN_OFF:
                return "recoveries"
        return "a payment that may be taken back; then it ends"

    def _ends_on(self) -> date | None:
        """Return the day on which a closed loan has nothing left to wait for."""
        if self.loan.status not in CLOSED or self.loan.closed_on is None:
            return None
        servicing = self.loan.application.servicing
        met = self.loan.status is LoanStatus.CLOSED_OBLIGATIONS_MET
        return self.loan.closed_on + timedelta(days=servicing.reopen_days if met else servicing.recovery_days)

    def is_over(self) -> bool:
        """Tell whether there is nothing left to wait for."""
        if self.loan.status in ENDED:
            return True
        ends_on = self._ends_on()
        has_more = bool(self.queue) or self.journal.state.unbooked is not None
        return ends_on is not None and ends_on <= self.clock.today and not has_more

    async def _wait_for_command(self, waits_for: str) -> None:
        self.journal.require_person(needed=True)
        await self._wait(waits_for, None)
        self.journal.require_person(needed=False)
        await self._carry_out()

    async def _wait(self, waits_for: str, wakes_on: date | None, until: Callable[[], bool] | None = None) -> None:
        """Rest until a command comes, a day begins, or something is so. Whoever waits for the last command is answered."""
        self.rest(waits_for, wakes_on, settled=until is None)
        try:
            await self.clock.wait(
                lambda: bool(self.queue) or self.must_move() or (until is not None and until()), wakes_on, waits_for
            )
        finally:
            self.waits_for, self.wakes_on = "", None
        if self.queue:
            self.journal.show("", None, self.compensations)

    def tell_day(self, to: date) -> None:
        """Move the test clock, at once or when the loan has caught up with it."""
        self.clock.tell(to)
        self._show_told()

    def _show_told(self) -> None:
        while not self.must_move() and self.clock.show_next():
            pass

    def must_move(self) -> bool:
        """Tell whether a test clock has left a loan behind that is served by days."""
        return (
            self.clock.shown is not None
            and self.loan.status in RUNNING | CLOSED
            and not self._tranches.is_stuck
            and (self.loan.served_through or self.loan.business_date) < self.clock.shown
        )

    def rest(self, waits_for: str, wakes_on: date | None = None, *, settled: bool = True) -> None:
        """Say what the loan waits for, and answer whoever waits for it to rest."""
        self.waits_for, self.wakes_on = waits_for, wakes_on
        self.settled = self.settled or settled
        self.queue.answer(self.loan)
        self.journal.show(waits_for, wakes_on, self.compensations)

    async def _carry_out(self) -> None:
        """Carry out the next command; a refusal is the answer to it and changes nothing."""
        if not self.queue:
            return
        self.queue.answer(self.loan)  # the loan has not rested since the last one, whose sender still waits
        command = self.queue.take()
        self.commands_done += 1
        self.clock.reach_present()
        self.journal.begin()
        try:
            self._commands.check(command)
            await self.queue.in_context_of_sender(self._commands.act_on(command))
        except (DomainError, ApplicationError) as refusal:
            failure = as_failure(refusal)
            self.queue.refuse(failure)
            if self.journal.state.unbooked is not None:  # it moved money all the same
                raise ApplicationError(failure.message, type=failure.type, non_retryable=True) from None

    async def _rest_after(self, failure: BaseException) -> None:
        """A step failed for good: say so, and try it again after a while, or when a command comes.

        Days stay before commands: one that waits while a day has failed is refused, for its turn cannot come.
        """
        self._failure = None
        self.queue.answer(self.loan)  # whoever sent the last command: what he asked for was done
        while self.queue and self.loan.status in RUNNING | CLOSED:
            self.queue.take()
            self.queue.refuse(ApplicationError(reason_of(failure), type=LEDGER_REFUSED, non_retryable=True))
        self.journal.require_person(needed=True)
        self.rest(f"a person to look: {reason_of(failure)} It is tried again in {FAILED_STEP_PAUSE}")
        try:
            await workflow.wait_condition(
                lambda: bool(self.queue), timeout=FAILED_STEP_PAUSE, timeout_summary="Try again what failed"
            )
        except TimeoutError:
            return
        finally:
            self.waits_for = ""
            self.journal.require_person(needed=False)
        if self.loan.status not in RUNNING | CLOSED:
            await self._carry_out()

    async def after_failure(self, failure: BaseException) -> None:
        """Undo a payout that failed half-way; a cancellation in Temporal ends an application, and no debt."""
        cancelled = isinstance(failure, asyncio.CancelledError) or is_cancelled_exception(failure)
        status = self.loan.status
        if status is LoanStatus.APPROVED:
            await self.disbursement.undo(failure)
        elif not cancelled:
            self._failure = failure
            return
        else:
            self.clock.reach_present()
            self.journal.begin()
        if status in RUNNING | CLOSED:
            await self._decisions.note_cancellation(self.loan.business_date)
        elif cancelled and not self.disbursement.saga.names:
            await self._origination.withdraw("canceled_in_temporal")
