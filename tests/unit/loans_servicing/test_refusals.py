"""What is refused of an application or a change of terms, and by which name."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta
from decimal import Decimal
from itertools import product

import pytest

from domain.errors import DomainError
from domain.loans.account import LoanAccount
from domain.loans.application import MIN_AGE_YEARS, Applicant
from domain.loans.changes import Restructure, RestructureKind
from domain.loans.errors import LoanTermsError
from domain.loans.loan import Loan
from domain.loans.restructure import MAX_HOLIDAY_INSTALMENTS
from domain.loans.terms import Method
from tests.support.loan_world import START, application, terms
from workflows.loans.messages import LoanState
from workflows.loans.rules import check_restructure

FIELDS = {field.name for field in fields(Restructure)}
DAYS = (None, date(1000, 1, 1), START + timedelta(days=60), date(2199, 1, 1), date(9999, 12, 31))
COUNTS = (None, 1, MAX_HOLIDAY_INSTALMENTS + 1, 300)
RATES = (None, Decimal(9), Decimal("1e20"))
LATER_DAYS = (0, 100, 2_000)


def _state(method: Method) -> LoanState:
    agreed = terms(instalments=6, method=method)
    return LoanState(Loan.apply(application(terms=agreed), START), LoanAccount.open(agreed))


@pytest.mark.parametrize("kind", RestructureKind)
@pytest.mark.parametrize("method", Method)
def test_a_change_is_refused_by_the_name_of_a_field_that_it_has(kind: RestructureKind, method: Method) -> None:
    """Whatever is wrong, on whatever day: else the client is pointed at something it never sent."""
    state = _state(method)
    fields_named: set[str] = set()
    for later, day, count, rate, extend in product(LATER_DAYS, DAYS, COUNTS, RATES, (True, False)):
        change = Restructure(
            kind, first_due_on=day, instalments=count, effective_on=day, annual_rate_percent=rate, extend_term=extend
        )
        try:
            check_restructure(state, change, START + timedelta(days=later))
        except LoanTermsError as refusal:
            fields_named.add(refusal.field)
        except DomainError as refusal:
            pytest.fail(f"{refusal!r} names no field: {change}")
    assert fields_named
    assert fields_named <= FIELDS


def test_a_payment_holiday_is_no_longer_than_what_is_left() -> None:
    state = _state(Method.ANNUITY)
    for count in range(1, 9):
        for extend in (True, False):
            change = Restructure(RestructureKind.PAYMENT_HOLIDAY, instalments=count, extend_term=extend)
            if count <= (6 if extend else 5):
                check_restructure(state, change, START)
            else:
                with pytest.raises(LoanTermsError, match="instalments: ") as refusal:
                    check_restructure(state, change, START)
                assert refusal.value.advice == f"Send 1 to {6 if extend else 5}."


@pytest.mark.parametrize(
    ("born_on", "on", "may_apply"),
    [
        ("2008-06-15", "2026-06-14", False),
        ("2008-06-15", "2026-06-15", True),
        ("2008-02-29", "2026-02-28", False),
        ("2008-02-29", "2026-03-01", True),
        ("2026-06-15", "2026-06-15", False),
        ("2027-01-01", "2026-06-15", False),
        ("1900-01-01", "2026-06-15", True),
    ],
)
def test_an_applicant_is_of_age_on_the_day_of_the_application(born_on: str, on: str, *, may_apply: bool) -> None:
    applicant = Applicant("cus_1", "Sample Borrower", date_of_birth=date.fromisoformat(born_on))
    if may_apply:
        applicant.validate(date.fromisoformat(on))
        return
    with pytest.raises(LoanTermsError) as refusal:
        applicant.validate(date.fromisoformat(on))
    assert refusal.value.field == "applicant.date_of_birth"
    assert MIN_AGE_YEARS == 18


def test_an_age_that_nobody_said_is_not_guessed() -> None:
    Applicant("cus_1", "Sample Borrower").validate(START)
