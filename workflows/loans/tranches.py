"""Later tranches of a running loan, each paid out on its day by a saga of its own.

Invariants
- What is owed grows with the booking of a tranche and not before, so the schedule and the receivables agree on every day.
- A tranche that failed, or fell due while the borrower was late, is withheld: the loan goes on, and a person decides.
- While a failed payout is not undone the loan rests: no day and no other command comes between.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date

from temporalio.exceptions import ApplicationError, is_cancelled_exception

from domain.loans.account import LoanAccount
from domain.loans.changes import with_tranche
from domain.loans.errors import LoanTermsError
from domain.loans.loan import Loan
from domain.loans.payout import tranche_payout
from domain.loans.terms import BalanceMove
from domain.money import Money
from workflows.loans.journal import LoanJournal
from workflows.loans.money import LoanMoney
from workflows.loans.payout import RECORD, LoanPayout, not_undone
from workflows.saga import SAGA_FAILURES, code_of, reason_of, shielded


class LoanTranches(LoanPayout):
    """The tranches of one loan that come after its first payout."""

    def __init__(self, journal: LoanJournal, money: LoanMoney) -> None:
        super().__init__(journal, money)
        self._on = date.min
        self._tranche = BalanceMove(date.min, 0)
        self._before: LoanAccount | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether a payout failed and could not be undone: somebody must press retry."""
        return bool(self.saga.names)

    @property
    def _loan(self) -> Loan:
        return self._journal.loan.standing(self._journal.account, self._on)

    def _account_with_payout(self) -> LoanAccount:
        return with_tranche(self._journal.account, self._tranche, self._on)

    def _account_without_payout(self) -> LoanAccount | None:
        return self._before

    async def pay_due(self, on: date) -> None:
        """Pay out the tranches whose day has come, unless the borrower is late."""
        for tranche in self._journal.account.to_come:
            if tranche.on > on:
                return
            late = self._journal.account.delinquency(on).days_past_due
            if late:
                await self._withhold(tranche, on, "tranche_withheld", f"the loan is {late} days past due")
            else:
                await self._pay_one(tranche, on)

    async def retry(self, actor: str, on: date) -> None:
        """Pay out what was withheld. After a payout that is not undone, only finish that, on its day: the agenda goes on from it.

        Raises ApplicationError when it still cannot be undone.
        """
        was_stuck = self.is_stuck
        if failed := await self.saga.compensate():
            raise ApplicationError(
                f"What was done could not be undone: {not_undone(failed)}",
                type="disbursement_not_undone",
                non_retryable=True,
            )
        self._on = self._on if was_stuck else on
        await self._journal.write_or_fail(
            RECORD,
            replace(self._loan, failure_code=None, failure_message=None),
            "disbursement_retried",
            f"The payout is tried again by {actor}",
            actor=actor,
        )
        if was_stuck:
            return
        for tranche in self._journal.account.withheld:
            await self._pay_one(tranche, on)

    async def _pay_one(self, tranche: BalanceMove, on: date) -> None:
        """Make one attempt. A failure is undone and noted; only a cancellation is raised again, after that."""
        self._on, self._tranche, self._before = on, tranche, self._journal.account
        try:
            with_tranche(self._journal.account, tranche, on)
        except LoanTermsError as error:
            await self._withhold(tranche, on, "tranche_lapsed", str(error))
            return
        payout = tranche_payout(self._loan.application.terms, tranche, self._journal.next_attempt())
        try:
            await self._pay(payout)
            await self._journal.write_or_fail(
                RECORD,
                replace(self._loan, disbursed_minor=self._loan.disbursed_minor + payout.amount),
                "tranche_disbursed",
                f"Paid out another {self._amount(payout)}",
                amount_minor=payout.amount,
                payment_id=self._paid_out.id if self._paid_out else None,
            )
        except SAGA_FAILURES as failure:
            await shielded(self._undo(tranche, failure))
            if isinstance(failure, asyncio.CancelledError) or is_cancelled_exception(failure):
                raise
            return
        self._journal.note_payout(payout)
        self.saga.forget()

    async def _undo(self, tranche: BalanceMove, failure: BaseException) -> None:
        self._journal.step = "undoing the payout"
        failed = await self.saga.compensate()
        code, reason = code_of(failure), reason_of(failure)
        if failed:
            code, reason = "disbursement_not_undone", f"{reason} Not undone: {not_undone(failed)}"
        await self._withhold(tranche, self._on, "tranche_failed", reason, code)

    async def _withhold(self, tranche: BalanceMove, on: date, name: str, why: str, code: str | None = None) -> None:
        """Leave a tranche to a person; one that has lapsed is paid out no more."""
        account = self._journal.account
        others = tuple(each for each in account.withheld if each is not tranche)
        account = replace(
            account,
            to_come=tuple(each for each in account.to_come if each is not tranche),
            withheld=others if name == "tranche_lapsed" else (*others, tranche),
        )
        self._on = on
        money = Money(tranche.amount, self._loan.currency)
        await self._journal.write_or_fail(
            RECORD,
            self._loan.failed(code or name, why),
            name,
            f"The tranche of {money} is not paid out: {why}",
            account=account,
            amount_minor=tranche.amount,
        )
