"""The schedule: the periods a loan runs through, and the instalments that fall due at their ends.

Invariant: the principal of all instalments adds up to what was paid out less what was prepaid, and the last one ends at
zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from domain.loans.business_days import AccrualEnd, BusinessDays
from domain.loans.day_count import DayCount
from domain.loans.frequency import Frequency
from domain.loans.rounding import RoundingMode
from domain.loans.terms import BalanceMove, Fee, FeeWhen, LoanTerms, Method, RateStep


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch that earns interest: after `from_on`, up to and including `to_on`; paid on `due_on`.

    `regular`: exactly one step of the frequency. The three flags are graces: what the instalment spares the borrower.
    """

    number: int
    from_on: date
    to_on: date
    due_on: date
    regular: bool = True
    pays_principal: bool = True
    pays_interest: bool = True
    bears_interest: bool = True


@dataclass(frozen=True, slots=True)
class Instalment:
    """What falls due on `due_on`, in minor units. `interest_earned` is what its period earned, which a grace may defer.

    `balance_before` is the principal owed as its period begins, before moves of that day; `interest_base` is what interest
    is charged on then; `balance_after` is owed at the end of the due day, tranches paid out that day included.
    """

    number: int
    from_on: date
    to_on: date
    due_on: date
    principal: int
    interest: int
    fees: int
    balance_before: int
    balance_after: int
    interest_base: int
    interest_earned: int

    @property
    def amount(self) -> int:
        """Return all that is due: principal, interest and fees."""
        return self.principal + self.interest + self.fees


@dataclass(frozen=True, slots=True)
class DueDates:
    """When instalments fall due before holidays move them: number `number` on `on`, the others whole steps from it."""

    every: Frequency
    number: int
    on: date
    business_days: BusinessDays

    def nominal(self, number: int) -> date:
        """Return the due date of an instalment before the business-day convention."""
        return self.every.step(self.on, number - self.number)

    def periods(self, start: date, first_number: int, count: int, *, first_regular: bool = True) -> tuple[Period, ...]:
        """Return `count` periods from `start` on, the first of them number `first_number`."""
        periods = []
        from_on, nominal_from = start, start
        for number in range(first_number, first_number + count):
            nominal = self.nominal(number)
            due_on = self.business_days.adjust(nominal)
            to_on = due_on if self.business_days.accrual_end is AccrualEnd.MOVED else nominal
            regular = (from_on, to_on) == (nominal_from, nominal) and (number > first_number or first_regular)
            periods.append(Period(number, from_on, to_on, due_on, regular))
            from_on, nominal_from = to_on, nominal
        return tuple(periods)


@dataclass(frozen=True, slots=True)
class Plan:
    """A loan from one day on, ready to be turned into instalments: at the start, or what is left after a change.

    `opening_interest` is unpaid interest from before, due on top of the first instalment that pays interest.
    `opening_paid_out` is what flat interest is charged on (the opening principal unless given). `level` is an instalment
    amount to keep; without it, it is calculated. `balloon` is left for the last instalment.
    """

    currency: str
    opening_principal: int
    periods: tuple[Period, ...]
    rates: tuple[RateStep, ...]
    method: Method
    due_dates: DueDates
    day_count: DayCount = DayCount.NOMINAL
    rounding: RoundingMode = RoundingMode.HALF_EVEN
    moves: tuple[BalanceMove, ...] = ()
    instalment_multiple: int | None = None
    balloon: int = 0
    fees: tuple[Fee, ...] = ()
    opening_interest: int = 0
    opening_paid_out: int | None = None
    level: int | None = None

    @property
    def every(self) -> Frequency:
        """Return how often an instalment falls due."""
        return self.due_dates.every

    def rate_on(self, on: date) -> Decimal:
        """Return the annual rate in percent of the interest that ends on that day."""
        rate = self.rates[0].annual_rate_percent
        for step in self.rates:
            if step.effective_on <= on:
                rate = step.annual_rate_percent
        return rate


@dataclass(frozen=True, slots=True)
class Schedule:
    """The instalments of a loan. `past` came before the last change of its terms and no longer move; `plan` made the rest."""

    plan: Plan
    instalments: tuple[Instalment, ...]
    past: tuple[Instalment, ...] = ()

    @property
    def all_instalments(self) -> tuple[Instalment, ...]:
        """Return every instalment since the loan began."""
        return self.past + self.instalments

    @property
    def total_interest(self) -> int:
        """Return the interest of all instalments in minor units."""
        return sum(row.interest for row in self.all_instalments)

    @property
    def total_fees(self) -> int:
        """Return the fees of all instalments in minor units; those withheld from the money paid out are not in them."""
        return sum(row.fees for row in self.all_instalments)


def due_dates_of(terms: LoanTerms) -> DueDates:
    """Return the due dates of a new loan: from `first_due_on`, or one period after the money is paid out."""
    if terms.first_due_on is not None:
        return DueDates(terms.every, 1, terms.first_due_on, terms.business_days)
    return DueDates(terms.every, 0, terms.disbursed_on, terms.business_days)


def plan_of(terms: LoanTerms) -> Plan:
    """Return the plan of a new loan."""
    due_dates = due_dates_of(terms)
    regular = due_dates.nominal(1) == terms.every.step(terms.disbursed_on, 1)
    periods = due_dates.periods(terms.disbursed_on, 1, terms.instalments, first_regular=regular)
    grace = terms.grace
    return Plan(
        currency=terms.currency,
        opening_principal=terms.principal,
        periods=tuple(
            replace(
                period,
                pays_principal=period.number > grace.principal,
                pays_interest=period.number > grace.interest,
                bears_interest=period.number > grace.interest_free,
            )
            for period in periods
        ),
        rates=(
            RateStep(terms.disbursed_on, terms.annual_rate_percent),
            *sorted(terms.rate_changes, key=lambda step: step.effective_on),
        ),
        method=terms.method,
        due_dates=due_dates,
        day_count=terms.day_count,
        rounding=terms.rounding,
        moves=tuple(sorted(terms.tranches, key=lambda move: move.on)),
        instalment_multiple=terms.instalment_multiple,
        balloon=terms.balloon,
        fees=tuple(fee for fee in terms.fees if fee.when is FeeWhen.INSTALMENT),
    )
