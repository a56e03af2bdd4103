"""A running loan: what each day brings, money that comes in and goes back, and what is decided about it.

Invariants
- One thing at a time, each ending in one record: booking, rows and timeline together, interest accrued up to that day first.
- Money that was moved is booked before anything else happens, so what the ledger refuses for a while is not moved again.
- Penalty interest is brought up to the day before anything else is booked, so that what is owed is true when money comes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from temporalio.exceptions import ApplicationError

from activities.loan_book import LoanBookActivities
from domain.loans import booking
from domain.loans.agenda import DayEvent, DayEventKind
from domain.loans.application import Mandate
from domain.loans.charges import Charged, charge_late_fee
from domain.loans.receipts import Receipt, is_settled, receive, reverse
from domain.loans.restructure import PrepaymentEffect
from domain.loans.status import LoanAction, LoanStatus
from domain.payments import explain
from domain.payments.payment import Payment
from domain.payments.status import PaymentStatus
from workflows.loans.decisions import LoanDecisions
from workflows.loans.desk import LoanDesk
from workflows.loans.journal import LoanJournal
from workflows.loans.messages import Recover, Repay, ReverseRepayment, UnbookedPayment
from workflows.loans.money import LoanMoney
from workflows.loans.tranches import LoanTranches

PAYMENT_DECLINED = "payment_declined"
"""Failure type: the money was not to be had; nothing was booked."""

_RECORD = LoanBookActivities.record_servicing

_RECOVERY, _OVERPAYMENT_REFUND = "recovery", "overpayment_refund"
"""Purposes of payments that are booked in their own way; all others repay."""


class LoanServicing(LoanDesk):
    """The loan from payout to closing."""

    def __init__(
        self, journal: LoanJournal, money: LoanMoney, tranches: LoanTranches, decisions: LoanDecisions
    ) -> None:
        super().__init__(journal)
        self._tranches = tranches
        self._money = money
        self._decisions = decisions

    # What the days bring

    async def serve_day(self, events: tuple[DayEvent, ...]) -> None:
        """Do what a day's events ask for, in their order. An event that another has settled is left out."""
        for event in events:
            match event.kind:
                case DayEventKind.REMIND:
                    await self._remind(event)
                case DayEventKind.RESUME:
                    await self._decisions.resume(event.on, "the calendar")
                case DayEventKind.FALL_DUE:
                    await self._fall_due(event)
                case DayEventKind.COLLECT_AGAIN:
                    if self._is_unpaid(event.number):
                        await self._collect_due(event.on)
                case DayEventKind.CHARGE_LATE_FEE:
                    await self._charge_late(event)
                case DayEventKind.ENTER_BUCKET:
                    await self._note_lateness(event.on)
                case DayEventKind.PAY_OUT:
                    await self._tranches.pay_due(event.on)

    async def end_day(self, on: date) -> None:
        """Bring the books up to a day without events: a test clock has reached it."""
        charged = self._charged(on)
        loan = replace(self._loan, served_through=on)
        await self._write(
            charged.account, on, "clock_advanced", f"The test clock shows {on}", loan=loan, charged=charged
        )

    def _is_unpaid(self, number: int) -> bool:
        row = self._account.numbered(number)
        return row is not None and row.total_unpaid > 0

    async def _remind(self, event: DayEvent) -> None:
        row = self._account.numbered(event.number)
        if row is None or self._account.is_paused(event.on):
            return
        amount = self._amount(row.total_unpaid + (0 if row.fee_charged else row.scheduled_fee))
        await self._write(
            self._account, event.on, "reminded", f"{amount} will be due on {row.due_on}", amount_minor=amount.minor
        )

    async def _fall_due(self, event: DayEvent) -> None:
        charged = self._charged(event.on)
        row = charged.account.numbered(event.number)
        due = self._amount(0 if row is None else row.total_unpaid)
        await self._write(
            charged.account,
            event.on,
            "instalment_due",
            f"Instalment {event.number} of {due} is due",
            charged=charged,
            amount_minor=due.minor,
        )
        await self._collect_due(event.on)

    async def _collect_due(self, on: date) -> None:
        """Collect all that is due by mandate. A refusal is noted; the agenda names the days of the next tries."""
        mandate = self._loan.application.mandate
        if mandate is None or self._account.is_paused(on):
            return
        charged = self._charged(on)
        amount = charged.account.amount_due(on)
        if not amount:
            return
        paid = await self._take(amount, mandate, "collection", on)
        if paid.status is PaymentStatus.SUCCEEDED:
            await self.book_moved()
            return
        await self._write(
            charged.account,
            on,
            "collection_failed",
            f"{self._amount(amount)} could not be collected: {explain.shortfall(paid)}",
            loan=self._loan.failed(paid.failure_code or "payment_failed", paid.failure_message or ""),
            charged=charged,
            amount_minor=amount,
            payment_id=paid.id,
        )

    async def _charge_late(self, event: DayEvent) -> None:
        before = self._charged(event.on)
        charged = charge_late_fee(before.account, self._loan.application.servicing, event.number, event.on)
        if not charged.fees:
            return
        await self._write(
            charged.account,
            event.on,
            "late_fee_charged",
            f"Late fee of {self._amount(charged.fees)} for instalment {event.number}",
            charged=Charged(charged.account, before.fees + charged.fees, before.penalties),
            amount_minor=charged.fees,
        )

    async def _note_lateness(self, on: date) -> None:
        charged = self._charged(on)
        late = charged.account.delinquency(on)
        if late.days_past_due:
            await self._write(
                charged.account,
                on,
                "past_due",
                f"{late.days_past_due} days past due with {self._amount(late.overdue)} (bucket {late.bucket.name})",
                charged=charged,
                amount_minor=late.overdue,
            )

    # Money

    async def repay(self, command: Repay, on: date) -> None:
        """Take a repayment. Raises ApplicationError of type PAYMENT_DECLINED when the money was not to be had."""
        await self._take_or_fail(command.amount_minor, command.source, "repayment", on, effect=command.effect)
        await self.book_moved()

    async def pay_off(self, source: Mandate | None, on: date) -> None:
        """Take all that is owed today."""
        owed = self._charged(on).account.owed(on).total
        await self._take_or_fail(owed, source, "payoff", on)
        await self.book_moved()

    async def book_moved(self) -> None:
        """Book the payment that has moved money and is not booked yet, on its day and as it was asked for."""
        moved = self._journal.state.unbooked
        if moved is None:
            return
        if moved.purpose == _RECOVERY:
            await self._book_recovery(moved)
        elif moved.purpose == _OVERPAYMENT_REFUND:
            await self._book_overpayment_refund(moved)
        else:
            await self._book_repayment(moved.payment, moved.on, moved.effect)
        self._journal.state = replace(self._journal.state, unbooked=None)

    def _next_payment(self) -> int:
        state = self._journal.state
        self._journal.state = replace(state, payments=state.payments + 1)
        return state.payments + 1

    def _note_moved(self, moved: UnbookedPayment) -> None:
        if moved.payment.status is PaymentStatus.SUCCEEDED:
            self._journal.state = replace(self._journal.state, unbooked=moved)

    async def _take(
        self,
        amount: int,
        source: Mandate,
        purpose: str,
        on: date,
        *,
        effect: PrepaymentEffect | None = None,
        actor: str = "",
    ) -> Payment:
        number = self._next_payment()
        self._journal.step = f"taking {self._amount(amount)} from {source.source}"
        paid = await self._money.collect(self._loan, amount, source, purpose, number)
        self._journal.note_kept()
        self._note_moved(UnbookedPayment(paid, purpose, on, effect, actor))
        return paid

    async def _take_or_fail(
        self,
        amount: int,
        source: Mandate | None,
        purpose: str,
        on: date,
        *,
        effect: PrepaymentEffect | None = None,
        actor: str = "",
    ) -> None:
        mandate = source or self._loan.application.mandate
        if mandate is None:
            raise ApplicationError("No source was sent.", type="no_mandate", non_retryable=True)
        paid = await self._take(amount, mandate, purpose, on, effect=effect, actor=actor)
        if paid.status is not PaymentStatus.SUCCEEDED:
            raise ApplicationError(
                f"{self._amount(amount)} could not be taken: {explain.shortfall(paid)}",
                "Use another source, or try again later.",
                type=PAYMENT_DECLINED,
                non_retryable=True,
            )

    async def _book_repayment(self, paid: Payment, on: date, effect: PrepaymentEffect | None) -> None:
        charged = self._charged(on)
        receipt = Receipt(paid.amount_captured_minor, on, paid.id, paid.debit_account)
        account, repayment = receive(charged.account, receipt, self._loan.application.servicing.strategy, effect)
        loan = replace(self._loan, failure_code=None, failure_message=None)
        text = f"{self._amount(repayment.amount)} received"
        if is_settled(account, on):
            overpaid = account.overpaid > 0
            loan = loan.moved(LoanAction.OVERPAY if overpaid else LoanAction.REPAY_IN_FULL)
            loan = loan if overpaid else replace(loan, closed_on=on)
            text += "; overpaid" if overpaid else "; the loan is paid off"
        await self._write(
            account,
            on,
            "repaid",
            text,
            loan=loan,
            entry=booking.repayment(
                self._loan, repayment, charged, self._loan.version + 1, charged_off=self._is_charged_off
            ),
            amount_minor=repayment.amount,
            payment_id=paid.id,
        )

    async def refund_overpayment(self, actor: str, on: date) -> None:
        """Give an overpayment back to the borrower's wallet, which closes the loan."""
        paid = await self._money.send(
            self._loan,
            self._account.overpaid,
            self._loan.application.funding_account,
            _OVERPAYMENT_REFUND,
            self._next_payment(),
        )
        if paid.status is not PaymentStatus.SUCCEEDED:
            raise ApplicationError(
                f"The overpayment was not given back: {explain.shortfall(paid)}",
                type=PAYMENT_DECLINED,
                non_retryable=True,
            )
        self._note_moved(UnbookedPayment(paid, _OVERPAYMENT_REFUND, on, actor=actor))
        await self.book_moved()

    async def _book_overpayment_refund(self, moved: UnbookedPayment) -> None:
        amount, on = moved.payment.amount_captured_minor, moved.on
        closed = replace(self._loan.moved(LoanAction.REFUND_CREDIT_BALANCE), closed_on=on)
        await self._write(
            replace(self._account, overpaid=0),
            on,
            "overpayment_refunded",
            f"{self._amount(amount)} given back; the loan is closed",
            loan=closed,
            entry=booking.refund_overpayment(self._loan, amount, self._loan.version + 1),
            actor=moved.actor,
            amount_minor=amount,
            payment_id=moved.payment.id,
        )

    async def reverse(self, command: ReverseRepayment, on: date) -> None:
        """A repayment was taken back: it is owed again, and a closed loan is open again."""
        charged = self._charged(on)
        kept = charged.account.overpaid
        account, undone = reverse(charged.account, command.number, on)
        self._journal.step = f"taking repayment {undone.number} of {self._amount(undone.amount)} back"
        await self._money.charge_back(self._loan, undone, command.reason)
        self._journal.note_kept()
        loan = self._loan
        if loan.status is not LoanStatus.ACTIVE:
            loan = replace(loan.moved(LoanAction.CHARGEBACK), closed_on=None)
        await self._write(
            account,
            on,
            "repayment_reversed",
            f"Repayment {undone.number} of {self._amount(undone.amount)} was taken back: {command.reason}",
            loan=loan,
            entry=booking.reversal(
                self._loan,
                undone,
                charged,
                self._loan.version + 1,
                kept - account.overpaid,
                charged_off=self._is_charged_off,
            ),
            actor=command.actor,
            amount_minor=undone.amount,
            payment_id=undone.payment_id,
        )

    async def recover(self, command: Recover, on: date) -> None:
        """Take money on a claim that was given up."""
        await self._take_or_fail(command.amount_minor, command.source, _RECOVERY, on, actor=command.actor)
        await self.book_moved()

    async def _book_recovery(self, moved: UnbookedPayment) -> None:
        amount = moved.payment.amount_captured_minor
        await self._write(
            self._account,
            moved.on,
            "recovered",
            f"{self._amount(amount)} recovered",
            loan=replace(self._loan, recovered_minor=self._loan.recovered_minor + amount),
            entry=booking.recovery(self._loan, amount, self._loan.version + 1),
            actor=moved.actor,
            amount_minor=amount,
            payment_id=moved.payment.id,
        )
