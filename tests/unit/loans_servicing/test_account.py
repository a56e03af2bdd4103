"""The account of a running loan: properties that hold whatever is paid, whenever, on whatever terms."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.loans.account import LoanAccount
from domain.loans.agenda import DayEventKind, next_day
from domain.loans.allocation import InAdvance, Portion, Strategy
from domain.loans.changes import Restructure, RestructureKind, restructure
from domain.loans.charges import charge_late_fee, charge_penalties, waive
from domain.loans.day_count import DayCount
from domain.loans.errors import LoanTermsError
from domain.loans.frequency import Frequency
from domain.loans.receipts import Receipt, is_settled, receive, reverse
from domain.loans.restructure import PrepaymentEffect
from domain.loans.servicing import daily_accrual
from domain.loans.terms import LoanTerms, Method
from tests.support.loan_world import START, strict_servicing, terms

some_terms = st.builds(
    terms,
    principal=st.integers(10_000, 5_000_000),
    annual_rate_percent=st.decimals("0", "30", places=3),
    instalments=st.integers(2, 24),
    every=st.sampled_from([Frequency.parse(each) for each in ("1 month", "2 weeks", "half month", "quarterly")]),
    method=st.sampled_from(Method),
    day_count=st.sampled_from(DayCount),
)


@settings(max_examples=60, deadline=None)
@given(agreed=some_terms)
def test_each_day_accrues_what_the_schedule_earns_and_the_life_adds_up(agreed: LoanTerms) -> None:
    """Where what is earned falls on exactly half a unit, the two may round it apart for that day, never for the period."""
    account = LoanAccount.open(agreed)
    day, by_day = START, 0
    ends = {row.to_on for row in account.schedule.instalments}
    while day < max(ends):
        day += timedelta(days=1)
        by_day += daily_accrual(account.schedule, day)
        assert abs(account.accrued(day) - by_day) <= (0 if day in ends else 1)
    assert by_day == account.schedule.total_interest


@settings(max_examples=60, deadline=None)
@given(agreed=some_terms, data=st.data())
def test_segments_say_the_same_as_the_account(agreed: LoanTerms, data: st.DataObject) -> None:
    account = LoanAccount.open(agreed)
    last = (account.schedule.instalments[-1].to_on - START).days
    day = START + timedelta(days=data.draw(st.integers(0, last - 1)))
    for segment in account.segments(day):
        assert segment.accrued_by(segment.to_on, agreed.rounding) == account.accrued(segment.to_on)


@settings(max_examples=120, deadline=None)
@given(
    agreed=some_terms,
    payments=st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 400_000), st.sampled_from([None, *PrepaymentEffect])), max_size=12
    ),
    in_advance=st.sampled_from(InAdvance),
)
def test_whatever_is_paid_nothing_is_lost_and_nothing_is_paid_twice(
    agreed: LoanTerms, payments: list[tuple[int, int, PrepaymentEffect | None]], in_advance: InAdvance
) -> None:
    account, on, paid_interest = LoanAccount.open(agreed), START, 0
    for days, amount, effect in payments:
        on += timedelta(days=days)
        if is_settled(account, on):
            break
        owed = account.owed(on)
        account, repayment = receive(
            account, Receipt(amount, on, "pay", "borrower"), Strategy(in_advance=in_advance), effect
        )
        assert sum(part.amount for part in repayment.parts) + repayment.overpaid == amount
        assert repayment.overpaid == max(amount - owed.total, 0)
        after = account.owed(on)
        assert after.principal == owed.principal - repayment.total(Portion.PRINCIPAL)
        assert after.interest == owed.interest - repayment.total(Portion.INTEREST)
        assert min(each.unpaid(portion) for each in account.instalments for portion in Portion) >= 0
        paid_interest += repayment.total(Portion.INTEREST)
    assert paid_interest == account.interest_settled


@settings(max_examples=80, deadline=None)
@given(agreed=some_terms, day=st.integers(0, 200), amount=st.integers(1, 6_000_000), data=st.data())
def test_a_repayment_taken_back_restores_what_is_owed(
    agreed: LoanTerms, day: int, amount: int, data: st.DataObject
) -> None:
    account, on = LoanAccount.open(agreed), START + timedelta(days=day)
    before = account.owed(on)
    effect = data.draw(st.sampled_from([None, *PrepaymentEffect]))
    paid, repayment = receive(account, Receipt(amount, on, "pay", "borrower"), Strategy(), effect)
    back, _ = reverse(paid, repayment.number, on)
    assert back.owed(on) == before
    assert back.overpaid == 0
    assert back.interest_settled == 0


@settings(max_examples=80, deadline=None)
@given(agreed=some_terms, day=st.integers(1, 150), paid=st.integers(0, 200_000), capitalize=st.booleans())
def test_re_aging_owes_the_same_in_new_instalments(agreed: LoanTerms, day: int, paid: int, capitalize: bool) -> None:
    account, on = LoanAccount.open(agreed), START + timedelta(days=day)
    if paid:
        account, _ = receive(account, Receipt(paid, on, "pay", "borrower"), Strategy())
    if not account.principal_outstanding:
        return
    before = account.owed(on)
    change = Restructure(
        RestructureKind.RE_AGE,
        first_due_on=on + timedelta(days=30),
        instalments=10,
        capitalize_interest=capitalize,
    )
    done = restructure(account, change, on)
    assert done.account.owed(on).total == before.total
    assert done.account.delinquency(on).days_past_due == 0
    assert sum(each.unpaid(Portion.PRINCIPAL) for each in done.account.instalments) == before.principal + (
        before.interest if capitalize else 0
    )


def test_penalty_interest_is_the_same_however_often_it_is_charged() -> None:
    servicing = strict_servicing()
    once = charge_penalties(LoanAccount.open(terms()), servicing.penalty, date(2026, 6, 1))
    daily, total, on = LoanAccount.open(terms()), 0, START
    while on < date(2026, 6, 1):
        on += timedelta(days=1)
        charged = charge_penalties(daily, servicing.penalty, on)
        daily, total = charged.account, total + charged.penalties
    assert total == once.penalties > 0


def test_a_late_fee_is_charged_once_an_instalment_up_to_the_cap_of_the_loan() -> None:
    servicing, account = strict_servicing(), LoanAccount.open(terms())
    fees = 0
    for number in (1, 1, 2, 3, 4, 5, 6):
        charged = charge_late_fee(account, servicing, number, date(2026, 8, 1))
        account, fees = charged.account, fees + charged.fees
    assert fees == 6_000


def test_principal_is_not_waived_as_a_charge() -> None:
    with pytest.raises(LoanTermsError):
        waive(LoanAccount.open(terms()), 1, Portion.PRINCIPAL, 100)


def test_the_agenda_of_a_paid_instalment_is_empty() -> None:
    account, servicing = LoanAccount.open(terms()), strict_servicing()
    events = next_day(account, servicing, START)
    assert [(each.kind, each.on) for each in events] == [(DayEventKind.FALL_DUE, date(2026, 2, 15))]
    paid, _ = receive(account, Receipt(10_662, date(2026, 2, 15), "pay", "borrower"), Strategy())
    assert next_day(paid, servicing, date(2026, 2, 15))[0].on == date(2026, 3, 15)


def test_an_unpaid_instalment_is_collected_again_and_then_costs() -> None:
    account, servicing = LoanAccount.open(terms()), strict_servicing()
    found, on = [], date(2026, 2, 15)
    while on < date(2026, 2, 25):
        events = next_day(account, servicing, on)
        on = events[0].on
        found += [(str(each.kind), each.on.day) for each in events if on < date(2026, 2, 25)]
    assert found == [
        ("enter_bucket", 16),
        ("collect_again", 18),
        ("charge_late_fee", 21),
        ("collect_again", 22),
    ]


def test_fractions_of_a_cent_are_carried_not_lost() -> None:
    account = LoanAccount.open(terms(principal=1_000, annual_rate_percent=Decimal("3.65"), instalments=2))
    account = replace(account)
    days = [account.accrued(START + timedelta(days=n)) for n in range(32)]
    assert days[31] == 3
    assert max(b - a for a, b in itertools.pairwise(days)) == 1
