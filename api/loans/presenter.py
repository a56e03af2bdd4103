"""Builds what clients read of loans.

Invariant: one function builds each answer, from the row that was written, so the same loan always looks the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from domain.ids import successor_loan_id
from domain.loans.account import LoanAccount
from domain.loans.credit import STATEMENTS, Decision
from domain.loans.delinquency import bucket_of
from domain.loans.loan import Loan
from domain.loans.status import LoanStatus
from domain.loans.terms import LoanTerms
from domain.money import Money
from infra.postgres.loan_reads import (
    StoredInstalment,
    StoredLoan,
    StoredLoanEvent,
    StoredProposal,
    StoredRepayment,
)
from workflows.loans.messages import PayoffQuote

Json = dict[str, Any]
AHEAD_OF_SCHEDULE = 0
"""The number that stands for no instalment: principal paid ahead, for which the schedule was made smaller."""


def today_of(loan: Loan) -> date:
    """Return the loan's present day: what its test clock has shown it, or the real one in UTC."""
    if loan.application.test_clock is None:
        return datetime.now(UTC).date()
    return loan.served_through or loan.business_date


@dataclass(frozen=True, slots=True)
class LoanPresenter:
    """Builds the answers. `temporal_ui` is the base of links to workflows, without a slash at its end."""

    temporal_ui: str

    def stored(self, stored: StoredLoan) -> Json:
        """Return a LoanView of a row."""
        return self.loan(stored.loan, stored.created_at, stored.updated_at)

    def unwritten(self, loan: Loan) -> Json:
        """Return a LoanView of a loan that may have no row yet."""
        at = loan.application.created_at
        return self.loan(loan, at, at)

    def loan(self, loan: Loan, created_at: datetime, updated_at: datetime) -> Json:
        """Return a LoanView."""
        application, terms = loan.application, loan.application.terms
        path = f"/v1/loans/{loan.id}"
        late = 0 if loan.oldest_due_on is None else max((today_of(loan) - loan.oldest_due_on).days, 0)
        return {
            "object": "loan",
            "id": loan.id,
            "status": loan.status,
            "business_date": loan.business_date,
            "customer": application.applicant.customer,
            "principal": terms.principal,
            "currency": terms.currency,
            "terms": _terms(terms),
            "funding_account": application.funding_account,
            "payout_account": application.payout_account,
            "decision": _decision(loan.decision, loan.decided_by),
            "screening": loan.screening_outcome,
            "offer": _offer(loan),
            "disbursed_on": loan.disbursed_on,
            "disbursed": loan.disbursed_minor,
            "maturity_on": loan.maturity_on,
            "closed_on": loan.closed_on,
            "next_due_on": loan.next_due_on,
            "next_due": loan.next_due_minor,
            "outstanding": _portions(
                loan.principal_outstanding_minor,
                loan.interest_outstanding_minor,
                loan.fees_outstanding_minor,
                loan.penalties_outstanding_minor,
            ),
            "overpaid": loan.overpaid_minor,
            "written_off": loan.written_off_minor,
            "recovered": loan.recovered_minor,
            "days_past_due": late,
            "bucket": bucket_of(late).name,
            "charged_off_on": loan.charged_off_on,
            "paused_until": loan.paused_until,
            "failure": None
            if loan.failure_code is None
            else {"code": loan.failure_code, "message": loan.failure_message or loan.failure_code},
            "replaces": application.replaces,
            "rescheduled_to": successor_loan_id(loan.id) if loan.status is LoanStatus.CLOSED_RESCHEDULED else None,
            "test_clock": application.test_clock,
            "metadata": application.metadata,
            "created_at": created_at,
            "updated_at": updated_at,
            "trace_id": application.trace_id,
            "version": loan.version,
            "links": {
                "self": path,
                "schedule": f"{path}/schedule",
                "timeline": f"{path}/timeline",
                "live": f"{path}/live",
                "proposals": f"{path}/proposals",
                "payoff": f"{path}/payoff",
                "temporal_ui": f"{self.temporal_ui}/{loan.id}",
            },
        }

    def clock(self, clock_id: str, name: str, on: date, advancing_to: date | None) -> Json:
        """Return a ClockResource."""
        return {
            "object": "test_clock",
            "id": clock_id,
            "name": name,
            "on": on,
            "advancing_to": advancing_to,
            "links": {"self": f"/v1/test_clocks/{clock_id}", "temporal_ui": f"{self.temporal_ui}/{clock_id}"},
        }


def schedule_view(loan: Loan, rows: Sequence[StoredInstalment], repayments: Sequence[StoredRepayment]) -> Json:
    """Return a LoanSchedule; of a loan that is not paid out, the schedule its terms promise."""
    is_expected = loan.disbursed_on is None
    shown = _expected(loan) if is_expected else list(rows)
    today = today_of(loan)
    left = sum(row.principal for row in shown)
    instalments = []
    for row in shown:
        left -= row.principal
        instalments.append(_instalment(row, left, today))
    return {
        "object": "loan_schedule",
        "loan": loan.id,
        "currency": loan.currency,
        "on": today,
        "is_expected": is_expected,
        "instalments": instalments,
        "prepaid_principal": sum(
            part["amount"]
            for each in repayments
            if each.reversed_on is None
            for part in each.parts
            if part["number"] == AHEAD_OF_SCHEDULE
        ),
        "repayments": [_repayment(each) for each in repayments],
    }


