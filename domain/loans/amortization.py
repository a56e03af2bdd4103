"""From a plan to its instalments: how much falls due when, by each method.

Invariant: interest is rounded once per instalment, and only the last instalment takes what rounding leaves over.
The level instalment is the annuity of periods of different rates, set anew when a tranche or a rate change takes effect,
as Apache Fineract's progressive schedules do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from domain.loans.accrual import ONE_DAY, charged_on, effective_in, interest_earned, period_rate
from domain.loans.day_count import DayCount
from domain.loans.errors import LoanTermsError
from domain.loans.rounding import LOAN_CONTEXT, RoundingMode, round_minor, round_to_multiple
from domain.loans.schedule import Instalment, Period, Plan, Schedule
from domain.loans.terms import Method
from domain.money import MAX_AMOUNT_MINOR

MAX_LEVELLINGS = 3
"""How often the level instalment is corrected for what rounding leaves in the last one."""


@dataclass(slots=True)
class _Run:
    """What is carried from one instalment to the next, in minor units.

    `shortfall`: interest a level instalment was too small for. `deferred`: interest a grace put off. `exact` and
    `earned`: interest so far, before and after rounding.
    """

    balance: int
    paid_out: int
    shortfall: int = 0
    deferred: int = 0
    exact: Decimal = Decimal(0)
    earned: int = 0


def amortize(plan: Plan) -> tuple[Instalment, ...]:
    """Return the instalments of a plan."""
    with localcontext(LOAN_CONTEXT):
        paid_out = plan.opening_principal if plan.opening_paid_out is None else plan.opening_paid_out
        run = _Run(plan.opening_principal, paid_out, deferred=plan.opening_interest)
        rows: list[Instalment] = []
        epochs = _epochs(plan)
        for start, stop in zip(epochs, [*epochs[1:], len(plan.periods)], strict=True):
            level = _level(_during(plan, start, start + 1, levelling=True), start, run)
            seen = _during(plan, start, stop)
            rows.extend(_instalment(seen, index, run, level) for index in range(start, stop))
        return _without_empty_end(plan, rows)


def schedule_of(plan: Plan, past: tuple[Instalment, ...] = ()) -> Schedule:
    """Return the schedule of a plan, after instalments that no longer move. Raises LoanTermsError when one is too large."""
    rows = amortize(plan)
    if any(max(row.amount, row.interest_earned) > MAX_AMOUNT_MINOR for row in rows):
        raise LoanTermsError(
            "principal",
            "an instalment would be larger than any amount may be.",
            advice="Lend less, or at a lower rate.",
        )
    return Schedule(plan, rows, past)


def _epochs(plan: Plan) -> list[int]:
    """Return the indices of the periods from which instalments are set: the first, and each where an event takes effect."""
    days = [move.on for move in plan.moves if move.relevel] + [step.effective_on - ONE_DAY for step in plan.rates]
    found = {0}
    for day in days:
        found.update(next(([i] for i, period in enumerate(plan.periods) if day < period.to_on), []))
    return sorted(found)


def _during(plan: Plan, start: int, stop: int, *, levelling: bool = False) -> Plan:
    """Return the plan with only the events that bear on the periods from `start` up to before `stop`.

    For levelling, that is what takes effect in the period instalments are set in, as if nothing came after it; what is
    not to change their level, and tranches of the last day, which belong to the next period, are left out.
    """
    first, end = plan.periods[start].from_on, plan.periods[stop - 1].to_on
    rates = [step for step in plan.rates if step.effective_on <= end]
    earlier = sum(step.effective_on - ONE_DAY <= first for step in rates)
    moves = [move for move in plan.moves if first <= move.on <= end]
    if levelling:
        moves = [move for move in moves if move.on < end and move.relevel]
    return replace(plan, moves=tuple(moves), rates=tuple(rates[max(earlier - 1, 0) :]))


def _level(plan: Plan, start: int, run: _Run) -> int:
    """Return the amount that repeats from period `start` on: the instalment, or of equal principal its principal."""
    if plan.method is Method.INTEREST_ONLY:
        return 0
    if plan.level is not None and start == 0:
        return plan.level
    periods = [period for period in plan.periods[start:] if period.pays_principal]
    balance = run.balance + sum(move.amount for move in plan.moves if effective_in(plan.periods[start], move))
    # A balloon that later tranches are still to reach leaves only interest to pay until they come.
    plan = replace(plan, balloon=min(plan.balloon, balance))
    if plan.method is Method.EQUAL_PRINCIPAL:
        return round_minor(Decimal(balance - plan.balloon) / len(periods), plan.rounding)
    if plan.method is Method.FLAT:
        return _flat_level(plan, start, run, periods, balance)
    annuity = _Annuity.of(plan, periods)
    whole = annuity.instalment(balance * (1 + period_rate(plan, periods[0])))
    level, excess = _levelled(plan, start, run, len(periods), whole)
    if periods[0] is not plan.periods[start] or abs(excess) <= annuity.weight * (plan.instalment_multiple or 1):
        return level
    # A tranche in the first period did not earn all of it, and the term is too long for that to be spread evenly.
    earned = interest_earned(plan, periods[0], run.balance)
    exact = annuity.instalment(balance + run.shortfall + earned)
    return round_to_multiple(exact, plan.instalment_multiple, plan.rounding)


@dataclass(frozen=True, slots=True)
class _Annuity:
    """The instalment that brings a debt to the balloon over periods of different rates.

    With period rates r1..rn and the debt D at the end of the first period it is

        (D x (1+r2)...(1+rn) - balloon) / (1 + (1+rn) + (1+rn)(1+rn-1) + ...)

    with n terms in the denominator, `weight`: what one unit more in each instalment takes off the debt by the end.
    """

    growth: Decimal
    weight: Decimal
    balloon: int

    @classmethod
    def of(cls, plan: Plan, periods: Sequence[Period]) -> _Annuity:
        growth, weight = Decimal(1), Decimal(1)
        for period in periods[1:]:
            factor = 1 + period_rate(plan, period)
            growth *= factor
            weight = weight * factor + 1
        return cls(growth, weight, plan.balloon)

    def instalment(self, debt: Decimal) -> Decimal:
        return (debt * self.growth - self.balloon) / self.weight


def _levelled(plan: Plan, start: int, run: _Run, count: int, exact: Decimal) -> tuple[int, int]:
    """Round the instalment, then spread over all instalments what rounding would leave in the last, while that helps.

    Return it with what is left in the last.
    """
    level = round_to_multiple(exact, plan.instalment_multiple, plan.rounding)
    excess = _last_excess(plan, start, run, level)
    for _ in range(MAX_LEVELLINGS):
        if abs(excess) <= count // 2:
            break
        correction = round_minor(Decimal(excess) / count, plan.rounding)
        candidate = round_to_multiple(Decimal(level + correction), plan.instalment_multiple, plan.rounding)
        if candidate == level:
            break
        new_excess = _last_excess(plan, start, run, candidate)
        if abs(new_excess) >= abs(excess):
            break
        level, excess = candidate, new_excess
    return level, excess


def _last_excess(plan: Plan, start: int, run: _Run, level: int) -> int:
    """Return by how much the last instalment would differ from the level, deferred interest and balloon left aside."""
    trial = replace(run, deferred=0)
    for index in range(start, len(plan.periods) - 1):
        _instalment(plan, index, trial, level)
        trial.deferred = 0
    last = _instalment(plan, len(plan.periods) - 1, trial, level)
    return last.principal + last.interest - plan.balloon - level


def _flat_level(plan: Plan, start: int, run: _Run, periods: Sequence[Period], balance: int) -> int:
    """Return the equal share of the balance and of all the interest still to be earned."""
    trial = replace(run)
    earned = [(plan.periods[index], _earn(plan, index, trial)) for index in range(start, len(plan.periods))]
    interest = sum(amount for period, amount in earned if period.pays_principal)
    total = Decimal(balance - plan.balloon + interest + run.shortfall)
    return round_to_multiple(total / len(periods), plan.instalment_multiple, plan.rounding)


def _earn(plan: Plan, index: int, run: _Run) -> int:
    """Return the rounded interest of a period, and move the run's balances through it."""
    period = plan.periods[index]
    exact = interest_earned(plan, period, charged_on(plan, run.balance, run.paid_out))
    moved = sum(move.amount for move in plan.moves if effective_in(period, move))
    run.balance += moved
    run.paid_out += moved
    run.exact += exact
    earned = round_minor(exact, plan.rounding)
    if plan.method is Method.FLAT and plan.day_count is DayCount.NOMINAL:
        earned = _flat_share(plan, index, run, earned)
    run.earned += earned
    return earned


