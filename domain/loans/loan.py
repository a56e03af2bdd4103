"""A loan as clients and operators see it: its status, what was decided, and where it stands.

Invariant: the status changes only along the graph in `status`; every written change raises `version` by one, so a stale copy
can never overwrite a newer row. Amounts are minor units of `currency`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from domain.errors import IllegalTransition
from domain.loans.account import LoanAccount
from domain.loans.application import LoanApplication
from domain.loans.credit import STATEMENTS, Decision
from domain.loans.quote import quoted_rate
from domain.loans.status import LoanAction, LoanStatus, transition
from domain.money import Money

RUNNING = frozenset({LoanStatus.ACTIVE, LoanStatus.OVERPAID})
CLOSED = frozenset({LoanStatus.CLOSED_OBLIGATIONS_MET, LoanStatus.CLOSED_WRITTEN_OFF})
ENDED = frozenset({LoanStatus.REJECTED, LoanStatus.WITHDRAWN_BY_CLIENT, LoanStatus.CLOSED_RESCHEDULED})


@dataclass(frozen=True, slots=True)
class Loan:
    """One loan. `business_date` is the day whose amounts these are; `served_through` the last day done, on a test clock."""

    tenant_id: str
    id: str
    application: LoanApplication
    business_date: date
    status: LoanStatus = LoanStatus.DRAFT
    decision: Decision | None = None
    decided_by: str | None = None
    screening_outcome: str | None = None
    offer_expires_on: date | None = None
    apr_percent: Decimal | None = None
    first_instalment_minor: int = 0
    disbursed_on: date | None = None
    disbursed_minor: int = 0
    maturity_on: date | None = None
    closed_on: date | None = None
    next_due_on: date | None = None
    next_due_minor: int = 0
    principal_outstanding_minor: int = 0
    interest_outstanding_minor: int = 0
    fees_outstanding_minor: int = 0
    penalties_outstanding_minor: int = 0
    overpaid_minor: int = 0
    recovered_minor: int = 0
    written_off_minor: int = 0
    oldest_due_on: date | None = None
    days_past_due: int = 0
    bucket: str = "current"
    charged_off_on: date | None = None
    paused_until: date | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    served_through: date | None = None
    version: int = 1

    @classmethod
    def apply(cls, application: LoanApplication, on: date) -> Loan:
        """Return the loan that an application begins."""
        return cls(application.tenant_id, application.id, application, on)

    @property
    def currency(self) -> str:
        """The ISO 4217 code."""
        return self.application.terms.currency

    @property
    def money(self) -> Money:
        """The principal applied for."""
        return Money(self.application.terms.principal, self.currency)

    @property
    def outstanding_minor(self) -> int:
        """All that is owed on the business date."""
        return (
            self.principal_outstanding_minor
            + self.interest_outstanding_minor
            + self.fees_outstanding_minor
            + self.penalties_outstanding_minor
        )

    def moved(self, action: LoanAction) -> Loan:
        """Return the loan after an action, or raise IllegalTransition."""
        return replace(self, status=transition(self.status, action), failure_code=None, failure_message=None)

    def require(self, action: LoanAction) -> None:
        """Raise IllegalTransition when the status does not allow an action."""
        transition(self.status, action)

    def require_status(self, *statuses: LoanStatus, to: str) -> None:
        """Raise IllegalTransition unless the loan is in one of the statuses; `to` reads after "cannot"."""
        if self.status not in statuses:
            raise IllegalTransition("loan", self.status, to)

    def decided(self, decision: Decision, by: str) -> Loan:
        """Return the loan with its credit decision; `by` is a policy version or a person."""
        return replace(self, decision=decision, decided_by=by)

    def offered(self, account: LoanAccount, expires_on: date) -> Loan:
        """Return the loan with an offer: its cost on the expected terms."""
        rows = account.schedule.instalments
        return replace(
            self.moved(LoanAction.OFFER),
            offer_expires_on=expires_on,
            apr_percent=quoted_rate(self.application.terms, account.schedule),
            first_instalment_minor=rows[0].amount,
            maturity_on=rows[-1].due_on,
        )

    def failed(self, code: str, message: str) -> Loan:
        """Return the loan with what went wrong last; the status stays."""
        return replace(self, failure_code=code, failure_message=message)

    def standing(self, account: LoanAccount, on: date) -> Loan:
        """Return the loan with the amounts of its account on a day."""
        owed, late = account.owed(on), account.delinquency(on)
        upcoming = next((each for each in account.instalments if each.due_on > on and each.total_unpaid), None)
        last = account.schedule.instalments[-1]
        return replace(
            self,
            business_date=on,
            maturity_on=last.due_on,
            next_due_on=upcoming.due_on if upcoming else None,
            next_due_minor=upcoming.total_unpaid + (0 if upcoming.fee_charged else upcoming.scheduled_fee)
            if upcoming
            else 0,
            principal_outstanding_minor=owed.principal,
            interest_outstanding_minor=owed.interest,
            fees_outstanding_minor=owed.fees,
            penalties_outstanding_minor=owed.penalties,
            overpaid_minor=account.overpaid,
            oldest_due_on=late.oldest_due_on,
            days_past_due=late.days_past_due,
            bucket=late.bucket.name,
            charged_off_on=account.charged_off_on,
            paused_until=account.paused_until,
        )

    @property
    def letter(self) -> tuple[str, ...]:
        """The principal reasons in the words of a notice to the applicant (Regulation B)."""
        return () if self.decision is None else tuple(STATEMENTS[reason] for reason in self.decision.reasons)
