"""Rescheduling: a loan is closed, and what it owed becomes the principal of another that takes its place.

This is the status `closed_rescheduled` of the graph in `status`. A restructuring keeps the loan and changes its schedule; a
rescheduling ends it, so that the new terms stand in a loan of their own, with a story of their own.

Invariant: the successor owes to the last unit what its predecessor owed on that day; no money moves.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from domain.errors import IllegalTransition
from domain.ids import successor_loan_id
from domain.loans.account import LoanAccount
from domain.loans.application import LoanApplication
from domain.loans.changes import Restructure
from domain.loans.errors import LoanTermsError
from domain.loans.fields import read_percent
from domain.loans.loan import Loan
from domain.loans.quote import quoted_rate
from domain.loans.status import LoanAction, LoanStatus
from domain.loans.terms import MAX_INSTALMENTS, MAX_RATE_PERCENT, FeeWhen, Grace, LoanTerms

LAST_YEAR = 2200


def successor_terms(loan: Loan, account: LoanAccount, change: Restructure, on: date) -> LoanTerms:
    """Return the terms of the loan that takes the place of another from a day on.

    What the change does not name stays: pace, rate, agreed changes of rate, method, day count and instalment fees. Graces and
    balloon end. Raises LoanTermsError naming the field, or IllegalTransition for a loan that is charged off.
    """
    if account.charged_off_on is not None:
        raise IllegalTransition("loan", "charged off", LoanAction.RESCHEDULE.words)
    old, plan = loan.application.terms, account.schedule.plan
    count, every, first = change.instalments or 0, change.every or plan.every, change.first_due_on
    if not 1 <= count <= MAX_INSTALMENTS:
        raise LoanTermsError("instalments", "there are none, or too many.", advice=f"Send 1 to {MAX_INSTALMENTS}.")
    if first is not None and first <= on:
        raise LoanTermsError("first_due_on", f"it is not after {on}.", advice="Send a later day.")
    if (first or on).year + count > LAST_YEAR:
        raise LoanTermsError("instalments", "the loan would end too late.", advice="Send fewer.")
    keeps_rate = change.annual_rate_percent is None
    if change.annual_rate_percent is not None:
        read_percent(change.annual_rate_percent, "annual_rate_percent", MAX_RATE_PERCENT)
    return replace(
        old,
        principal=account.owed(on).total,
        annual_rate_percent=plan.rate_on(on) if change.annual_rate_percent is None else change.annual_rate_percent,
        instalments=count,
        every=every,
        disbursed_on=on,
        first_due_on=first,
        tranches=(),
        rate_changes=tuple(step for step in plan.rates if keeps_rate and step.effective_on > on),
        fees=tuple(fee for fee in old.fees if fee.when is FeeWhen.INSTALMENT),
        grace=Grace(),
        balloon=0,
    )


def successor_application(loan: Loan, terms: LoanTerms, at: datetime) -> LoanApplication:
    """Return what the successor is, made of what its predecessor was."""
    return replace(loan.application, id=successor_loan_id(loan.id), terms=terms, created_at=at, replaces=loan.id)


def approved_successor(loan: Loan, application: LoanApplication, decided_by: str) -> Loan:
    """Return the successor before it owes anything: approved by those who decided to reschedule."""
    account = LoanAccount.open(application.terms)
    rows = account.schedule.instalments
    return Loan(
        loan.tenant_id,
        application.id,
        application,
        application.terms.disbursed_on,
        LoanStatus.APPROVED,
        decision=loan.decision,
        decided_by=decided_by,
        screening_outcome=loan.screening_outcome,
        apr_percent=quoted_rate(application.terms, account.schedule),
        first_instalment_minor=rows[0].amount,
        maturity_on=rows[-1].due_on,
    )
