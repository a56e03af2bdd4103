"""What is decided about a running loan: waive, pause, change its terms, charge it off, write it off.

Invariant: each decision is one record that names who took it; what needs a second person has had one before it comes here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from temporalio import workflow

from domain.loans import booking, closing
from domain.loans.changes import Restructure, restructure
from domain.loans.charges import Charged, waive
from domain.loans.receipts import is_settled
from domain.loans.status import LoanAction
from workflows.loan_desk import LoanDesk
from workflows.loan_messages import WaiveCharge


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
            closing.write_off(charged.account, on),
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

    async def note_cancellation(self, on: date) -> None:
        """A debt does not end because somebody presses cancel in Temporal."""
        workflow.logger.warning("cancellation of a running loan has no effect", extra={"loan_id": self._loan.id})
        await self._write(
            self._account, on, "cancellation_ignored", "Cancelled in Temporal: a running loan goes on being served"
        )
