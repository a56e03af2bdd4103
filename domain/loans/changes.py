"""A running loan on other terms: the four restructurings, prepayment, and the day a schedule is exchanged.

Invariant: what was paid stays paid, what is unpaid is owed to the last unit after the change as before it, and interest
accrued by the day of the change is neither lost nor charged twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from domain.loans.account import LoanAccount, LoanInstalment
from domain.loans.allocation import Portion
from domain.loans.errors import LoanTermsError
from domain.loans.frequency import Frequency
from domain.loans.restructure import (
    HolidayInterest,
    add_tranche,
    change_rate,
    payment_holiday,
    re_age,
    re_amortize,
)
from domain.loans.schedule import Schedule
from domain.loans.terms import BalanceMove

Given = TypeVar("Given")


class RestructureKind(StrEnum):
    """What is changed."""

    RE_AGE = "re_age"
    RE_AMORTIZE = "re_amortize"
    CHANGE_RATE = "change_rate"
    PAYMENT_HOLIDAY = "payment_holiday"
    RESCHEDULE = "reschedule"


@dataclass(frozen=True, slots=True)
class Restructure:
    """A change of terms; which fields count depends on `kind`.

    re_age: `first_due_on`, `instalments`, optional `every`, `capitalize_interest`. change_rate: `effective_on`,
    `annual_rate_percent`. payment_holiday: `instalments` from the next one on, `holiday_interest`, `extend_term`.
    reschedule, which closes the loan and lets another take its place (see `reschedule`): `instalments`, optional
    `first_due_on`, `every`, `annual_rate_percent`.
    """

    kind: RestructureKind
    first_due_on: date | None = None
    instalments: int | None = None
    every: Frequency | None = None
    capitalize_interest: bool = False
    effective_on: date | None = None
    annual_rate_percent: Decimal | None = None
    holiday_interest: HolidayInterest = HolidayInterest.PAID
    extend_term: bool = True


@dataclass(frozen=True, slots=True)
class Restructured:
    """The account on its new terms; `capitalized` is the interest (minor units) that became principal."""

    account: LoanAccount
    capitalized: int = 0


def restructure(account: LoanAccount, change: Restructure, on: date) -> Restructured:
    """Return the account after a change of terms agreed on a day. Raises LoanTermsError naming the field."""
    match change.kind:
        case RestructureKind.CHANGE_RATE:
            effective = _given(change.effective_on, "effective_on")
            if effective <= on:
                raise LoanTermsError("effective_on", f"it is not after {on}.", advice="Send a later day.")
            rate = _given(change.annual_rate_percent, "annual_rate_percent")
            return Restructured(rescheduled(account, change_rate(account.schedule, effective, rate), on))
        case RestructureKind.PAYMENT_HOLIDAY:
            upcoming = account.upcoming(on)
            if upcoming is None:
                raise LoanTermsError("instalments", "none is still to come.", advice="Re-age the loan instead.")
            paused = payment_holiday(
                account.schedule,
                upcoming.number,
                _given(change.instalments, "instalments"),
                change.holiday_interest,
                extend_term=change.extend_term,
            )
            return Restructured(rescheduled(account, paused, on))
        case RestructureKind.RE_AMORTIZE:
            return _re_amortized(account, on)
        case RestructureKind.RE_AGE:
            return _re_aged(account, change, on)
        case RestructureKind.RESCHEDULE:
            raise LoanTermsError("kind", "it needs a loan of its own.", advice="Let a successor take the loan's place.")


def rescheduled(account: LoanAccount, schedule: Schedule, on: date) -> LoanAccount:
    """Return the account under another schedule: instalments not due yet change, what was paid ahead of them stays paid."""
    known = {each.number: each for each in account.instalments}
    fixed = [each for each in account.instalments if each.due_on <= on]
    settled = {each.number for each in fixed}
    renewed = [
        replace(
            known.get(row.number) or LoanInstalment(row.number, row.due_on),
            due_on=row.due_on,
            principal=row.principal,
            interest=row.interest,
            scheduled_fee=row.fees,
            paid_principal=0,
            paid_on=None,
        )
        for row in schedule.all_instalments
        if row.number not in settled
    ]
    ahead = sum(each.paid_principal for each in account.instalments if each.due_on > on)
    numbers = {each.number for each in renewed} | settled
    gone = [
        replace(each, principal=0, paid_principal=0, interest=each.paid_interest, scheduled_fee=0)
        for each in account.instalments
        if each.number not in numbers and each.paid_interest
    ]
    rows = [*fixed, *gone, *_with_paid_ahead(renewed, ahead)]
    return replace(
        account,
        schedule=schedule,
        accrued_before=_accrued_before(account, schedule),
        instalments=tuple(sorted(rows, key=lambda each: (each.due_on, each.number))),
    )


def with_tranche(account: LoanAccount, tranche: BalanceMove, on: date) -> LoanAccount:
    """Return the account after a tranche is paid out on a day. Raises LoanTermsError when the schedule ends before."""
    paid_out = rescheduled(account, add_tranche(account.schedule, on, tranche.amount), on)
    return replace(
        paid_out,
        to_come=tuple(each for each in account.to_come if each is not tranche),
        withheld=tuple(each for each in account.withheld if each is not tranche),
    )


def _accrued_before(account: LoanAccount, schedule: Schedule) -> int:
    return account.accrued(schedule.plan.periods[0].from_on)


def _with_paid_ahead(rows: list[LoanInstalment], ahead: int) -> list[LoanInstalment]:
    """Give principal that was paid ahead to the next instalments, each as much as it now takes."""
    given: list[LoanInstalment] = []
    for row in rows:
        taken = min(ahead, row.principal)
        ahead -= taken
        given.append(replace(row, paid_principal=taken) if taken else row)
    return given


def _re_amortized(account: LoanAccount, on: date) -> Restructured:
    if (
        account.schedule.instalments[-1].to_on <= on
    ):  # no field of the change says when, so its kind is what does not fit
        raise LoanTermsError("kind", f"no instalment falls due after {on}.", advice="Re-age the loan instead.")
    overdue = sum(each.unpaid(Portion.INTEREST) for each in account.instalments if each.due_on <= on)
    schedule = re_amortize(
        account.schedule, on, outstanding_principal=account.principal_outstanding, overdue_interest=overdue
    )
    return Restructured(_exchanged(account, schedule, on, interest_is_net=False))


def _re_aged(account: LoanAccount, change: Restructure, on: date) -> Restructured:
    interest = account.interest_outstanding(on)
    schedule = re_age(
        account.schedule,
        on,
        _given(change.first_due_on, "first_due_on"),
        _given(change.instalments, "instalments"),
        every=change.every,
        outstanding_principal=account.principal_outstanding,
        unpaid_interest=interest,
        capitalize_interest=change.capitalize_interest,
    )
    renewed = _exchanged(account, schedule, on, interest_is_net=True)
    if not change.capitalize_interest:
        return Restructured(renewed)
    return Restructured(replace(renewed, interest_settled=renewed.interest_settled + interest), interest)


def _exchanged(account: LoanAccount, schedule: Schedule, on: date, *, interest_is_net: bool) -> LoanAccount:
    """Return the account with all that is owed moved into a new schedule; charges go with its first instalment.

    `interest_is_net`: the schedule's interest has what was paid ahead taken off already.
    """
    new = {row.number: row for row in schedule.instalments}
    first = schedule.instalments[0].number
    fees = sum(each.unpaid(Portion.FEE) for each in account.instalments)
    penalties = sum(each.unpaid(Portion.PENALTY) for each in account.instalments)
    past = [
        replace(
            each,
            principal=each.paid_principal,
            interest=each.paid_interest,
            fee=each.paid_fee,
            penalty=each.paid_penalty,
            paid_on=each.paid_on or on,
        )
        for each in account.instalments
        if each.number not in new and (each.due_on <= on or each.paid_principal or each.paid_interest or each.paid_fee)
    ]
    ahead = {each.number: each for each in account.instalments if each.number in new}
    renewed = []
    for row in new.values():
        had = ahead.get(row.number) or LoanInstalment(row.number, row.due_on)
        extra = (fees, penalties) if row.number == first else (0, 0)
        renewed.append(
            LoanInstalment(
                row.number,
                row.due_on,
                principal=row.principal + had.paid_principal,
                interest=row.interest + (had.paid_interest if interest_is_net else 0),
                scheduled_fee=row.fees,
                fee=had.paid_fee + extra[0],
                penalty=had.paid_penalty + extra[1],
                paid_principal=had.paid_principal,
                paid_interest=had.paid_interest,
                paid_fee=had.paid_fee,
                paid_penalty=had.paid_penalty,
            )
        )
    return replace(
        account,
        schedule=schedule,
        accrued_before=_accrued_before(account, schedule),
        instalments=tuple(sorted([*past, *renewed], key=lambda each: (each.due_on, each.number))),
    )


def _given(value: Given | None, field: str) -> Given:
    if value is None:
        raise LoanTermsError(field, "it is missing.", advice=f"Send {field}.")
    return value
