"""A schedule on any day: interest accrued, principal owed, and what would pay the loan off.

Invariant: the daily accruals of a period add up to exactly the interest the period earns, however they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

from domain.loans.accrual import ONE_DAY, interest_earned
from domain.loans.errors import LoanTermsError
from domain.loans.rounding import LOAN_CONTEXT, round_minor
from domain.loans.schedule import Instalment, Schedule


@dataclass(frozen=True, slots=True)
class Payoff:
    """What pays a loan off on a day, in minor units."""

    on: date
    principal: int
    interest: int
    fees: int

    @property
    def total(self) -> int:
        """Return the whole amount."""
        return self.principal + self.interest + self.fees


def interest_between(schedule: Schedule, start: date, end: date) -> Decimal:
    """Return the interest in minor units earned after `start` up to and including `end`, on the balance as scheduled.

    Whole periods count with their rounded interest, so a sum over the loan's life is the interest of the loan.
    """
    with localcontext(LOAN_CONTEXT):
        return _earned_until(schedule, end) - _earned_until(schedule, start)


def daily_accrual(schedule: Schedule, on: date) -> int:
    """Return the interest in minor units to accrue for one day.

    It is the difference of what the period has earned by that day and by the day before, each rounded: the days of a
    period add up to its interest, and what rounding leaves is never more than one unit on a day.
    """
    with localcontext(LOAN_CONTEXT):
        return _rounded_until(schedule, on) - _rounded_until(schedule, on - ONE_DAY)


def principal_owed(schedule: Schedule, on: date, instalments_paid: int | None = None) -> int:
    """Return the principal in minor units owed on a day, after the instalments that are taken as paid (see payoff_on)."""
    paid = _paid(schedule, on, instalments_paid)
    owed = schedule.plan.opening_principal - sum(row.principal for row in schedule.instalments[:paid])
    return owed + sum(move.amount for move in schedule.plan.moves if move.on <= on)


def payoff_on(schedule: Schedule, on: date, instalments_paid: int | None = None) -> Payoff:
    """Return what pays the loan off on a day.

    `instalments_paid` is how many instalments of the present plan have been paid; all that fell due before the day,
    unless given. Unpaid ones count with their principal, interest and fees. Interest is counted up to and including the
    day, and on overdue principal only as scheduled: penalty interest is another matter. Raises LoanTermsError for a day
    before the plan begins.
    """
    if on < schedule.plan.periods[0].from_on:
        raise LoanTermsError(
            "on", f"the loan begins on {schedule.plan.periods[0].from_on}.", advice="Send a later day."
        )
    paid = _paid(schedule, on, instalments_paid)
    with localcontext(LOAN_CONTEXT):
        earned = schedule.plan.opening_interest + _rounded_until(schedule, on, current_only=True)
    rows = schedule.instalments
    return Payoff(
        on=on,
        principal=principal_owed(schedule, on, paid),
        interest=max(earned - sum(row.interest for row in rows[:paid]), 0),
        fees=sum(row.fees for row in rows[paid:] if row.due_on <= on),
    )


def _paid(schedule: Schedule, on: date, instalments_paid: int | None) -> int:
    if instalments_paid is None:
        return sum(row.due_on < on for row in schedule.instalments)
    if not 0 <= instalments_paid <= len(schedule.instalments):
        raise LoanTermsError(
            "instalments_paid", f"{instalments_paid} of {len(schedule.instalments)}.", advice="Send how many were paid."
        )
    return instalments_paid


def _earned_until(schedule: Schedule, on: date) -> Decimal:
    whole = sum(row.interest_earned for row in schedule.all_instalments if row.to_on <= on)
    return sum((_part(schedule, row, on) for row in _running(schedule, on)), Decimal(whole))


def _rounded_until(schedule: Schedule, on: date, *, current_only: bool = False) -> int:
    rows = schedule.instalments if current_only else schedule.all_instalments
    whole = sum(row.interest_earned for row in rows if row.to_on <= on)
    parts = (round_minor(_part(schedule, row, on), schedule.plan.rounding) for row in _running(schedule, on))
    return whole + sum(parts)


def _running(schedule: Schedule, on: date) -> list[Instalment]:
    """Return the instalment whose period is under way on a day, if there is one."""
    return [row for row in schedule.all_instalments if row.from_on < on < row.to_on]


def _part(schedule: Schedule, row: Instalment, on: date) -> Decimal:
    """Return what a period has earned by a day inside it. Periods before the present plan earn evenly."""
    first = schedule.plan.periods[0]
    if row.number < first.number or row not in schedule.instalments:
        return Decimal(row.interest_earned) * (on - row.from_on).days / (row.to_on - row.from_on).days
    period = schedule.plan.periods[row.number - first.number]
    return interest_earned(schedule.plan, period, row.interest_base, until=on)
