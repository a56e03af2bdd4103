"""What a running loan has to do on which day: remind, fall due, collect again, charge late, note lateness, pay out more.

Invariant: the agenda follows from the account alone; nothing is stored, so a change of terms can leave no stale entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from domain.loans.account import LoanAccount, LoanInstalment
from domain.loans.allocation import Portion
from domain.loans.application import ServicingTerms
from domain.loans.delinquency import BUCKET_STARTS


class DayEventKind(StrEnum):
    """What happens on a day, in the order in which it happens."""

    REMIND = "remind"
    RESUME = "resume"
    FALL_DUE = "fall_due"
    COLLECT_AGAIN = "collect_again"
    CHARGE_LATE_FEE = "charge_late_fee"
    ENTER_BUCKET = "enter_bucket"
    PAY_OUT = "pay_out"


@dataclass(frozen=True, slots=True)
class DayEvent:
    """One thing to do on a day. `number` is the instalment it is about (0: the loan)."""

    on: date
    kind: DayEventKind
    number: int = 0


_ORDER = {kind: position for position, kind in enumerate(DayEventKind)}


def next_day(account: LoanAccount, servicing: ServicingTerms, after: date) -> tuple[DayEvent, ...]:
    """Return all events of the first day after `after` that has any, in order; none when nothing is to come."""
    found: list[DayEvent] = []
    first: date | None = None
    for row in account.instalments:
        if first is not None and row.due_on - timedelta(days=max(servicing.reminder_days, default=0)) > first:
            break
        if not row.total_unpaid and not (row.scheduled_fee and not row.fee_charged):
            continue
        for event in _of_instalment(row, servicing):
            if event.on > after and (first is None or event.on <= first):
                first = event.on
                found.append(event)
    for event in (*_of_loan(account), *_of_tranches(account, after)):
        if (event.on > after or event.kind is DayEventKind.PAY_OUT) and (first is None or event.on <= first):
            first = event.on
            found.append(event)
    return tuple(sorted((e for e in found if e.on == first), key=lambda e: (_ORDER[e.kind], e.number)))


def _of_instalment(row: LoanInstalment, servicing: ServicingTerms) -> list[DayEvent]:
    late = servicing.late_fee
    events = [
        DayEvent(row.due_on - timedelta(days=days), DayEventKind.REMIND, row.number)
        for days in servicing.reminder_days
        if days
    ]
    events.append(DayEvent(row.due_on, DayEventKind.FALL_DUE, row.number))
    events += [
        DayEvent(row.due_on + timedelta(days=days), DayEventKind.COLLECT_AGAIN, row.number)
        for days in servicing.retry_days
        if days
    ]
    if (late.amount or late.percent) and not row.late_fee_charged:
        on = row.due_on + timedelta(days=late.grace_days + 1)
        events.append(DayEvent(on, DayEventKind.CHARGE_LATE_FEE, row.number))
    return events


def _of_tranches(account: LoanAccount, after: date) -> list[DayEvent]:
    """A tranche whose day was over before the loan could be paid out at all is paid out with the present day."""
    return [DayEvent(max(each.on, after), DayEventKind.PAY_OUT) for each in account.to_come[:1]]


def _of_loan(account: LoanAccount) -> list[DayEvent]:
    events = []
    if account.paused_until is not None:
        events.append(DayEvent(account.paused_until, DayEventKind.RESUME))
    oldest = next((row for row in account.instalments if row.total_unpaid), None)
    if oldest is not None and oldest.unpaid(Portion.PRINCIPAL) + oldest.unpaid(Portion.INTEREST):
        events += [
            DayEvent(oldest.due_on + timedelta(days=start), DayEventKind.ENTER_BUCKET) for start in BUCKET_STARTS
        ]
    return events
