"""Which workflows and activities a worker serves: the one list, shared by workers, replay and tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.gateway import GatewayActivities
from activities.gateway_port import CardGateway
from activities.payment_book import PaymentBookActivities
from activities.payment_book_port import PaymentBook
from workflows.payment import PaymentWorkflow
from workflows.reconciliation import ReconciliationWorkflow
from workflows.refund import RefundWorkflow

WORKFLOWS: Sequence[type] = (PaymentWorkflow, RefundWorkflow, ReconciliationWorkflow)

PASSED_THROUGH = (
    "domain",
    "activities",
    "workflows.messages",
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
        booking.open_refund,
        booking.book_refund,
        calls.authorize,
        calls.capture,
        calls.void,
        calls.refund,
        calls.reverse,
        calls.inquire,
    ]
