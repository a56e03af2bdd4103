"""How a lender gives up a claim: charge-off, which is accounting; write-off, which ends it; reschedule, which moves it.

Invariant: a charged-off loan is owed and served as before; a written-off or rescheduled one owes nothing. What is still paid on a
written-off loan is a recovery.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from domain.errors import IllegalTransition
from domain.loans.account import LoanAccount


def charge_off(account: LoanAccount, on: date) -> LoanAccount:
    """Return the account charged off on a day; nothing more is paid out on it. Raises IllegalTransition when it already is."""
    if account.charged_off_on is not None:
        raise IllegalTransition("loan", "charged off already", "be charged off")
    return replace(account, charged_off_on=on, to_come=(), withheld=())


def owing_nothing(account: LoanAccount, on: date) -> LoanAccount:
    """Return the account with nothing owed and nothing earned any more: written off, or moved to another loan."""
    ended = account.accrued(on)
    rows = tuple(
        replace(
            each,
            principal=each.paid_principal,
            interest=each.paid_interest,
            fee=each.paid_fee,
            penalty=each.paid_penalty,
            scheduled_fee=0,
        )
        for each in account.instalments
    )
    return replace(
        account,
        instalments=rows,
        accrual_ended=ended,
        interest_settled=ended,
        paused_until=None,
        to_come=(),
        withheld=(),
    )
