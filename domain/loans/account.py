"""A running loan: its schedule, and what of it was charged, paid, waived and carried over.

Invariants
- The unpaid principal of all instalments is what the borrower owes; prepayments change the schedule, never the past.
- Interest owed is what was accrued less what was paid of it; nobody pays interest that is not earned yet.
- Everything is a value: each change returns another account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from domain.loans.allocation import InstalmentBalance, Portion
from domain.loans.amortization import schedule_of
from domain.loans.delinquency import Delinquency, delinquency_on
from domain.loans.schedule import Schedule, plan_of
from domain.loans.segments import AccrualSegment, accrued_by, segments_from
from domain.loans.terms import BalanceMove, LoanTerms

SEGMENT_PERIODS = 3
"""Accrual periods a database knows ahead: it goes on for so many due dates without the loan's workflow."""
FIRST_DEMAND = 10_000
"""Numbers above it belong to instalments beside the schedule, due at once; no schedule has so many."""
MAX_REVERSIBLE = 36
"""Repayments whose allocation is kept, newest last: only these can be reversed."""


@dataclass(frozen=True, slots=True)
class LoanInstalment:
    """What falls due on a day and what was paid of it, in minor units.

    `scheduled_fee` is charged when the instalment falls due; `fee` is what was charged, late fees included.
    `penalty_exact` is the penalty interest earned by `penalty_until`, of which `penalty_charged` was ever charged.
    """

    number: int
    due_on: date
    principal: int = 0
    interest: int = 0
    scheduled_fee: int = 0
    fee: int = 0
    penalty: int = 0
    paid_principal: int = 0
    paid_interest: int = 0
    paid_fee: int = 0
    paid_penalty: int = 0
    fee_charged: bool = False
    late_fee_charged: bool = False
    penalty_exact: Decimal = Decimal(0)
    penalty_charged: int = 0
    penalty_until: date | None = None
    paid_on: date | None = None

    def unpaid(self, portion: Portion) -> int:
        """Return what is unpaid of a portion."""
        return int(getattr(self, portion.value)) - int(getattr(self, f"paid_{portion.value}"))

    @property
    def total_unpaid(self) -> int:
        """Return all that is unpaid."""
        return sum(self.unpaid(portion) for portion in Portion)

    def pay(self, portion: Portion, amount: int, on: date) -> LoanInstalment:
        """Return the instalment with more of a portion paid (less, for a negative amount)."""
        paid = {f"paid_{portion.value}": getattr(self, f"paid_{portion.value}") + amount}
        changed = replace(self, **paid)
        return replace(changed, paid_on=on if changed.total_unpaid == 0 else None)

    def charge(self, portion: Portion, amount: int) -> LoanInstalment:
        """Return the instalment with more of a portion owed (less, for a negative amount)."""
        changed = replace(self, **{portion.value: getattr(self, portion.value) + amount})
        return replace(changed, paid_on=self.paid_on if changed.total_unpaid == 0 else None)

    def balance(self) -> InstalmentBalance:
        """Return what is unpaid, as allocation takes it."""
        return InstalmentBalance(
            self.number,
            self.due_on,
            self.unpaid(Portion.PRINCIPAL),
            self.unpaid(Portion.INTEREST),
            self.unpaid(Portion.FEE),
            self.unpaid(Portion.PENALTY),
        )


@dataclass(frozen=True, slots=True)
class PaidPart:
    """What a repayment paid of one portion of one instalment; `number` 0 is principal ahead of the schedule."""

    number: int
    portion: Portion
    amount: int


@dataclass(frozen=True, slots=True)
class Repayment:
    """Money that came in, and what it paid. `payment_id` is the payment that brought it, `source` where it came from."""

    number: int
    on: date
    amount: int
    payment_id: str
    source: str
    parts: tuple[PaidPart, ...]
    overpaid: int = 0
    closed_loan: bool = False
    reversed_on: date | None = None

    def total(self, portion: Portion) -> int:
        """Return what was paid of a portion."""
        return sum(part.amount for part in self.parts if part.portion is portion)


@dataclass(frozen=True, slots=True)
class Owed:
    """What is owed on a day, in minor units. `interest` is what is accrued and unpaid, due or not."""

    principal: int
    interest: int
    fees: int
    penalties: int

    @property
    def total(self) -> int:
        """Return all of it: what pays the loan off on that day."""
        return self.principal + self.interest + self.fees + self.penalties