def _flat_share(plan: Plan, index: int, run: _Run, rounded: int) -> int:
    """Return the interest of a period of a flat loan that names no day count: such a loan fixes the interest of its term.

    No period earns more than the term has earned by its end, and the last takes what the rounding of the others left.
    """
    if index == len(plan.periods) - 1:
        return max(round_minor(run.exact, plan.rounding) - run.earned, 0)
    return min(rounded, round_minor(run.exact, RoundingMode.CEILING) - run.earned)


def _instalment(plan: Plan, index: int, run: _Run, level: int) -> Instalment:
    """Return the instalment of a period and carry the run past it."""
    period = plan.periods[index]
    balance_before, interest_base = run.balance, charged_on(plan, run.balance, run.paid_out)
    earned = _earn(plan, index, run)
    owed = run.shortfall + earned
    open_debt = run.balance + owed + run.deferred
    if index == len(plan.periods) - 1:
        principal, interest, run.shortfall = run.balance, owed, 0
    else:
        principal, interest = _split(plan, period, run.balance, owed, level)
        run.shortfall = owed - interest
    if period.pays_interest or index == len(plan.periods) - 1:
        due, run.deferred = interest + run.deferred, 0
    else:
        due, run.deferred = 0, run.deferred + interest
    run.balance -= principal
    arriving = sum(move.amount for move in plan.moves if move.on == period.to_on)
    return Instalment(
        number=period.number,
        from_on=period.from_on,
        to_on=period.to_on,
        due_on=period.due_on,
        principal=principal,
        interest=due,
        fees=_fees(plan, period, principal, due) if open_debt else 0,
        balance_before=balance_before,
        balance_after=run.balance + arriving,
        interest_base=interest_base,
        interest_earned=earned,
    )


