"""The two ways a lender gives up hope: charge-off, which is accounting, and write-off, which ends the claim.

Invariant: a charged-off loan is owed and served as before; a written-off one owes nothing, and what is still paid is a recovery.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from domain.errors import IllegalTransition
from domain.loans.account import LoanAccount


def charge_off(account: LoanAccount, on: date) -> LoanAccount:
    """Return the account charged off on a day. Raises IllegalTransition when it already is."""
    if account.charged_off_on is not None:
        raise IllegalTransition("loan", "charged off already", "charge_off")
    return replace(account, charged_off_on=on)


def write_off(account: LoanAccount, on: date) -> LoanAccount:
    """Return the account with nothing owed and nothing earned any more."""
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
    return replace(account, instalments=rows, accrual_ended=ended, interest_settled=ended, paused_until=None)
