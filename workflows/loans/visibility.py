"""What an operator can filter loans by in the Temporal UI. Days past due and outstanding are those of the business date."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributePair, SearchAttributeUpdate, TypedSearchAttributes

from domain.loans.application import LoanApplication
from domain.loans.loan import Loan
from domain.loans.status import LoanStatus
from domain.money import Money
from workflows.visibility import CURRENCY, NEEDS_REVIEW

LOAN_STATUS = SearchAttributeKey.for_keyword("LoanStatus")
DAYS_PAST_DUE = SearchAttributeKey.for_int("DaysPastDue")
NEXT_DUE_ON = SearchAttributeKey.for_datetime("NextDueOn")
OUTSTANDING = SearchAttributeKey.for_int("Outstanding")


def of_application(application: LoanApplication) -> TypedSearchAttributes:
    """Return the attributes a loan starts with; `Outstanding` is in minor units."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(LOAN_STATUS, str(LoanStatus.DRAFT)),
            SearchAttributePair(DAYS_PAST_DUE, 0),
            SearchAttributePair(OUTSTANDING, 0),
            SearchAttributePair(CURRENCY, application.terms.currency),
            SearchAttributePair(NEEDS_REVIEW, False),
        ]
    )


def of_loan(loan: Loan) -> TypedSearchAttributes:
    """Return the attributes of a loan that runs already."""
    due = loan.next_due_on
    return TypedSearchAttributes(
        [
            SearchAttributePair(LOAN_STATUS, str(loan.status)),
            SearchAttributePair(DAYS_PAST_DUE, loan.days_past_due),
            SearchAttributePair(OUTSTANDING, loan.outstanding_minor),
            SearchAttributePair(CURRENCY, loan.currency),
            SearchAttributePair(NEEDS_REVIEW, False),
            *([] if due is None else [SearchAttributePair(NEXT_DUE_ON, _midnight(due))]),
        ]
    )


def changes(
    before: Loan | None, after: Loan, *, needs_person: bool, needed_person: bool
) -> list[SearchAttributeUpdate[Any]]:
    """Return the attributes that a step has changed."""
    found: list[SearchAttributeUpdate[Any]] = []
    if before is None or before.status is not after.status:
        found.append(LOAN_STATUS.value_set(str(after.status)))
    if before is not None and before.days_past_due != after.days_past_due:
        found.append(DAYS_PAST_DUE.value_set(after.days_past_due))
    if before is not None and before.outstanding_minor != after.outstanding_minor:
        found.append(OUTSTANDING.value_set(after.outstanding_minor))
    if before is not None and after.next_due_on is not None and before.next_due_on != after.next_due_on:
        # Never unset: an empty Datetime that is carried into the next run cannot be decoded by the SDK (1.35.0).
        found.append(NEXT_DUE_ON.value_set(_midnight(after.next_due_on)))
    if needs_person != needed_person:
        found.append(NEEDS_REVIEW.value_set(needs_person))
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def summary(application: LoanApplication) -> str:
    """Say in one line what a loan is; the Temporal UI shows it in its list."""
    terms = application.terms
    money = Money(terms.principal, terms.currency)
    return (
        f"Loan of {money} at {terms.annual_rate_percent} % in {terms.instalments} instalments, one every {terms.every}"
    )
