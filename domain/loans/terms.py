"""The terms of a loan: what is lent, when, at what rate, and how it is paid back.

Invariant: terms are immutable and complete; the same terms always give the same schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from domain.loans.business_days import BusinessDays
from domain.loans.day_count import DayCount
from domain.loans.frequency import Frequency
from domain.loans.rounding import LOAN_CONTEXT, RoundingMode, round_minor

MAX_INSTALMENTS = 2_700
"""Fifty years of weekly instalments."""
MAX_RATE_PERCENT = Decimal(10_000)
MAX_EVENTS = 240
"""Tranches and rate changes of one loan."""


class Method(StrEnum):
    """How principal and interest are spread over the instalments. Values are the names used in a quote."""

    ANNUITY = "annuity"
    EQUAL_PRINCIPAL = "equal_principal"
    FLAT = "flat"
    INTEREST_ONLY = "interest_only"


@dataclass(frozen=True, slots=True)
class BalanceMove:
    """Principal that joins the balance on a day (a tranche), or leaves it outside the schedule (negative: a prepayment).

    A move on a due date counts after that instalment. `relevel` says whether the instalments after it are set anew.
    """

    on: date
    amount: int
    relevel: bool = True


@dataclass(frozen=True, slots=True)
class RateStep:
    """An annual rate in percent, for the interest of day `effective_on` and every day after it."""

    effective_on: date
    annual_rate_percent: Decimal


@dataclass(frozen=True, slots=True)
class Grace:
    """Numbers of first instalments that are spared.

    `principal`: only interest is paid. `interest`: interest is earned but falls due, not compounded, on top of the first
    instalment after the grace; the balance falls as without it. `interest_free`: no interest is earned at all.
    """

    principal: int = 0
    interest: int = 0
    interest_free: int = 0


class FeeWhen(StrEnum):
    """What a fee is charged with."""

    UPFRONT = "upfront"
    DISBURSEMENT = "disbursement"
    INSTALMENT = "instalment"


class FeeBase(StrEnum):
    """What of an instalment a percentage is taken of."""

    PRINCIPAL_AND_INTEREST = "principal_and_interest"
    PRINCIPAL = "principal"
    INTEREST = "interest"

    def part(self, principal: int, interest: int) -> int:
        """Return the part of an instalment, in minor units, that the percentage is taken of."""
        match self:
            case FeeBase.PRINCIPAL_AND_INTEREST:
                return principal + interest
            case FeeBase.PRINCIPAL:
                return principal
            case FeeBase.INTEREST:
                return interest


@dataclass(frozen=True, slots=True)
class Fee:
    """A fixed amount in minor units, or a percentage, charged once upfront, with each disbursement, or each instalment.

    A percentage is of what is paid out that day; of an instalment, what `of` says. Upfront and disbursement fees are
    withheld from the money paid out (a prepaid finance charge of Regulation Z): they raise the annual percentage rate and
    leave the schedule alone. An instalment fee is paid on top of each instalment; with `on`, once, on top of the first one
    that falls due on that day or after it.
    """

    when: FeeWhen
    amount: int = 0
    percent: Decimal = Decimal(0)
    name: str = "fee"
    of: FeeBase = FeeBase.PRINCIPAL_AND_INTEREST
    on: date | None = None

    def charge(self, base: int, rounding: RoundingMode) -> int:
        """Return the fee in minor units for a base amount in minor units."""
        return self.amount + round_minor(LOAN_CONTEXT.multiply(Decimal(base), self.percent.scaleb(-2)), rounding)


@dataclass(frozen=True, slots=True)
class LoanTerms:
    """All that is agreed. Amounts in minor units of `currency`; `tranches` come after `principal` on `disbursed_on`."""

    principal: int
    currency: str
    annual_rate_percent: Decimal
    instalments: int
    every: Frequency
    disbursed_on: date
    method: Method
    day_count: DayCount = DayCount.NOMINAL
    rounding: RoundingMode = RoundingMode.HALF_EVEN
    instalment_multiple: int | None = None
    first_due_on: date | None = None
    tranches: tuple[BalanceMove, ...] = ()
    rate_changes: tuple[RateStep, ...] = ()
    fees: tuple[Fee, ...] = ()
    grace: Grace = field(default_factory=Grace)
    balloon: int = 0
    business_days: BusinessDays = field(default_factory=BusinessDays)

    @property
    def lent(self) -> int:
        """Return all that is agreed to be paid out, fees withheld included."""
        return self.principal + sum(move.amount for move in self.tranches)

    def withheld(self, amount: int, *, first: bool) -> int:
        """Return the fees kept back from a payout of `amount`; those charged upfront only from the first."""
        charged = (FeeWhen.UPFRONT, FeeWhen.DISBURSEMENT) if first else (FeeWhen.DISBURSEMENT,)
        return sum(fee.charge(amount, self.rounding) for fee in self.fees if fee.when in charged)
