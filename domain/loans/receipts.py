"""Money that comes in: what it pays, what it pays ahead, and what happens when it is taken back.

What is past due or due is paid first, in the agreed order. What is left pays ahead: by default the next instalment, its
interest only as far as it is earned; anything beyond that, or all of it when an effect is named, is principal paid ahead of
the schedule, which shortens the loan or lowers its instalments and earns no more interest from that day on.

Invariant: what a repayment paid and what was overpaid add up to its amount.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from domain.loans.account import MAX_REVERSIBLE, LoanAccount, LoanInstalment, PaidPart, Repayment
from domain.loans.allocation import Allocation, InAdvance, InstalmentBalance, Portion, Strategy, allocate
from domain.loans.changes import rescheduled
from domain.loans.errors import LoanTermsError
from domain.loans.restructure import PrepaymentEffect, prepay

EFFECTS = {
    InAdvance.NEXT_INSTALMENT: None,
    InAdvance.LAST_INSTALMENT: PrepaymentEffect.REDUCE_TERM,
    InAdvance.EVENLY: PrepaymentEffect.REDUCE_INSTALMENT,
}
"""What the agreed order does with money in advance when the borrower names no effect."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money as it came in: how much (minor units), when, by which payment, from which account."""

    amount: int
    on: date
    payment_id: str
    source: str


def receive(
    account: LoanAccount, receipt: Receipt, strategy: Strategy, effect: PrepaymentEffect | None = None
) -> tuple[LoanAccount, Repayment]:
    """Return the account after a repayment, and what it paid. Penalties must be charged up to that day before."""
    on, number = receipt.on, account.repayment_count + 1
    chosen = EFFECTS[strategy.in_advance] if effect is None else effect
    if on >= account.schedule.plan.periods[-1].to_on:
        chosen = None  # all interest is earned: there is nothing left that a prepayment could save
    shared = _allocate(account, receipt, strategy, pays_next=chosen is None)
    parts = [PaidPart(part.number, part.portion, part.amount) for part in shared.parts]
    after = _paid(account, parts, on)
    left, ahead = shared.unallocated, 0
    principal = after.principal_outstanding
    if left and principal:
        ahead = min(left, principal)
        left -= ahead
        parts.append(PaidPart(0, Portion.PRINCIPAL, ahead))
        after = (
            _principal_paid_off(after, on)
            if ahead == principal or on >= after.schedule.plan.periods[-1].to_on
            else rescheduled(after, prepay(after.schedule, on, ahead, chosen or PrepaymentEffect.REDUCE_TERM), on)
        )
    if not after.principal_outstanding and account.principal_outstanding and not ahead:
        after = _principal_paid_off(after, on)
    closes = _is_settled(after, on)
    if closes and after.accrual_ended is None:
        after = replace(after, accrual_ended=after.accrued(on))
    repayment = Repayment(
        number, on, receipt.amount, receipt.payment_id, receipt.source, tuple(parts), left, closed_loan=closes
    )
    return replace(
        after,
        overpaid=after.overpaid + left,
        to_come=() if closes else after.to_come,
        withheld=() if closes else after.withheld,
        repayment_count=number,
        repayments=(*after.repayments, repayment)[-MAX_REVERSIBLE:],
    ), repayment


def is_settled(account: LoanAccount, on: date) -> bool:
    """Return whether nothing is owed any more."""
    return _is_settled(account, on)


def reverse(account: LoanAccount, number: int, on: date) -> tuple[LoanAccount, Repayment]:
    """Return the account after a repayment was taken back, and that repayment.

    What it paid of an instalment is owed again since that instalment's due date. Principal that was paid ahead, and an
    overpayment already refunded, fall due at once in an instalment of their own. Raises LoanTermsError.
    """
    found = next((each for each in account.repayments if each.number == number), None)
    if found is None or found.reversed_on is not None:
        raise LoanTermsError(
            "repayment",
            f"number {number} cannot be reversed (any more).",
            advice=f"Send one of the last {MAX_REVERSIBLE} that is not reversed yet.",
        )
    demand = account.demand(on)
    changed: dict[int, LoanInstalment] = {}
    for part in found.parts:
        row, rest = changed.get(part.number) or account.numbered(part.number), part.amount
        if row is not None:
            back = min(rest, getattr(row, f"paid_{part.portion.value}"))
            changed[part.number] = row.pay(part.portion, -back, on)
            rest -= back
        demand = demand.charge(part.portion, rest)
    kept = min(account.overpaid, found.overpaid)
    demand = demand.charge(Portion.PRINCIPAL, found.overpaid - kept)
    rows = [*changed.values(), *([demand] if demand.total_unpaid else [])]
    undone = replace(found, reversed_on=on)
    return replace(
        account.with_instalments(rows),
        overpaid=account.overpaid - kept,
        interest_settled=account.interest_settled - found.total(Portion.INTEREST),
        repayments=tuple(undone if each.number == number else each for each in account.repayments),
    ), undone


def _allocate(account: LoanAccount, receipt: Receipt, strategy: Strategy, *, pays_next: bool) -> Allocation:
    balances = [each.balance() for each in account.due(receipt.on)]
    upcoming = account.upcoming(receipt.on)
    if upcoming is not None:
        balances.append(
            InstalmentBalance(
                upcoming.number,
                upcoming.due_on,
                upcoming.unpaid(Portion.PRINCIPAL) if pays_next else 0,
                account.interest_in_advance(receipt.on),
                upcoming.unpaid(Portion.FEE),
                upcoming.unpaid(Portion.PENALTY),
            )
        )
    return allocate(receipt.amount, receipt.on, balances, strategy)


def _paid(account: LoanAccount, parts: Iterable[PaidPart], on: date) -> LoanAccount:
    changed: dict[int, LoanInstalment] = {}
    interest = 0
    for part in parts:
        row = changed.get(part.number) or account.numbered(part.number)
        if row is None:
            raise LoanTermsError("number", f"there is no instalment {part.number}.", advice="Read the schedule.")
        changed[part.number] = row.pay(part.portion, part.amount, on)
        interest += part.amount if part.portion is Portion.INTEREST else 0
    return replace(account.with_instalments(changed.values()), interest_settled=account.interest_settled + interest)


def _principal_paid_off(account: LoanAccount, on: date) -> LoanAccount:
    """Nothing bears interest any more: instalments still to come keep what was paid of them, and what is earned is due."""
    earned = account.accrued(on)
    rows = [
        replace(each, principal=each.paid_principal, interest=each.paid_interest, scheduled_fee=0, paid_on=on)
        if each.due_on > on
        else replace(each, principal=each.paid_principal)
        for each in account.instalments
    ]
    settled = replace(account, instalments=tuple(rows), accrual_ended=earned)
    rest, upcoming = settled.interest_in_advance(on), settled.upcoming(on)
    if rest and upcoming is not None:
        settled = settled.with_instalments([replace(upcoming, interest=upcoming.paid_interest + rest, paid_on=None)])
    return settled


def _is_settled(account: LoanAccount, on: date) -> bool:
    return account.owed(on).total == 0