def _fees(plan: Plan, period: Period, principal: int, interest: int) -> int:
    """Return the fees of an instalment: those of each one, and those of a day of its period."""
    charged = [fee for fee in plan.fees if fee.on is None or period.from_on < fee.on <= period.to_on]
    return sum(fee.charge(fee.of.part(principal, interest), plan.rounding) for fee in charged)


def _split(plan: Plan, period: Period, balance: int, owed: int, level: int) -> tuple[int, int]:
    """Return the principal and the interest of an instalment that is not the last."""
    if not period.pays_principal or plan.method is Method.INTEREST_ONLY:
        return 0, owed
    repayable = max(balance - plan.balloon, 0)
    if plan.method is Method.EQUAL_PRINCIPAL:
        amount = level + owed
        if plan.instalment_multiple is not None:
            amount = round_to_multiple(Decimal(amount), plan.instalment_multiple, plan.rounding)
        return min(max(amount - owed, 0), repayable), owed
    interest = min(owed, level)
    return min(level - interest, repayable), interest


def _without_empty_end(plan: Plan, rows: list[Instalment]) -> tuple[Instalment, ...]:
    """Drop the instalments that a prepayment which shortens the term has left with nothing to pay."""
    if all(move.relevel for move in plan.moves):
        return tuple(rows)
    while len(rows) > 1 and not rows[-1].principal and not rows[-1].interest:
        rows.pop()
    return tuple(rows)
