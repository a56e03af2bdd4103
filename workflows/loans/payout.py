"""Paying money out to a borrower, as a saga: reserve the lender's funds, book what is owed for them, pay out.

Invariants
- A compensation is registered before its step runs and is a no-op when the step never happened.
- What cannot be undone stays registered: trying again undoes it first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from temporalio.exceptions import ApplicationError

from activities.loan_book import LoanBookActivities
from domain.loans import booking
from domain.loans.account import LoanAccount
from domain.loans.loan import Loan
from domain.loans.payout import Payout
from domain.money import Money
from domain.payments import explain
from domain.payments.payment import Payment
from domain.payments.status import PaymentStatus
from workflows.loans.journal import LoanJournal
from workflows.loans.money import LoanMoney
from workflows.payments.undo import NOTHING_TO_RELEASE
from workflows.saga import FailedCompensation, Saga

PAYOUT_FAILED = "PayoutFailed"
"""Failure type: the payment to the borrower did not succeed."""

RELEASE_FUNDS = "release the lender's reserved funds"
UNBOOK_LOAN = "undo the booking of the loan"
TAKE_BACK_PAYOUT = "take back the payout"

RECORD = LoanBookActivities.record_disbursement


class LoanPayout(ABC):
    """The steps that every payout shares; what is written beside them is the subclass's."""

    def __init__(self, journal: LoanJournal, money: LoanMoney) -> None:
        self._journal = journal
        self._money = money
        self.saga = Saga()
        self._payout = Payout(0, 0)
        self._paid_out: Payment | None = None

    @property
    @abstractmethod
    def _loan(self) -> Loan:
        """The loan as a step of the payout writes it."""

    @abstractmethod
    def _account_with_payout(self) -> LoanAccount:
        """Return the account that owes what is paid out."""

    @abstractmethod
    def _account_without_payout(self) -> LoanAccount | None:
        """Return the account as it was before; None when there was none."""

    def _amount(self, payout: Payout) -> Money:
        return Money(payout.amount, self._loan.currency)

    async def _pay(self, payout: Payout) -> None:
        """Make one attempt; raises one of SAGA_FAILURES when a step fails."""
        self._payout, self._paid_out = payout, None
        await self._reserve()
        self._journal.stop_if_cancelled()
        await self._book()
        self._journal.stop_if_cancelled()
        await self._pay_out()

    async def _reserve(self) -> None:
        amount = self._amount(self._payout)
        self._journal.step = f"reserving {amount} of the lender's funds"
        self.saga.add(RELEASE_FUNDS, self._release)
        await self._journal.write_or_fail(
            RECORD,
            self._loan,
            "funds_reserved",
            f"Reserve {amount} on {self._loan.application.funding_account}",
            entry=booking.reserve(self._loan, self._payout),
            accounts=booking.accounts_to_open(self._loan),
            amount_minor=amount.minor,
        )

    async def _book(self) -> None:
        self._journal.step = "booking the loan"
        self.saga.add(UNBOOK_LOAN, self._unbook)
        account = self._account_with_payout()
        await self._journal.write_or_fail(
            RECORD,
            self._standing(account),
            "booked",
            f"Book {Money(self._payout.principal, self._loan.currency)} as owed",
            account=account,
            entry=booking.book(self._loan, self._payout),
            amount_minor=self._payout.principal,
        )

    def _standing(self, account: LoanAccount) -> Loan:
        """Return the loan with what the account owes, once it has been paid out at all."""
        loan = self._loan
        return loan if loan.disbursed_on is None else loan.standing(account, loan.business_date)

    async def _pay_out(self) -> None:
        loan, payout = self._loan, self._payout
        self._journal.step = f"paying out to {loan.application.payout_account}"
        self.saga.add(TAKE_BACK_PAYOUT, self._take_back)
        paid = await self._money.pay_out(loan, payout)
        if paid.status is not PaymentStatus.SUCCEEDED:
            raise ApplicationError(
                f"The payout {paid.id} ended {paid.status}: {explain.shortfall(paid)}",
                type=PAYOUT_FAILED,
                non_retryable=True,
            )
        self._paid_out = paid

    # The way back

    async def _release(self) -> None:
        outcome = await self._journal.write(
            RECORD,
            self._loan,
            "funds_released",
            "Release the reserved funds",
            entry=booking.release(self._loan, self._payout),
        )
        if not outcome.booked and outcome.result not in NOTHING_TO_RELEASE:
            raise ApplicationError(f"The funds were not released: {outcome.result}.", non_retryable=True)

    async def _unbook(self) -> None:
        before = self._account_without_payout()
        if self._journal.state.account == before:
            return
        await self._journal.write_or_fail(
            RECORD,
            self._loan if before is None else self._standing(before),
            "unbooked",
            "Undo the booking of what was not paid out",
            account=before,
            drop_account=before is None,
            entry=booking.unbook(self._loan, self._payout),
        )

    async def _take_back(self) -> None:
        if self._paid_out is None:
            return
        await self._money.take_back(self._loan, self._paid_out, self._journal.next_take_back())
        self._paid_out = None


def not_undone(failed: list[FailedCompensation]) -> str:
    """Return in words what could not be undone, and why."""
    return "; ".join(f"{each.name} ({each.reason})" for each in failed)