def _expected(loan: Loan) -> list[StoredInstalment]:
    planned = LoanAccount.promised(loan.application.terms).instalments
    return [
        StoredInstalment(
            row.number, row.due_on, row.principal, row.interest, row.scheduled_fee, 0, 0, 0, 0, 0, 0, False, None
        )
        for row in planned
    ]


def _instalment(row: StoredInstalment, left: int, today: date) -> Json:
    fees = row.fee + (0 if row.fee_charged else row.scheduled_fee)
    due = _portions(row.principal, row.interest, fees, row.penalty)
    paid = _portions(row.paid_principal, row.paid_interest, row.paid_fee, row.paid_penalty)
    unpaid = due["total"] - paid["total"]
    if not unpaid:
        status = "paid"
    elif row.due_on < today:
        status = "overdue"
    else:
        status = "due" if row.due_on == today else "upcoming"
    return {
        "number": row.number,
        "due_on": row.due_on,
        "due": due,
        "paid": paid,
        "unpaid": unpaid,
        "balance_after": left,
        "status": status,
        "paid_on": row.paid_on,
    }


def _repayment(each: StoredRepayment) -> Json:
    return {
        "number": each.number,
        "received_on": each.received_on,
        "amount": each.amount_minor,
        "overpaid": each.overpaid_minor,
        "payment": each.payment_id,
        "source": each.source,
        "parts": [
            {"instalment": part["number"], "portion": part["portion"], "amount": part["amount"]} for part in each.parts
        ],
        "reversed_on": each.reversed_on,
    }


def payoff_view(loan_id: str, quote: PayoffQuote) -> Json:
    """Return a PayoffView."""
    owed = quote.owed
    return {
        "object": "loan_payoff",
        "loan": loan_id,
        "on": quote.on,
        "currency": quote.currency,
        **_portions(owed.principal, owed.interest, owed.fees, owed.penalties),
    }


def proposal_view(loan_id: str, proposal: StoredProposal) -> Json:
    """Return a ProposalView."""
    return {
        "object": "proposal",
        "id": f"{loan_id}:{proposal.number}",
        "loan": loan_id,
        "number": proposal.number,
        "kind": proposal.kind,
        "status": proposal.status,
        "maker": proposal.maker,
        "made_at": proposal.made_at,
        "note": proposal.note,
        "restructure": None if proposal.restructure is None else dict(proposal.restructure),
        "checker": proposal.checker,
        "checked_at": proposal.checked_at,
    }


def event_view(event: StoredLoanEvent, transfers: Mapping[str, list[Json]]) -> Json:
    """Return a LoanEventView."""
    return {
        "key": event.key,
        "name": event.name,
        "text": event.text,
        "at": event.at,
        "on": event.business_date,
        "actor": event.actor,
        "amount": event.amount_minor,
        "payment": event.payment_id,
        "entry_key": event.entry_key,
        "transfers": transfers.get(event.entry_key or "", []),
    }


def _portions(principal: int, interest: int, fees: int, penalties: int) -> Json:
    return {
        "principal": principal,
        "interest": interest,
        "fees": fees,
        "penalties": penalties,
        "total": principal + interest + fees + penalties,
    }


def _terms(terms: LoanTerms) -> Json:
    return {
        "principal": str(Money(terms.principal, terms.currency).to_major()),
        "currency": terms.currency,
        "annual_rate_percent": _plain(terms.annual_rate_percent),
        "instalments": terms.instalments,
        "every": str(terms.every),
        "disbursed_on": terms.disbursed_on,
        "method": terms.method,
        "day_count": terms.day_count,
        "first_due_on": terms.first_due_on,
        "disbursements": [
            {"amount": str(Money(each.amount, terms.currency).to_major()), "on": each.on} for each in terms.tranches
        ],
    }


def _plain(number: Decimal) -> str:
    return f"{number:f}"


def _decision(decision: Decision | None, decided_by: str | None) -> Json | None:
    if decision is None:
        return None
    return {
        "outcome": decision.outcome,
        "policy": decision.policy_version,
        "decided_by": decided_by,
        "reasons": [{"code": reason, "statement": STATEMENTS[reason]} for reason in decision.reasons],
        "findings": [
            {
                "rule": finding.rule,
                "outcome": finding.outcome,
                "reason": finding.reason,
                "explanation": finding.explanation,
            }
            for finding in decision.findings
        ],
    }


def _offer(loan: Loan) -> Json | None:
    if loan.offer_expires_on is None or loan.maturity_on is None:
        return None
    return {
        "apr_percent": "0.00" if loan.apr_percent is None else str(loan.apr_percent),
        "first_instalment": loan.first_instalment_minor,
        "maturity_on": loan.maturity_on,
        "expires_on": loan.offer_expires_on,
    }
