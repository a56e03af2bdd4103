"""Paying a loan out, as a saga: reserve the lender's funds, book the loan, pay out through the payment path, activate.

Invariants
- A compensation is registered before its step runs and is a no-op when the step never happened.
- A failure at any step undoes the earlier ones and leaves the loan `approved`, able to try again under a new number.
- What cannot be undone stays registered: trying again undoes it first.
"""

from __future__ import annotations

from dataclasses import replace

from temporalio.exceptions import ApplicationError

from activities.loan_book import LoanBookActivities
from domain.loans import booking
from domain.loans.account import LoanAccount
from domain.loans.loan import Loan
from domain.loans.status import LoanAction
from domain.money import Money
from domain.payments.payment import Payment
from domain.payments.status import PaymentStatus
from workflows.loan_clock import BusinessClock
from workflows.loan_journal import LoanJournal
from workflows.loan_money import LoanMoney
from workflows.payment_undo import NOTHING_TO_RELEASE
from workflows.saga import Saga, code_of, reason_of

PAYOUT_FAILED = "PayoutFailed"
"""Failure type: the payment to the borrower did not succeed."""

RELEASE_FUNDS = "release the lender's reserved funds"
UNBOOK_LOAN = "undo the booking of the loan"
TAKE_BACK_PAYOUT = "take back the payout"

_RECORD = LoanBookActivities.record_disbursement


class LoanDisbursement:
    """The payout of one loan."""

    def __init__(self, journal: LoanJournal, money: LoanMoney, clock: BusinessClock) -> None:
        self._journal = journal
        self._money = money
        self._clock = clock
        self.saga = Saga()
        self._paid_out: Payment | None = None
        self.is_stuck = False
        """Whether the last attempt failed: somebody must press retry, or withdraw."""

    @property
    def _loan(self) -> Loan:
        return replace(self._journal.loan, business_date=self._clock.today)

    @property
    def _attempt(self) -> int:
        return self._journal.state.attempts

    async def disburse(self) -> None:
        """Make one attempt; raises one of SAGA_FAILURES when a step fails."""
        state = self._journal.state
        self._journal.state = replace(state, attempts=state.attempts + 1)
        self._paid_out = None
        await self._reserve()
        self._journal.stop_if_cancelled()
        await self._book()
        self._journal.stop_if_cancelled()
        await self._pay_out()
        await self._activate()
        self.saga.forget()

    async def _reserve(self) -> None:
        amount = Money(booking.payout_amount(self._loan), self._loan.currency)
        self._journal.step = f"reserving {amount} of the lender's funds"
        self.saga.add(RELEASE_FUNDS, self._release)
        await self._journal.write_or_fail(
            _RECORD,
            self._loan,
            "funds_reserved",
            f"Reserve {amount} on {self._loan.application.funding_account}",
            entry=booking.reserve(self._loan, self._attempt),
            accounts=booking.accounts_to_open(self._loan),
            amount_minor=amount.minor,
        )

    async def _book(self) -> None:
        self._journal.step = "booking the loan"
        self.saga.add(UNBOOK_LOAN, self._unbook)
        account = LoanAccount.open(self._loan.application.terms_from(self._clock.today))
        await self._journal.write_or_fail(
            _RECORD,
            self._loan,
            "booked",
            f"Book the loan of {self._loan.money}",
            account=account,
            entry=booking.book(self._loan, self._attempt),
            amount_minor=self._loan.application.terms.principal,
        )

    async def _pay_out(self) -> None:
        loan = self._loan
        self._journal.step = f"paying out to {loan.application.payout_account}"
        self.saga.add(TAKE_BACK_PAYOUT, self._take_back)
        paid = await self._money.send(
            loan, booking.payout_amount(loan), booking.accounts_of(loan).payout, "disbursement", self._attempt
        )
        if paid.status is not PaymentStatus.SUCCEEDED:
            raise ApplicationError(
                f"The payout {paid.id} ended {paid.status}: {paid.failure_message}.",
                type=PAYOUT_FAILED,
                non_retryable=True,
            )
        self._paid_out = paid

    async def _activate(self) -> None:
        self._journal.step = "activating the loan"
        account, today = self._journal.account, self._clock.today
        active = replace(
            self._loan.moved(LoanAction.DISBURSE),
            disbursed_on=today,
            served_through=today,
            disbursed_minor=booking.payout_amount(self._loan),
        )
        await self._journal.write_or_fail(
            _RECORD,
            active.standing(account, today),
            "disbursed",
            f"Paid out {Money(active.disbursed_minor, active.currency)}; the loan is active",
            account=account,
            amount_minor=active.disbursed_minor,
            payment_id=self._paid_out.id if self._paid_out else None,
        )

    # The way back

    async def undo(self, failure: BaseException) -> None:
        """Undo what was done, newest first, and say why; the loan stays approved."""
        self._journal.step = "undoing the payout"
        failed = await self.saga.compensate()
        self.is_stuck = True
        code, reason = code_of(failure), reason_of(failure)
        if failed:
            code = "disbursement_not_undone"
            reason = f"{reason} Not undone: " + "; ".join(f"{each.name} ({each.reason})" for each in failed)
        await self._journal.write(
            _RECORD, self._loan.failed(code, reason), "disbursement_failed", f"The payout failed: {reason}"
        )

    async def retry(self, actor: str) -> None:
        """Finish undoing, then let the next attempt begin."""
        if failed := await self.saga.compensate():
            raise ApplicationError(
                "What was done could not be undone: " + "; ".join(f"{each.name} ({each.reason})" for each in failed),
                type="disbursement_not_undone",
                non_retryable=True,
            )
        await self._journal.write_or_fail(
            _RECORD,
            replace(self._loan, failure_code=None, failure_message=None),
            "disbursement_retried",
            f"The payout is tried again by {actor}",
            actor=actor,
        )
        self.is_stuck = False

    async def _release(self) -> None:
        outcome = await self._journal.write(
            _RECORD,
            self._loan,
            "funds_released",
            "Release the reserved funds",
            entry=booking.release(self._loan, self._attempt),
        )
        if not outcome.booked and outcome.result not in NOTHING_TO_RELEASE:
            raise ApplicationError(f"The funds were not released: {outcome.result}.", non_retryable=True)

    async def _unbook(self) -> None:
        if self._journal.state.account is None:
            return
        await self._journal.write_or_fail(
            _RECORD,
            self._loan,
            "unbooked",
            "Undo the booking of the loan",
            drop_account=True,
            entry=booking.unbook(self._loan, self._attempt),
        )

    async def _take_back(self) -> None:
        if self._paid_out is None:
            return
        await self._money.take_back(self._loan, self._paid_out)
        self._paid_out = None
