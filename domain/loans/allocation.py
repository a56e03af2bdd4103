"""Allocating a repayment: which instalment's penalty, fee, interest or principal it pays, in which order.

Invariant: what is allocated and what is left over add up to the repayment, and no balance is paid more than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from itertools import groupby, product

from domain.loans.errors import LoanTermsError


class Timing(StrEnum):
    """When an instalment falls due, seen from the day of the repayment: before it, on it, after it."""

    PAST_DUE = "past_due"
    DUE = "due"
    IN_ADVANCE = "in_advance"


class Portion(StrEnum):
    """What a part of an instalment is owed for."""

    PENALTY = "penalty"
    FEE = "fee"
    INTEREST = "interest"
    PRINCIPAL = "principal"


class Sweep(StrEnum):
    """`horizontal` pays all portions of one instalment before the next; `vertical` one portion of all, then the next."""

    HORIZONTAL = "horizontal"
    VERTICAL = "vertical"


class InAdvance(StrEnum):
    """Which instalments not yet due a repayment goes to first: the next, the last, or all in equal shares."""

    NEXT_INSTALMENT = "next_instalment"
    LAST_INSTALMENT = "last_instalment"
    EVENLY = "evenly"


@dataclass(frozen=True, slots=True)
class InstalmentBalance:
    """What is still unpaid of an instalment, in minor units. Interest in advance is what has been earned so far."""

    number: int
    due_on: date
    principal: int = 0
    interest: int = 0
    fee: int = 0
    penalty: int = 0

    def of(self, portion: Portion) -> int:
        """Return what is unpaid of one portion."""
        unpaid = {
            Portion.PENALTY: self.penalty,
            Portion.FEE: self.fee,
            Portion.INTEREST: self.interest,
            Portion.PRINCIPAL: self.principal,
        }
        return unpaid[portion]

    def less(self, portion: Portion, amount: int) -> InstalmentBalance:
        """Return the balance with one portion paid down."""
        match portion:
            case Portion.PENALTY:
                return replace(self, penalty=self.penalty - amount)
            case Portion.FEE:
                return replace(self, fee=self.fee - amount)
            case Portion.INTEREST:
                return replace(self, interest=self.interest - amount)
            case Portion.PRINCIPAL:
                return replace(self, principal=self.principal - amount)

    def timing(self, on: date) -> Timing:
        """Return when the instalment falls due, seen from a day."""
        if self.due_on < on:
            return Timing.PAST_DUE
        return Timing.DUE if self.due_on == on else Timing.IN_ADVANCE


Step = tuple[Timing, Portion]

DEFAULT_ORDER: tuple[Step, ...] = tuple(
    product(Timing, (Portion.PENALTY, Portion.FEE, Portion.INTEREST, Portion.PRINCIPAL))
)
"""What is oldest first, and of that what costs most: penalty, fee, interest, principal."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """The agreed order: each pair of timing and portion exactly once. Raises LoanTermsError otherwise."""

    order: tuple[Step, ...] = DEFAULT_ORDER
    sweep: Sweep = Sweep.HORIZONTAL
    in_advance: InAdvance = InAdvance.NEXT_INSTALMENT

    def __post_init__(self) -> None:
        if sorted(self.order) != sorted(product(Timing, Portion)):
            raise LoanTermsError(
                "order",
                "it does not name each timing with each portion exactly once.",
                advice="Send all twelve: past_due, due and in_advance with penalty, fee, interest and principal.",
            )


@dataclass(frozen=True, slots=True)
class AllocatedPart:
    """A part of a repayment, in minor units, and what it pays."""

    number: int
    timing: Timing
    portion: Portion
    amount: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """What a repayment pays, in order; the balances after it; and what nothing was left to pay with: an overpayment."""

    parts: tuple[AllocatedPart, ...]
    balances: tuple[InstalmentBalance, ...]
    unallocated: int

    def total(self, portion: Portion) -> int:
        """Return what was paid of one portion over all instalments."""
        return sum(part.amount for part in self.parts if part.portion is portion)


def allocate(
    amount: int, on: date, balances: Sequence[InstalmentBalance], strategy: Strategy | None = None
) -> Allocation:
    """Return how a repayment of `amount` minor units made on a day is allocated.

    Horizontally, the portions that follow each other in the order with one timing are paid instalment by instalment, the
    oldest first. Raises LoanTermsError for an amount that is not positive.
    """
    if amount <= 0:
        raise LoanTermsError("amount", "it is not greater than zero.", advice="Send an amount greater than zero.")
    agreed = strategy or Strategy()
    desk = _Desk(amount, on, sorted(balances, key=lambda each: (each.due_on, each.number)))
    for timing, portions in _groups(agreed):
        if timing is Timing.IN_ADVANCE and agreed.in_advance is InAdvance.EVENLY:
            desk.pay_evenly(timing, portions)
        else:
            backwards = timing is Timing.IN_ADVANCE and agreed.in_advance is InAdvance.LAST_INSTALMENT
            desk.pay(timing, portions, backwards=backwards)
    return Allocation(tuple(desk.parts), tuple(desk.balances), desk.left)


def _groups(strategy: Strategy) -> Iterable[tuple[Timing, tuple[Portion, ...]]]:
    if strategy.sweep is Sweep.VERTICAL:
        return [(timing, (portion,)) for timing, portion in strategy.order]
    return [
        (timing, tuple(portion for _, portion in steps))
        for timing, steps in groupby(strategy.order, key=lambda step: step[0])
    ]


class _Desk:
    """One repayment being paid out over the balances."""

    def __init__(self, amount: int, on: date, balances: list[InstalmentBalance]) -> None:
        self.left, self.on, self.balances = amount, on, balances
        self.parts: list[AllocatedPart] = []

    def pay(self, timing: Timing, portions: Sequence[Portion], *, backwards: bool = False) -> None:
        for index in reversed(self._indices(timing)) if backwards else self._indices(timing):
            for portion in portions:
                self._pay_one(index, timing, portion, self.left)

    def pay_evenly(self, timing: Timing, portions: Sequence[Portion]) -> None:
        """Pay each portion in equal shares; what one instalment does not need is shared among the others."""
        for portion in portions:
            open_ones = [index for index in self._indices(timing) if self.balances[index].of(portion)]
            open_ones.sort(key=lambda index: self.balances[index].of(portion))
            for position, index in enumerate(open_ones):
                self._pay_one(index, timing, portion, self.left // (len(open_ones) - position))

    def _indices(self, timing: Timing) -> list[int]:
        return [index for index, balance in enumerate(self.balances) if balance.timing(self.on) is timing]

    def _pay_one(self, index: int, timing: Timing, portion: Portion, most: int) -> None:
        balance = self.balances[index]
        paid = min(balance.of(portion), most)
        if paid:
            self.left -= paid
            self.balances[index] = balance.less(portion, paid)
            self.parts.append(AllocatedPart(balance.number, timing, portion, paid))
