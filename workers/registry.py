"""Which workflows and activities a worker serves: the one list, shared by workers, replay and tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.credit_bureau_port import CreditBureau
from activities.gateway import GatewayActivities
from activities.gateway_port import CardGateway
from activities.loan_accrual import LoanAccrualActivities
from activities.loan_accrual_port import LoanAccrual
from activities.loan_book import LoanBookActivities
from activities.loan_book_port import LoanBook
from activities.loan_checks import LoanCheckActivities
from activities.loan_clock import LoanClockActivities
from activities.loan_clock_port import LoanClock
from activities.payment_book import PaymentBookActivities
from activities.payment_book_port import PaymentBook
from activities.screening_port import ScreeningProvider
from workflows.loans.accrual import AccrualWorkflow
from workflows.loans.loan import LoanWorkflow
from workflows.loans.reconciliation import LoanReconciliationWorkflow
from workflows.loans.shared_clock import LoanClockWorkflow
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.reconciliation import ReconciliationWorkflow
from workflows.payments.refund import RefundWorkflow

WORKFLOWS: Sequence[type] = (PaymentWorkflow, RefundWorkflow, ReconciliationWorkflow)

LOAN_WORKFLOWS: Sequence[type] = (LoanWorkflow, AccrualWorkflow, LoanClockWorkflow, LoanReconciliationWorkflow)

PASSED_THROUGH = (
    "domain",
    "activities",
    "workflows.payments.messages",
    "workflows.loans.messages",
)
"""Modules the sandbox loads once instead of for every workflow: pure, or only types."""


def sandbox() -> SandboxedWorkflowRunner:
    """Return the runner in which every workflow is tested and replayed; workers run without it (see the decision record)."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))


def payment_activities(book: PaymentBook, gateways: Mapping[str, CardGateway]) -> list[Callable[..., Any]]:
    """Return the activities of payments and refunds over the given adapters."""
    booking, calls = PaymentBookActivities(book), GatewayActivities(gateways)
    return [
        booking.open_payment,
        booking.reserve_funds,
        booking.book_payment,
        booking.release_funds,
        booking.note_progress,
        booking.read_payment,
        booking.read_refund,
        booking.open_refund,
        booking.book_refund,
        calls.authorize,
        calls.capture,
        calls.void,
        calls.refund,
        calls.reverse,
        calls.inquire,
    ]


def loan_activities(
    book: LoanBook, screening: ScreeningProvider, bureau: CreditBureau, accrual: LoanAccrual, clock: LoanClock
) -> list[Callable[..., Any]]:
    """Return the activities of loans over the given adapters. Their payments need `payment_activities` beside them."""
    booking, checks = LoanBookActivities(book), LoanCheckActivities(screening, bureau)
    accruals, clocks = LoanAccrualActivities(accrual), LoanClockActivities(clock)
    return [
        booking.record_origination,
        booking.record_disbursement,
        booking.record_servicing,
        booking.read_exposure,
        checks.screen_applicant,
        checks.ask_bureau,
        accruals.accrue_portfolio,
        clocks.show_clock,
        clocks.advance_loans,
    ]
