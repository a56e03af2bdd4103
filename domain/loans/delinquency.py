"""Delinquency: days past due, buckets, late fees and penalty interest.

Invariant: nothing is charged within the days of grace, and a late fee never exceeds its caps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext

from domain.loans.allocation import InstalmentBalance
from domain.loans.day_count import DayCount, year_share
from domain.loans.errors import LoanTermsError
from domain.loans.frequency import Frequency, FrequencyUnit
from domain.loans.rounding import LOAN_CONTEXT, RoundingMode, round_minor

BUCKET_STARTS = (1, 30, 60, 90, 120, 150, 180)
"""Days past due at which a loan moves into the next bucket."""
_DAILY = Frequency(1, FrequencyUnit.DAYS)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A range of days past due, both ends included; no end in the last. Bucket 0 is current."""

    index: int
    from_days: int
    to_days: int | None

    @property
    def name(self) -> str:
        """Return `current`, a range such as `30-59`, or `180+`."""
        if self.index == 0:
            return "current"
        return f"{self.from_days}+" if self.to_days is None else f"{self.from_days}-{self.to_days}"


@dataclass(frozen=True, slots=True)
class Delinquency:
    """How late a loan is on a day. Amounts overdue in minor units."""

    days_past_due: int
    bucket: Bucket
    oldest_due_on: date | None
    overdue_principal: int
    overdue_interest: int
    overdue_charges: int

    @property
    def overdue(self) -> int:
        """Return all that is overdue."""
        return self.overdue_principal + self.overdue_interest + self.overdue_charges


@dataclass(frozen=True, slots=True)
class LateFeeRule:
    """A fee for an instalment not paid in time: an amount in minor units, or a percentage of what is overdue of it.

    It is charged once an instalment, more than `grace_days` after its due date, at most `cap` each and `loan_cap` over
    the life of the loan; nothing below `least_overdue` is charged for.
    """

    amount: int = 0
    percent: Decimal = Decimal(0)
    grace_days: int = 0
    cap: int | None = None
    loan_cap: int | None = None
    least_overdue: int = 1

    def __post_init__(self) -> None:
        if self.percent < 0 or min(self.amount, self.grace_days, self.cap or 0, self.loan_cap or 0) < 0:
            raise LoanTermsError(
                "late_fee", "a part of it is negative.", advice="Send amounts and days of zero or more."
            )


@dataclass(frozen=True, slots=True)
class PenaltyRate:
    """Interest on overdue principal, a year in percent, once it is more than `grace_days` late; then from its due date."""

    annual_rate_percent: Decimal
    grace_days: int = 0
    day_count: DayCount = DayCount.ACTUAL_365
    rounding: RoundingMode = RoundingMode.HALF_EVEN


def bucket_of(days_past_due: int, starts: Sequence[int] = BUCKET_STARTS) -> Bucket:
    """Return the bucket of a number of days past due."""
    index = sum(days_past_due >= start for start in starts)
    if index == 0:
        return Bucket(0, 0, starts[0] - 1)
    return Bucket(index, starts[index - 1], starts[index] - 1 if index < len(starts) else None)


def delinquency_on(
    balances: Sequence[InstalmentBalance], on: date, starts: Sequence[int] = BUCKET_STARTS
) -> Delinquency:
    """Return how late a loan is on a day: counted from the due date of its oldest unpaid instalment, that day excluded."""
    overdue = [
        each for each in balances if each.due_on < on and (each.principal or each.interest or each.fee or each.penalty)
    ]
    oldest = min((each.due_on for each in overdue), default=None)
    days = 0 if oldest is None else (on - oldest).days
    return Delinquency(
        days_past_due=days,
        bucket=bucket_of(days, starts),
        oldest_due_on=oldest,
        overdue_principal=sum(each.principal for each in overdue),
        overdue_interest=sum(each.interest for each in overdue),
        overdue_charges=sum(each.fee + each.penalty for each in overdue),
    )


def late_fee(
    rule: LateFeeRule,
    balance: InstalmentBalance,
    on: date,
    *,
    already_charged: bool = False,
    charged_on_loan: int = 0,
    rounding: RoundingMode = RoundingMode.HALF_EVEN,
) -> int:
    """Return the late fee in minor units to charge on a day for an instalment: 0 unless it is late, and only once.

    Of overdue fees and penalties no percentage is taken: charges do not breed charges.
    """
    overdue = balance.principal + balance.interest
    if already_charged or overdue < rule.least_overdue or (on - balance.due_on).days <= rule.grace_days:
        return 0
    with localcontext(LOAN_CONTEXT):
        fee = rule.amount + round_minor(overdue * rule.percent / 100, rounding)
    if rule.cap is not None:
        fee = min(fee, rule.cap)
    if rule.loan_cap is not None:
        fee = min(fee, max(rule.loan_cap - charged_on_loan, 0))
    return fee


def penalty_interest(rate: PenaltyRate, overdue_principal: int, due_on: date, until: date) -> int:
    """Return the penalty interest in minor units on overdue principal, from its due date to `until`, that day included."""
    if (until - due_on).days <= rate.grace_days:
        return 0
    with localcontext(LOAN_CONTEXT):
        span = (due_on, until)
        share = year_share(rate.day_count, _DAILY, regular=False, whole=span, part=span)
        return round_minor(overdue_principal * rate.annual_rate_percent / 100 * share, rate.rounding)


def penalty_accrual(rate: PenaltyRate, overdue_principal: int, due_on: date, on: date) -> int:
    """Return the penalty interest in minor units to accrue for one day; the first day after the grace catches up."""
    day_before = on - timedelta(days=1)
    return penalty_interest(rate, overdue_principal, due_on, on) - penalty_interest(
        rate, overdue_principal, due_on, day_before
    )
