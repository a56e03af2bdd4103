"""Changing a loan that runs: rate, payment holiday, due date, prepayment, tranche, re-amortization, re-aging.

Invariant: an instalment that has fallen due by the day of the change never moves, and the principal still owed is spread
to the last unit over what follows. A change that changes nothing gives the schedule it was given.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from domain.loans.accrual import ONE_DAY
from domain.loans.amortization import schedule_of
from domain.loans.errors import LoanTermsError
from domain.loans.fields import LAST_YEAR, read_percent
from domain.loans.frequency import Frequency
from domain.loans.schedule import DueDates, Instalment, Period, Plan, Schedule
from domain.loans.servicing import payoff_on, principal_owed
from domain.loans.terms import MAX_EVENTS, MAX_INSTALMENTS, MAX_RATE_PERCENT, BalanceMove, Method, RateStep

MAX_HOLIDAY_INSTALMENTS = 24
"""Most instalments of one payment holiday: two years of a monthly loan. Whoever needs longer re-ages the loan."""


class PrepaymentEffect(StrEnum):
    """What a prepayment makes smaller."""

    REDUCE_INSTALMENT = "reduce_instalment"
    REDUCE_TERM = "reduce_term"


class HolidayInterest(StrEnum):
    """What becomes of the interest of a payment holiday.

    `paid`: only principal pauses. `deferred`: it falls due, not compounded, with the first instalment after. `waived`:
    none is earned.
    """

    PAID = "paid"
    DEFERRED = "deferred"
    WAIVED = "waived"


def change_rate(schedule: Schedule, effective_on: date, annual_rate_percent: Decimal) -> Schedule:
    """Return the schedule with another rate for the interest of `effective_on` and after.

    Instalments are levelled anew from the period in which the day falls. Later changes already agreed stay.
    """
    plan = schedule.plan
    _check_within(plan, "effective_on", effective_on - ONE_DAY)
    read_percent(annual_rate_percent, "annual_rate_percent", MAX_RATE_PERCENT)
    steps = sorted(
        [
            *(step for step in plan.rates if step.effective_on != effective_on),
            RateStep(effective_on, annual_rate_percent),
        ],
        key=lambda step: step.effective_on,
    )
    kept = steps[:1]
    for step in steps[1:]:
        if step.annual_rate_percent != kept[-1].annual_rate_percent:
            kept.append(step)
    return _again(schedule, replace(plan, rates=tuple(kept)))


def add_tranche(schedule: Schedule, on: date, amount: int) -> Schedule:
    """Return the schedule with `amount` (minor units) more paid out on a day, repaid with the instalments after it."""
    if amount <= 0:
        raise LoanTermsError("amount", "it is not greater than zero.", advice="Send an amount greater than zero.")
    return _with_move(schedule, BalanceMove(on, amount))


def prepay(schedule: Schedule, on: date, amount: int, effect: PrepaymentEffect) -> Schedule:
    """Return the schedule after `amount` (minor units) of principal is paid on a day beside the instalments.

    On a due date it comes after that day's instalment. The term stays and instalments shrink, or they stay and the last
    ones fall away. Raises LoanTermsError when the amount would pay off the loan: ask `payoff_on` for that.
    """
    if not 0 < amount < principal_owed(schedule, on, sum(row.to_on <= on for row in schedule.instalments)):
        raise LoanTermsError("amount", "it is not less than what is owed.", advice="Pay the loan off instead.")
    return _with_move(schedule, BalanceMove(on, -amount, relevel=effect is PrepaymentEffect.REDUCE_INSTALMENT))


def payment_holiday(
    schedule: Schedule, first: int, instalments: int, interest: HolidayInterest, *, extend_term: bool = True
) -> Schedule:
    """Return the schedule with a pause: `instalments` of them, from number `first` on, pay no principal.

    With `extend_term` as many are added at the end and the amounts stay; without, those left grow, so one must be left.
    Raises LoanTermsError for more than are left, or than MAX_HOLIDAY_INSTALMENTS.
    """
    at = _position(schedule, first)
    rest = _rest(schedule, at)
    left = len(rest.periods)
    most = min(left, MAX_INSTALMENTS - left) if extend_term else left - 1
    if not 1 <= instalments <= min(most, MAX_HOLIDAY_INSTALMENTS):
        advice = f"Send 1 to {min(most, MAX_HOLIDAY_INSTALMENTS)}." if most > 0 else "Re-age the loan instead."
        raise LoanTermsError("instalments", f"{instalments} of the {left} left cannot be paused.", advice=advice)
    added: tuple[Period, ...] = ()
    if extend_term:
        _check_end("instalments", rest.periods[-1].to_on, instalments)
        last = rest.periods[-1]
        added = rest.due_dates.periods(last.to_on, last.number + 1, instalments)
    periods = rest.periods + added
    paused = tuple(
        replace(
            period,
            pays_principal=False,
            pays_interest=interest is not HolidayInterest.DEFERRED,
            bears_interest=interest is not HolidayInterest.WAIVED,
        )
        for period in periods[:instalments]
    )
    level = _present_level(schedule, at) if extend_term else None
    return _again(schedule, replace(rest, periods=paused + periods[instalments:], level=level), at)


def move_due_date(schedule: Schedule, number: int, due_on: date) -> Schedule:
    """Return the schedule with instalment `number` due on another day and all later ones following at the same pace.

    Amounts stay; what the longer or shorter period earns is settled with the last instalment.
    """
    at = _position(schedule, number)
    rest = _rest(schedule, at)
    first = rest.periods[0]
    _check_end("due_on", due_on, len(rest.periods))
    if due_on <= first.from_on:
        raise LoanTermsError("due_on", f"the period begins on {first.from_on}.", advice="Send a later day.")
    due_dates = replace(rest.due_dates, number=number, on=due_on)
    regular = due_on == rest.due_dates.every.step(first.from_on, 1)
    periods = due_dates.periods(first.from_on, number, len(rest.periods), first_regular=regular)
    flagged = tuple(
        replace(
            new, pays_principal=old.pays_principal, pays_interest=old.pays_interest, bears_interest=old.bears_interest
        )
        for new, old in zip(periods, rest.periods, strict=True)
    )
    return _again(schedule, replace(rest, due_dates=due_dates, periods=flagged, level=_present_level(schedule, at)), at)


def re_amortize(
    schedule: Schedule, on: date, *, outstanding_principal: int | None = None, overdue_interest: int | None = None
) -> Schedule:
    """Return the schedule with all that is owed spread over the instalments due after a day, on the dates they have.

    `outstanding_principal` is what is really owed, overdue instalments included; as scheduled unless given. It earns
    interest from the beginning of the running period. `overdue_interest` falls due on top of the next instalment.
    """
    at = next((index for index, row in enumerate(schedule.instalments) if row.to_on > on), None)
    if at is None:
        raise LoanTermsError("on", "no instalment falls due after it.", advice="Re-age the loan instead.")
    rest = _rest(schedule, at)
    if outstanding_principal is not None:
        rest = replace(rest, opening_principal=outstanding_principal, opening_paid_out=None)
    if overdue_interest is not None:
        rest = replace(rest, opening_interest=overdue_interest)
    return _again(schedule, replace(rest, level=None), at)


def re_age(
    schedule: Schedule,
    on: date,
    first_due_on: date,
    instalments: int,
    *,
    every: Frequency | None = None,
    outstanding_principal: int | None = None,
    unpaid_interest: int | None = None,
    capitalize_interest: bool = False,
) -> Schedule:
    """Return a schedule of new instalments for all that is owed on a day, overdue or not yet due.

    Unless given, principal and interest are those of a loan paid as scheduled, interest counted up to `on`. Unpaid
    interest falls due on top of the first new instalment, or joins the principal when it is capitalized.
    """
    if first_due_on <= on:
        raise LoanTermsError("first_due_on", f"it is not after {on}.", advice="Send a later day.")
    if not 1 <= instalments <= MAX_INSTALMENTS:
        raise LoanTermsError("instalments", "there are none, or too many.", advice=f"Send 1 to {MAX_INSTALMENTS}.")
    _check_end("first_due_on", first_due_on, instalments)
    plan = schedule.plan
    due = [row for row in schedule.instalments if row.due_on <= on]
    owed = payoff_on(schedule, on, len(due))
    principal = owed.principal if outstanding_principal is None else outstanding_principal
    interest = owed.interest if unpaid_interest is None else unpaid_interest
    if capitalize_interest:
        principal, interest = principal + interest, 0
    number = schedule.past[-1].number if schedule.past else plan.periods[0].number - 1
    number = (due[-1].number if due else number) + 1
    pace = every or plan.every
    due_dates = DueDates(pace, number, first_due_on, plan.due_dates.business_days)
    regular = first_due_on == pace.step(on, 1)
    renewed = replace(
        plan,
        opening_principal=principal,
        opening_interest=interest,
        opening_paid_out=None,
        periods=due_dates.periods(on, number, instalments, first_regular=regular),
        due_dates=due_dates,
        moves=tuple(move for move in plan.moves if move.on > on),
        balloon=0,
        level=None,
    )
    return schedule_of(renewed, schedule.past + tuple(due))


def _again(schedule: Schedule, plan: Plan, settled: int = 0) -> Schedule:
    return schedule_of(plan, schedule.past + schedule.instalments[:settled])


def _with_move(schedule: Schedule, move: BalanceMove) -> Schedule:
    plan = schedule.plan
    _check_within(plan, "on", move.on)
    if len(plan.moves) >= MAX_EVENTS:
        raise LoanTermsError("on", f"the loan already has {MAX_EVENTS} moves.", advice="Re-age the loan first.")
    return _again(schedule, replace(plan, moves=tuple(sorted((*plan.moves, move), key=lambda each: each.on))))


def _check_within(plan: Plan, field: str, on: date) -> None:
    if not plan.periods[0].from_on <= on < plan.periods[-1].to_on:
        raise LoanTermsError(
            field, f"{on} is not within the schedule.", advice="Send a day before the last instalment."
        )


def _check_end(field: str, on: date, instalments: int) -> None:
    """Refuse instalments from a day on that would end too late; none is more than some days longer than a year."""
    if on.year + instalments > LAST_YEAR:
        raise LoanTermsError(field, "the loan would end too late.", advice="Send an earlier day, or fewer instalments.")


def _position(schedule: Schedule, number: int) -> int:
    for index, row in enumerate(schedule.instalments):
        if row.number == number:
            return index
    raise LoanTermsError(
        "number", f"there is no instalment {number} to change.", advice="Send one that is still to come."
    )


def _rest(schedule: Schedule, at: int) -> Plan:
    """Return the plan of the instalments from position `at` on, with all that is owed when their first period begins."""
    plan = schedule.plan
    if at == 0:
        return plan
    before, row = schedule.instalments[:at], schedule.instalments[at]
    return replace(
        plan,
        opening_principal=row.balance_before,
        opening_interest=plan.opening_interest + sum(past.interest_earned - past.interest for past in before),
        opening_paid_out=row.interest_base if plan.method is Method.FLAT else None,
        periods=plan.periods[at : len(schedule.instalments)],
        moves=tuple(move for move in plan.moves if move.on >= row.from_on),
        level=None,
    )


def _present_level(schedule: Schedule, at: int) -> int | None:
    """Return the amount an annuity's or flat loan's instalments have now, to keep it; None where it is not to be kept."""
    row: Instalment = schedule.instalments[at]
    period = schedule.plan.periods[at]
    plain = period.pays_principal and period.pays_interest and at < len(schedule.instalments) - 1
    levelled = schedule.plan.method in (Method.ANNUITY, Method.FLAT)
    return row.principal + row.interest if plain and levelled and schedule.plan.opening_interest == 0 else None
