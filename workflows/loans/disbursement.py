"""The payout that makes a loan active: reserve the lender's funds, book the loan, pay out through the payment path, activate.

Invariant: a failure at any step undoes the earlier ones and leaves the loan `approved`, able to try again under a new number.
"""

from __future__ import annotations

from dataclasses import replace

from temporalio.exceptions import ApplicationError

from domain.loans import booking
from domain.loans.account import LoanAccount
from domain.loans.loan import Loan
from domain.loans.payout import first_payout
from domain.loans.status import LoanAction
from workflows.loans.clock import BusinessClock
from workflows.loans.journal import LoanJournal
from workflows.loans.money import LoanMoney
from workflows.loans.payout import RECORD, LoanPayout, not_undone
from workflows.saga import code_of, reason_of


class LoanDisbursement(LoanPayout):
    """The first payout of one loan. `is_stuck`: somebody must press retry, or withdraw."""

    def __init__(self, journal: LoanJournal, money: LoanMoney, clock: BusinessClock) -> None:
        super().__init__(journal, money)
        self._clock = clock
        self.is_stuck = False

    @property
    def _loan(self) -> Loan:
        return replace(self._journal.loan, business_date=self._clock.today)

    def _account_with_payout(self) -> LoanAccount:
        return LoanAccount.open(self._loan.application.terms_from(self._clock.today))

    def _account_without_payout(self) -> None:
        return None

    async def disburse(self) -> None:
        """Make one attempt; raises one of SAGA_FAILURES when a step fails."""
        await self._pay(first_payout(self._loan.application.terms, self._journal.next_attempt()))
        await self._activate()
        self.saga.forget()

    async def _activate(self) -> None:
        self._journal.step = "activating the loan"
        account, today, payout = self._journal.account, self._clock.today, self._payout
        active = replace(
            self._loan.moved(LoanAction.DISBURSE),
            disbursed_on=today,
            served_through=today,
            disbursed_minor=payout.amount,
        )
        await self._journal.write_or_fail(
            RECORD,
            active.standing(account, today),
            "disbursed",
            f"Paid out {self._amount(payout)}; the loan is active",
            account=account,
            amount_minor=payout.amount,
            payment_id=self._paid_out.id if self._paid_out else None,
        )
        self._journal.note_payout(payout)

    # The way back

    async def undo(self, failure: BaseException) -> None:
        """Undo what was done, newest first, and say why; the loan stays approved."""
        self._journal.step = "undoing the payout"
        failed = await self.saga.compensate()
        self.is_stuck = True
        code, reason = code_of(failure), reason_of(failure)
        if failed:
            code, reason = "disbursement_not_undone", f"{reason} Not undone: {not_undone(failed)}"
        await self._journal.write(
            RECORD, self._loan.failed(code, reason), "disbursement_failed", f"The payout failed: {reason}"
        )

    async def finish_undoing(self) -> None:
        """Undo what is still to be undone of the last attempt. Raises ApplicationError when it cannot be."""
        if failed := await self.saga.compensate():
            raise ApplicationError(
                f"What was done could not be undone: {not_undone(failed)}",
                type="disbursement_not_undone",
                non_retryable=True,
            )
        self.is_stuck = False

    async def retry(self, actor: str) -> None:
        """Finish undoing, then let the next attempt begin."""
        await self.finish_undoing()
        await self._journal.write_or_fail(
            RECORD,
            replace(self._loan, failure_code=None, failure_message=None),
            "disbursement_retried",
            f"The payout is tried again by {actor}",
            actor=actor,
        )

    async def undo_disbursal(self, actor: str, note: str) -> None:
        """Take the money of an active loan back, as if it had never been paid out. The loan is approved again, and rests."""
        (payout,) = self._journal.state.paid_out
        loan = self._loan
        self._journal.step = "taking back the payout"
        await self._money.take_back(loan, self._money.payout_of(loan, payout), self._journal.next_take_back())
        undone = Loan(
            loan.tenant_id,
            loan.id,
            loan.application,
            loan.business_date,
            loan.moved(LoanAction.UNDO_DISBURSAL).status,
            decision=loan.decision,
            decided_by=loan.decided_by,
            screening_outcome=loan.screening_outcome,
            offer_expires_on=loan.offer_expires_on,
            apr_percent=loan.apr_percent,
            first_instalment_minor=loan.first_instalment_minor,
            maturity_on=loan.maturity_on,
            served_through=loan.served_through,
        )
        await self._journal.write_or_fail(
            RECORD,
            undone,
            "disbursal_undone",
            f"{self._amount(payout)} taken back; the loan is approved and not paid out. {note}".strip(),
            drop_account=True,
            entry=booking.unbook(loan, payout),
            actor=actor,
            amount_minor=payout.amount,
        )
        self._journal.forget_payouts()
        self.is_stuck = True
