"""What all steps of a running loan share: the loan and its account as last written, charges brought up to date, the record.

Invariant: penalty interest and instalment fees are brought up to the day before anything else is booked, so that what is owed
is true when money comes.
"""

from __future__ import annotations

from datetime import date

from activities.loan_book import LoanBookActivities
from domain.loans import booking
from domain.loans.account import LoanAccount
from domain.loans.charges import Charged, charge_instalment_fees, charge_penalties
from domain.loans.loan import Loan
from domain.money import Money
from workflows.loans.journal import LoanJournal

_RECORD = LoanBookActivities.record_servicing


class LoanDesk:
    """Where a running loan is worked on."""

    def __init__(self, journal: LoanJournal) -> None:
        self._journal = journal

    @property
    def _loan(self) -> Loan:
        return self._journal.loan

    @property
    def _account(self) -> LoanAccount:
        return self._journal.account

    @property
    def _is_charged_off(self) -> bool:
        return self._account.charged_off_on is not None

    def _amount(self, minor: int) -> Money:
        return Money(minor, self._loan.currency)

    def _charged(self, on: date, account: LoanAccount | None = None) -> Charged:
        """Fees of instalments that have fallen due, and penalty interest up to a day."""
        fees = charge_instalment_fees(self._account if account is None else account, on)
        penalties = charge_penalties(fees.account, self._loan.application.servicing.penalty, on)
        return Charged(penalties.account, fees.fees, penalties.penalties)

    async def _write(
        self,
        account: LoanAccount,
        on: date,
        name: str,
        text: str,
        *,
        loan: Loan | None = None,
        charged: Charged | None = None,
        **rest: object,
    ) -> None:
        """Write a step with the standing it leaves; charges are booked in an entry of their own unless one is given."""
        after = (loan or self._loan).standing(account, on)
        if charged is not None:
            rest["entry"] = booking.charge(after, charged, after.version + 1, charged_off=self._is_charged_off)
        await self._journal.write_or_fail(_RECORD, after, name, text, account=account, **rest)

    async def write_first(self, account: LoanAccount, on: date, text: str, loan: Loan, actor: str) -> None:
        """Write a loan that begins with what another owed; the ledger holds it already."""
        await self._write(account, on, "took_over", text, loan=loan, actor=actor, amount_minor=account.owed(on).total)
