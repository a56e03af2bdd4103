"""One payment to the borrower: the first of a loan, or a later tranche.

Invariant: what is owed for it, what is withheld from it and what the borrower gets are fixed before anything moves; its number
is never used for another, so an attempt that was undone and the one after it share no key.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.loans.terms import BalanceMove, LoanTerms


@dataclass(frozen=True, slots=True)
class Payout:
    """Attempt `number` of a loan to pay out. `principal` is what will be owed, `withheld` the fees kept back (minor units)."""

    number: int
    principal: int
    withheld: int = 0

    @property
    def amount(self) -> int:
        """What the borrower gets."""
        return self.principal - self.withheld


def first_payout(terms: LoanTerms, number: int) -> Payout:
    """Return the payout that makes a loan active."""
    return Payout(number, terms.principal, terms.withheld(terms.principal, first=True))


def tranche_payout(terms: LoanTerms, tranche: BalanceMove, number: int) -> Payout:
    """Return the payout of a later tranche."""
    return Payout(number, tranche.amount, terms.withheld(tranche.amount, first=False))
