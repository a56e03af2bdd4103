"""Payments, refunds and their stories as clients see them: the contract in the OpenAPI document.

Invariant: answers are built to fit these models (`api.payments.presenter`) and are not validated again; a test does that.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.payments.payment import CaptureMethod, PaymentKind
from domain.payments.refund import RefundStatus
from domain.payments.status import PaymentStatus


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
    step: str = Field(
        description="What it is doing; `waiting` while `waits_for` says for what, `done` when it has ended."
    )
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