@dataclass(frozen=True, slots=True)
class LoanAccount:
    """A loan that was paid out.

    `accrued_before`: interest accrued before the present plan began. `interest_settled`: interest paid, waived or capitalized.
    `accrual_ended`: set once nothing more is earned (paid off or written off), to the interest accrued in all.
    `to_come`: tranches agreed and not paid out yet; nothing of them is owed, so the schedule knows them only once they are.
    `withheld`: those whose day has passed without a payout; a person decides.
    """

    schedule: Schedule
    instalments: tuple[LoanInstalment, ...]
    accrued_before: int = 0
    interest_settled: int = 0
    accrual_ended: int | None = None
    late_fees_charged: int = 0
    overpaid: int = 0
    repayments: tuple[Repayment, ...] = ()
    repayment_count: int = 0
    charged_off_on: date | None = None
    paused_until: date | None = None
    to_come: tuple[BalanceMove, ...] = ()
    withheld: tuple[BalanceMove, ...] = ()

    @classmethod
    def open(cls, terms: LoanTerms) -> LoanAccount:
        """Return the account of a loan whose first payout is on `terms.disbursed_on`; tranches join when they are paid out."""
        schedule = schedule_of(plan_of(replace(terms, tranches=())))
        return cls(
            schedule, tuple(_scheduled(schedule)), to_come=tuple(sorted(terms.tranches, key=lambda each: each.on))
        )

    @classmethod
    def promised(cls, terms: LoanTerms) -> LoanAccount:
        """Return the account that the terms promise, every tranche paid out on its day: what is offered, not what is owed."""
        schedule = schedule_of(plan_of(terms))
        return cls(schedule, tuple(_scheduled(schedule)))

    def accrued(self, on: date) -> int:
        """Return all the interest accrued by a day."""
        if self.accrual_ended is not None:
            return self.accrual_ended
        return accrued_by(self.schedule, on, self.accrued_before)

    def segments(self, on: date) -> tuple[AccrualSegment, ...]:
        """Return what the daily accrual needs from a day on."""
        if self.accrual_ended is not None:
            return ()
        return segments_from(self.schedule, on, self.accrued_before, SEGMENT_PERIODS)

    @property
    def principal_outstanding(self) -> int:
        """Return the principal that is not paid."""
        return sum(each.unpaid(Portion.PRINCIPAL) for each in self.instalments)

    def interest_outstanding(self, on: date) -> int:
        """Return the interest accrued by a day and not settled."""
        return self.accrued(on) - self.interest_settled

    def owed(self, on: date) -> Owed:
        """Return what pays the loan off on a day."""
        return Owed(
            self.principal_outstanding,
            self.interest_outstanding(on),
            sum(each.unpaid(Portion.FEE) for each in self.instalments),
            sum(each.unpaid(Portion.PENALTY) for each in self.instalments),
        )

    def due(self, on: date) -> tuple[LoanInstalment, ...]:
        """Return the instalments due by a day that are not paid."""
        return tuple(each for each in self.instalments if each.due_on <= on and each.total_unpaid)

    def amount_due(self, on: date) -> int:
        """Return what is due by a day and not paid."""
        return sum(each.total_unpaid for each in self.due(on))

    def upcoming(self, on: date) -> LoanInstalment | None:
        """Return the first instalment due after a day."""
        return next((each for each in self.instalments if each.due_on > on), None)

    def interest_in_advance(self, on: date) -> int:
        """Return the interest accrued by a day that is not due yet and not settled."""
        due = sum(each.unpaid(Portion.INTEREST) for each in self.instalments if each.due_on <= on)
        return max(self.interest_outstanding(on) - due, 0)

    def delinquency(self, on: date) -> Delinquency:
        """Return how late the loan is on a day."""
        return delinquency_on([each.balance() for each in self.instalments if each.due_on < on], on)

    def is_paused(self, on: date) -> bool:
        """Return whether collections and charges rest on a day."""
        return self.paused_until is not None and on < self.paused_until

    def numbered(self, number: int) -> LoanInstalment | None:
        """Return an instalment by its number."""
        return next((each for each in self.instalments if each.number == number), None)

    def demand(self, on: date) -> LoanInstalment:
        """Return an empty instalment beside the schedule, due at once: for what a returned payment or a charge makes due."""
        made = sum(each.number > FIRST_DEMAND for each in self.instalments)
        return LoanInstalment(FIRST_DEMAND + made + 1, on)

    def with_instalments(self, changed: Iterable[LoanInstalment]) -> LoanAccount:
        """Return the account with some instalments replaced, or added in the order of their due dates."""
        rows = {each.number: each for each in self.instalments} | {each.number: each for each in changed}
        return replace(self, instalments=tuple(sorted(rows.values(), key=lambda each: (each.due_on, each.number))))

    def changed_since(self, before: LoanAccount | None) -> tuple[LoanInstalment, ...]:
        """Return the instalments that are not as they were."""
        known = set() if before is None else set(before.instalments)
        return tuple(each for each in self.instalments if each not in known)

    def dropped_since(self, before: LoanAccount | None) -> tuple[int, ...]:
        """Return the numbers of instalments that are no more."""
        numbers = {each.number for each in self.instalments}
        return () if before is None else tuple(e.number for e in before.instalments if e.number not in numbers)


def _scheduled(schedule: Schedule) -> list[LoanInstalment]:
    return [
        LoanInstalment(row.number, row.due_on, row.principal, row.interest, row.fees)
        for row in schedule.all_instalments
    ]
