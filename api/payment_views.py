"""Payments, refunds and their stories as clients see them.

Invariant: one function builds each answer, whether it comes from a row or from a workflow, so the same payment always looks
the same. The models are the contract in the OpenAPI document; answers are built to fit them and are not validated again
(a test does that).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from domain.ledger.records import BookedEntry, BookedTransfer
from domain.payments.payment import CaptureMethod, Payment, PaymentKind
from domain.payments.refund import Refund, RefundStatus
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


class Out(BaseModel):
    """What is common to all answers."""

    model_config = ConfigDict(extra="forbid")


class Failure(Out):
    """Why the last attempt, the payment or the refund failed. A decline is an answer, no HTTP error."""

    code: str = Field(description="Stable; branch on this.", examples=["card_declined"])
    message: str = Field(description="For people; may change.")
    advice: str = Field(description="What to do next.")


class CardMethodView(Out):
    """A card, by its token."""

    type: Literal["card"]
    token: str


class WalletMethodView(Out):
    """An account of the ledger."""

    type: Literal["wallet"]
    account: str


class NextAction(Out):
    """What the cardholder must do before the next confirm."""

    type: Literal["answer_challenge"]
    challenge_id: str


class PaymentLinks(Out):
    """Where to read on."""

    self: str
    timeline: str
    live: str
    refunds: str
    temporal_ui: str = Field(description="The workflow in the Temporal UI, for operators.")


class PaymentView(Out):
    """A payment. Amounts are integers in the currency's minor unit."""

    object: Literal["payment"]
    id: str
    status: PaymentStatus
    kind: PaymentKind
    amount: int
    currency: str
    account: str = Field(description="The account that is paid.")
    payment_method: CardMethodView | WalletMethodView | None
    capture_method: CaptureMethod
    amount_authorized: int
    amount_capturable: int = Field(description="What may still be captured.")
    amount_captured: int
    amount_refunded: int
    amount_refunding: int = Field(description="Reserved by refunds under way.")
    attempts: int = Field(description="Attempts made so far.")
    attempts_allowed: int
    gateway: str | None
    gateway_reference: str | None
    next_action: NextAction | None
    failure: Failure | None
    review_reason: str | None = Field(description="Why an operator must look, or what they found.")
    customer: str | None
    description: str
    metadata: dict[str, str]
    created_at: datetime
    expires_at: datetime | None = Field(description="When the authorization ends.")
    trace_id: str | None = Field(description="The trace of the call that created it.")
    version: int = Field(description="Grows with every change.")
    links: PaymentLinks


class RefundLinks(Out):
    """Where to read on."""

    self: str
    payment: str
    temporal_ui: str


class RefundView(Out):
    """A refund. The amount is an integer in the currency's minor unit."""

    object: Literal["refund"]
    id: str
    payment: str
    status: RefundStatus
    amount: int
    currency: str
    reason: str
    gateway_reference: str | None
    failure: Failure | None
    created_at: datetime
    version: int
    links: RefundLinks


class PaymentPage(Out):
    """Payments, newest first."""

    object: Literal["list"]
    data: list[PaymentView]
    has_more: bool
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; none on the last.")


class RefundList(Out):
    """A payment's refunds, oldest first."""

    object: Literal["list"]
    data: list[RefundView]


class LivePayment(Out):
    """What a payment is doing right now, as its workflow says; once it has ended, as it is written."""

    object: Literal["live_payment"]
    payment: PaymentView
    step: str = Field(description="What it is doing; `done` when it has ended.")
    waits_for: str = Field(description="Whom or what it waits for; empty when it works.")
    deadline: datetime | None = Field(description="When the waiting ends.")
    compensations: list[str] = Field(description="What would be undone, in this order, if it failed now.")
    waiting_commands: int


class TransferView(Out):
    """One transfer of the ledger, in minor units."""

    key: str
    kind: str
    debit_account: str
    credit_account: str
    amount: int
    released: int
    currency: str
    created_at: datetime


class OperationView(Out):
    """One request to the gateway."""

    key: str
    kind: str
    status: str
    amount: int
    gateway_reference: str | None
    error: str | None
    requested_at: datetime
    updated_at: datetime
    refund: str | None = Field(description="The refund that asked for it, if one did.")


class EventView(Out):
    """One step of a payment or of one of its refunds."""

    key: str
    name: str = Field(description="Stable; branch on this.")
    text: str = Field(description="For people; may change.")
    at: datetime
    refund: str | None
    amount: int | None
    gateway_reference: str | None
    entry_key: str | None = Field(description="The journal entry that was booked.")
    transfers: list[TransferView]


class TimelineLinks(Out):
    """Where to read on."""

    payment: str
    temporal_ui: str


class Timeline(Out):
    """A payment's story, from its first call to each ledger entry, oldest first."""

    object: Literal["timeline"]
    payment: str
    trace_id: str | None
    events: list[EventView]
    operations: list[OperationView]
    links: TimelineLinks


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


def to_json(view: dict[str, Any]) -> bytes:
    """Return an answer's bytes; moments in RFC 3339 with a `Z`."""
    return orjson.dumps(view, option=orjson.OPT_UTC_Z)


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
