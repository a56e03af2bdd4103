"""What a running loan is charged beside its interest: instalment fees, late fees, penalty interest; and what is waived.

Invariant: a charge is made once. Penalty interest is earned day by day exactly and charged in whole minor units, so how often
it is brought up to date changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext

from domain.loans.account import LoanAccount, LoanInstalment
from domain.loans.allocation import Portion
from domain.loans.application import ServicingTerms
from domain.loans.day_count import year_share
from domain.loans.delinquency import PenaltyRate, late_fee
from domain.loans.errors import LoanTermsError
from domain.loans.frequency import Frequency, FrequencyUnit
from domain.loans.rounding import LOAN_CONTEXT, round_minor

_DAILY = Frequency(1, FrequencyUnit.DAYS)


@dataclass(frozen=True, slots=True)
class Charged:
    """The account after charges, and what they came to in minor units (negative: waived)."""

    account: LoanAccount
    fees: int = 0
    penalties: int = 0


def charge_instalment_fees(account: LoanAccount, on: date) -> Charged:
    """Charge the fees of the instalments that have fallen due by a day."""
    rows = [
        replace(each.charge(Portion.FEE, each.scheduled_fee), fee_charged=True)
        for each in account.instalments
        if each.due_on <= on and each.scheduled_fee and not each.fee_charged
    ]
    return Charged(account.with_instalments(rows), fees=sum(each.scheduled_fee for each in rows))


def charge_late_fee(account: LoanAccount, servicing: ServicingTerms, number: int, on: date) -> Charged:
    """Charge the late fee of one instalment, if it is late enough and the caps allow."""
    row = account.numbered(number)
    if row is None or account.is_paused(on):
        return Charged(account)
    fee = late_fee(
        servicing.late_fee,
        row.balance(),
        on,
        already_charged=row.late_fee_charged,
        charged_on_loan=account.late_fees_charged,
        rounding=account.schedule.plan.rounding,
    )
    if not fee:
        return Charged(account)
    charged = replace(row.charge(Portion.FEE, fee), late_fee_charged=True)
    return Charged(
        replace(account.with_instalments([charged]), late_fees_charged=account.late_fees_charged + fee), fees=fee
    )


def charge_penalties(account: LoanAccount, rate: PenaltyRate | None, on: date) -> Charged:
    """Bring penalty interest on overdue principal up to a day. Days of a pause earn none."""
    if rate is None:
        return Charged(account)
    rows, total = [], 0
    for row in account.due(on):
        charged = _with_penalty(row, rate, on, paused=account.is_paused(on))
        total += charged.penalty - row.penalty
        if charged != row:
            rows.append(charged)
    return Charged(account.with_instalments(rows), penalties=total)


def add_charge(account: LoanAccount, amount: int, on: date) -> Charged:
    """Charge a fee by hand: it falls due at once, as an instalment of its own."""
    return Charged(account.with_instalments([replace(account.demand(on), fee=amount, fee_charged=True)]), fees=amount)


def waive(account: LoanAccount, number: int, portion: Portion, amount: int) -> Charged:
    """Give up an unpaid fee or penalty of an instalment. Raises LoanTermsError."""
    row = account.numbered(number)
    if row is None or portion not in (Portion.FEE, Portion.PENALTY):
        raise LoanTermsError("instalment", "no fee or penalty is charged there.", advice="Read the schedule.")
    if not 0 < amount <= row.unpaid(portion):
        raise LoanTermsError(
            "amount", f"{row.unpaid(portion)} minor units are unpaid.", advice="Send at most what is unpaid."
        )
    waived = account.with_instalments([row.charge(portion, -amount)])
    return Charged(waived, fees=-amount) if portion is Portion.FEE else Charged(waived, penalties=-amount)


def _with_penalty(row: LoanInstalment, rate: PenaltyRate, on: date, *, paused: bool) -> LoanInstalment:
    since = row.penalty_until or row.due_on
    if on <= since:
        return row
    if paused:
        return replace(row, penalty_until=on)
    with localcontext(LOAN_CONTEXT):
        share = year_share(rate.day_count, _DAILY, regular=False, whole=(since, on), part=(since, on))
        earned = row.unpaid(Portion.PRINCIPAL) * rate.annual_rate_percent / Decimal(100) * share
        exact = row.penalty_exact + earned
        chargeable = round_minor(exact, rate.rounding) if (on - row.due_on).days > rate.grace_days else 0
    more = max(chargeable - row.penalty_charged, 0)
    return replace(
        row.charge(Portion.PENALTY, more) if more else row,
        penalty_exact=exact,
        penalty_charged=row.penalty_charged + more,
        penalty_until=on,
    )
