"""Builds what clients see of payments and refunds.

Invariant: one function builds each answer, whether it comes from a row or from a workflow, so the same payment always looks
the same. Each fits its model in `api.payments.views`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.ledger.records import BookedEntry, BookedTransfer
from domain.payments.payment import Payment, PaymentKind
from domain.payments.refund import Refund
from domain.payments.status import PaymentStatus
from infra.postgres.payment_reads import StoredEvent, Story
from infra.postgres.stored_payments import StoredPayment

_ADVICE = {
    "insufficient_funds": "Use another payment method, or a smaller amount.",
    "processing_error": "Try again in a moment, with a new payment.",
    "incorrect_cvc": "Let the cardholder enter the card again.",
    "authentication_failed": "Let the cardholder try again, or use another card.",
    "authentication_timeout": "Create another payment when the cardholder is present.",
    "canceled": "Nothing is to be done; create another payment if it was canceled by mistake.",
    "abandoned": "Create another payment, and confirm it in time.",
    "authorization_expired": "Create another payment, and capture it in time.",
    "limit_exceeded": "Lower the amount, wait for the window to pass, or ask for a higher limit.",
    "account_closed": "Use an open account.",
    "account_not_found": "Open the account first.",
    "resolved_by_operator": "Nothing is to be done; an operator closed it.",
}
_ADVICE_OTHERWISE = "Use another payment method."


@dataclass(frozen=True, slots=True)
class PaymentPresenter:
    """Builds the answers. `temporal_ui` is the base of links to workflows, without a slash at its end."""

    temporal_ui: str

    def workflow_link(self, workflow_id: str) -> str:
        """Return the address of a workflow in the Temporal UI."""
        return f"{self.temporal_ui}/{workflow_id}"

    def payment(self, payment: Payment, refunded_minor: int = 0, refunding_minor: int = 0) -> dict[str, Any]:
        """Return a PaymentView."""
        path = f"/v1/payments/{payment.id}"
        return {
            "object": "payment",
            "id": payment.id,
            "status": payment.status,
            "kind": payment.kind,
            "amount": payment.amount_minor,
            "currency": payment.currency,
            "account": payment.credit_account,
            "payment_method": _method(payment),
            "capture_method": payment.capture_method,
            "amount_authorized": payment.amount_authorized_minor,
            "amount_capturable": payment.amount_capturable_minor,
            "amount_captured": payment.amount_captured_minor,
            "amount_refunded": refunded_minor,
            "amount_refunding": refunding_minor,
            "attempts": payment.attempt,
            "attempts_allowed": payment.attempts_allowed,
            "gateway": payment.gateway or None,
            "gateway_reference": payment.gateway_reference,
            "next_action": _next_action(payment),
            "failure": _failure(payment.failure_code, payment.failure_message),
            "review_reason": payment.review_reason,
            "customer": payment.customer,
            "description": payment.description,
            "metadata": payment.metadata,
            "created_at": payment.created_at,
            "expires_at": payment.expires_at,
            "trace_id": payment.trace_id,
            "version": payment.version,
            "links": {
                "self": path,
                "timeline": f"{path}/timeline",
                "live": f"{path}/live",
                "refunds": f"{path}/refunds",
                "temporal_ui": self.workflow_link(payment.id),
            },
        }

    def stored(self, stored: StoredPayment) -> dict[str, Any]:
        """Return a PaymentView of a row."""
        return self.payment(stored.payment, stored.amount_refunded_minor, stored.amount_refunding_minor)

    def refund(self, refund: Refund) -> dict[str, Any]:
        """Return a RefundView."""
        return {
            "object": "refund",
            "id": refund.id,
            "payment": refund.payment_id,
            "status": refund.status,
            "amount": refund.amount_minor,
            "currency": refund.currency,
            "reason": refund.reason,
            "gateway_reference": refund.gateway_reference,
            "failure": _failure(refund.failure_code, refund.failure_message),
            "created_at": refund.created_at,
            "version": refund.version,
            "links": {
                "self": f"/v1/refunds/{refund.id}",
                "payment": f"/v1/payments/{refund.payment_id}",
                "temporal_ui": self.workflow_link(refund.id),
            },
        }

    def timeline(self, payment: Payment, story: Story, entries: Sequence[BookedEntry]) -> dict[str, Any]:
        """Return a Timeline."""
        transfers = {entry.key: [transfer_view(transfer) for transfer in entry.transfers] for entry in entries}
        operations = [
            {
                "key": operation.key,
                "kind": operation.kind,
                "status": operation.status,
                "amount": operation.amount_minor,
                "gateway_reference": operation.gateway_reference,
                "error": operation.error_code,
                "requested_at": operation.created_at,
                "updated_at": operation.updated_at,
                "refund": _refund_of(operation.owner_id, payment),
            }
            for operation in story.operations
        ]
        return {
            "object": "timeline",
            "payment": payment.id,
            "trace_id": payment.trace_id,
            "events": [_event(event, payment, transfers) for event in story.events],
            "operations": operations,
            "links": {"payment": f"/v1/payments/{payment.id}", "temporal_ui": self.workflow_link(payment.id)},
        }


def transfer_view(transfer: BookedTransfer) -> dict[str, Any]:
    """Return a TransferView."""
    return {
        "key": transfer.key,
        "kind": transfer.kind,
        "debit_account": transfer.debit,
        "credit_account": transfer.credit,
        "amount": transfer.amount_minor,
        "released": transfer.released_minor,
        "currency": transfer.currency,
        "created_at": transfer.created_at,
    }


def _event(event: StoredEvent, payment: Payment, transfers: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "key": event.key,
        "name": event.name,
        "text": event.text,
        "at": event.at,
        "refund": _refund_of(event.owner_id, payment),
        "amount": event.amount_minor,
        "gateway_reference": event.gateway_reference,
        "entry_key": event.entry_key,
        "transfers": transfers.get(event.entry_key or "", []),
    }


def _refund_of(owner_id: str, payment: Payment) -> str | None:
    return None if owner_id == payment.id else owner_id


def _method(payment: Payment) -> dict[str, str] | None:
    if payment.payment_method is None:
        return None
    if payment.kind is PaymentKind.CARD:
        return {"type": "card", "token": payment.payment_method}
    return {"type": "wallet", "account": payment.payment_method}


def _next_action(payment: Payment) -> dict[str, str] | None:
    if payment.status is not PaymentStatus.REQUIRES_ACTION or payment.challenge_id is None:
        return None
    return {"type": "answer_challenge", "challenge_id": payment.challenge_id}


def _failure(code: str | None, message: str | None) -> dict[str, str] | None:
    if code is None:
        return None
    return {"code": code, "message": message or code, "advice": _ADVICE.get(code, _ADVICE_OTHERWISE)}
