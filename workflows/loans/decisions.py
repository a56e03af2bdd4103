"""What is decided about a running loan: charge, waive, pause, change its terms, charge it off, write it off and undo that.

Invariant: each decision is one record that names who took it; what needs a second person has had one before it comes here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain.loans import booking, closing
from domain.loans.changes import Restructure, restructure
from domain.loans.charges import Charged, add_charge, waive
from domain.loans.receipts import is_settled
from domain.loans.status import LoanAction, LoanStatus
from workflows.loans.desk import LoanDesk
from workflows.loans.messages import AddCharge, WaiveCharge


class LoanDecisions(LoanDesk):
    """Decisions about one loan."""

    async def waive(self, command: WaiveCharge, on: date) -> None:
        """Give up an unpaid fee or penalty."""
        before = self._charged(on)
        waived = waive(before.account, command.instalment, command.portion, command.amount_minor)
        account, loan = waived.account, self._loan
        if is_settled(account, on):
            account = replace(account, accrual_ended=account.accrued(on))
            loan = replace(loan.moved(LoanAction.REPAY_IN_FULL), closed_on=on)
        charged = Charged(account, before.fees + waived.fees, before.penalties + waived.penalties)
        await self._write(
            account,
            on,
            "charge_waived",
            f"{self._amount(command.amount_minor)} of instalment {command.instalment} waived. {command.note}".strip(),
            loan=loan,
            charged=charged,
            actor=command.actor,
            amount_minor=command.amount_minor,
        )

    async def pause(self, until: date, actor: str, note: str, on: date) -> None:
        """Rest collections and charges until a day."""
        charged = self._charged(on)
        await self._write(
            replace(charged.account, paused_until=until),
            on,
            "paused",
            f"Paused until {until}. {note}".strip(),
            charged=charged,
            actor=actor,
        )

    async def resume(self, on: date, actor: str) -> None:
        """End a pause. Its days earn no penalty interest."""
        charged = self._charged(on)
        await self._write(
            replace(charged.account, paused_until=None),
            on,
            "resumed",
            "The pause is over",
            charged=charged,
            actor=actor,
        )

    async def change_terms(self, change: Restructure, actor: str, on: date) -> None:
        """Restructure the loan."""
        charged = self._charged(on)
        done = restructure(charged.account, change, on)
        await self._write(
            done.account,
            on,
            "restructured",
            f"Restructured: {change.kind.value.replace('_', ' ')}",
            entry=booking.capitalize(
                self._loan, charged, done.capitalized, self._loan.version + 1, charged_off=self._is_charged_off
            ),
            actor=actor,
        )

    async def charge_off(self, actor: str, note: str, on: date) -> None:
        """Expect nothing any more: accounting only."""
        charged = self._charged(on)
        account = closing.charge_off(charged.account, on)
        owed = charged.account.owed(on)
        await self._write(
            account,
            on,
            "charged_off",
            f"Charged off with {self._amount(owed.total)} owed. {note}".strip(),
            entry=booking.charge_off(self._loan, owed, charged, self._loan.version + 1),
            actor=actor,
            amount_minor=owed.total,
        )

    async def write_off(self, actor: str, on: date) -> None:
        """Give the claim up."""
        charged = self._charged(on)
        owed = charged.account.owed(on)
        loan = replace(self._loan.moved(LoanAction.WRITE_OFF), closed_on=on, written_off_minor=owed.total)
        await self._write(
            closing.owing_nothing(charged.account, on),
            on,
            "written_off",
            f"Written off with {self._amount(owed.total)} owed",
            loan=loan,
            entry=booking.write_off(
                self._loan, owed, charged, self._loan.version + 1, charged_off=self._is_charged_off
            ),
            actor=actor,
            amount_minor=owed.total,
        )
        given_up = replace(charged.account, to_come=(), withheld=())
        self._journal.state = replace(self._journal.state, before_write_off=given_up)

    async def undo_write_off(self, actor: str, on: date) -> None:
        """Claim again what was given up, as if it never had been: interest and penalties went on."""
        before, loan = self._journal.state.before_write_off, self._loan
        if before is None or loan.closed_on is None:
            raise ApplicationError("Nothing was written off.", type="illegal_transition", non_retryable=True)
        owed, charged = before.owed(loan.closed_on), self._charged(on, before)
        after = replace(loan.moved(LoanAction.UNDO_WRITE_OFF), closed_on=None, written_off_minor=0)
        await self._write(
            charged.account,
            on,
            "write_off_undone",
            f"The write-off is undone: {self._amount(charged.account.owed(on).total)} is owed",
            loan=after,
            entry=booking.undo_write_off(
                loan, owed, charged, loan.version + 1, charged_off=before.charged_off_on is not None
            ),
            actor=actor,
            amount_minor=owed.total,
        )
        self._journal.state = replace(self._journal.state, before_write_off=None)

    async def add_charge(self, command: AddCharge, on: date) -> None:
        """Charge a fee by hand. A closed loan is open again until it is paid."""
        before, loan = self._charged(on), self._loan
        charged = add_charge(before.account, command.amount_minor, on)
        if loan.status is not LoanStatus.ACTIVE:
            loan = replace(loan.moved(LoanAction.ADD_CHARGE), closed_on=None)
        await self._write(
            charged.account,
            on,
            "charge_added",
            f"{self._amount(command.amount_minor)} charged. {command.note}".strip(),
            loan=loan,
            charged=Charged(charged.account, before.fees + charged.fees, before.penalties),
            actor=command.actor,
            amount_minor=command.amount_minor,
        )

    async def note_cancellation(self, on: date) -> None:
        """A debt does not end because somebody presses cancel in Temporal."""
        workflow.logger.warning("cancellation of a running loan has no effect", extra={"loan_id": self._loan.id})
        await self._write(
            self._account, on, "cancellation_ignored", "Cancelled in Temporal: a running loan goes on being served"
        )
