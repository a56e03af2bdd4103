"""A loan from the application to closing, on a test clock."""

from __future__ import annotations

from datetime import date

from domain.loans.status import LoanStatus
from tests.support.loan_world import LoanWorld


async def test_a_loan_is_paid_back_by_its_mandate_and_closed(loans: LoanWorld) -> None:
    loan, handle = await loans.active()
    assert loan.status is LoanStatus.ACTIVE
    assert loans.ledger.posted["borrower"] == 120_000
    assert loan.principal_outstanding_minor == 120_000
    loans.give("borrower", 20_000)
    half = await loans.advance(handle, date(2026, 7, 15))
    assert 55_000 < half.principal_outstanding_minor < 70_000
    assert half.days_past_due == 0
    closed = await loans.advance(handle, date(2027, 1, 15))
    assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
    assert closed.outstanding_minor == 0
    assert loans.book.balance("loans:capital:USD") == -loans.book.balance("loans:interest_income:USD")
    assert loans.book.balance("loans:interest_income:USD") == loans.book.accrued[loan.id] == 7_942
