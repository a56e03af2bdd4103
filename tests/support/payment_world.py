"""A worker with fakes behind it on a real Temporal server, and short ways to start and drive payments in it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import Worker

from domain.ids import clearing_account
from domain.payments import explain
from domain.payments.payment import CaptureMethod, Payment, PaymentKind
from domain.payments.refund import Refund
from domain.payments.status import PaymentStatus
from tests.support.fake_book import FakePaymentBook
from tests.support.fake_gateway import FakeGateway
from workers.registry import WORKFLOWS, payment_activities, sandbox
from workflows.payments.messages import PaymentOrder, PaymentTimers, RefundOrder
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow
from workflows.visibility import of_payment

PaymentHandle = WorkflowHandle[PaymentWorkflow, Payment]


def card_payment(**changes: Any) -> Payment:
    """A card payment of 29.33 USD, with a token that the gateway accepts."""
    values: dict[str, Any] = {
        "tenant_id": "default",
        "id": f"pay_{uuid.uuid4().hex}",
        "kind": PaymentKind.CARD,
        "amount_minor": 2933,
        "currency": "USD",
        "capture_method": CaptureMethod.AUTOMATIC,
        "debit_account": clearing_account("sandbox", "USD"),
        "credit_account": "merchant",
        "created_at": datetime.now(UTC),
        "status": PaymentStatus.REQUIRES_CONFIRMATION,
        "gateway": "sandbox",
        "payment_method": "tok_good",
    }
    return Payment(**(values | changes))


def wallet_payment(**changes: Any) -> Payment:
    """A wallet payment of 29.33 USD from `payer` to `merchant`."""
    wallet = {"kind": PaymentKind.WALLET, "debit_account": "payer", "gateway": "", "payment_method": "payer"}
    return card_payment(**(wallet | changes))


@dataclass
class PaymentWorld:
    """The fakes, and the client that drives payments over them."""

    client: Client
    task_queue: str
    book: FakePaymentBook = field(default_factory=FakePaymentBook)
    gateway: FakeGateway = field(default_factory=FakeGateway)

    async def start(self, payment: Payment, **order: Any) -> PaymentHandle:
        """Start a payment and return at once."""
        return await self.client.start_workflow(
            PaymentWorkflow.run,
            PaymentOrder(payment, **order),
            id=payment.id,
            task_queue=self.task_queue,
            search_attributes=of_payment(payment),
            static_summary=explain.summary(payment),
        )

    async def pay(self, payment: Payment, **order: Any) -> Payment:
        """Start a payment and return it once its first step is done, as the API does."""
        start = WithStartWorkflowOperation(
            PaymentWorkflow.run,
            PaymentOrder(payment, **order),
            id=payment.id,
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=of_payment(payment),
            static_summary=explain.summary(payment),
        )
        return await self.client.execute_update_with_start_workflow(
            PaymentWorkflow.submit, start_workflow_operation=start, id="submit"
        )

    async def authorized(self, **changes: Any) -> tuple[Payment, PaymentHandle]:
        """Return a payment that waits for its capture."""
        timers = changes.pop("timers", PaymentTimers())
        payment = await self.pay(card_payment(capture_method=CaptureMethod.MANUAL, **changes), timers=timers)
        assert payment.status is PaymentStatus.REQUIRES_CAPTURE
        return payment, self.handle(payment.id)

    async def refund(self, payment: Payment, amount_minor: int) -> Refund:
        """Refund part of a payment and return the refund once it rests."""
        refund = Refund(
            "default", f"re_{uuid.uuid4().hex}", payment.id, amount_minor, payment.currency, datetime.now(UTC)
        )
        start = WithStartWorkflowOperation(
            RefundWorkflow.run,
            RefundOrder(refund, payment),
            id=refund.id,
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        return await self.client.execute_update_with_start_workflow(
            RefundWorkflow.submit, start_workflow_operation=start, id="submit"
        )

    def handle(self, payment_id: str) -> PaymentHandle:
        """Return the handle of a payment's workflow."""
        return self.client.get_workflow_handle_for(PaymentWorkflow.run, payment_id)

    def assert_books_agree(self) -> None:
        """Gateway and ledger hold the same money, and nothing is left reserved anywhere."""
        assert self.book.posted["merchant"] == self.gateway.net_captured
        assert self.book.held == 0
        assert self.gateway.still_authorized == 0


@asynccontextmanager
async def payment_world(client: Client, **worker_options: Any) -> AsyncIterator[PaymentWorld]:
    """Serve payments on a task queue of their own while the block runs."""
    world = PaymentWorld(client, f"test-{uuid.uuid4().hex}")
    async with Worker(
        client,
        task_queue=world.task_queue,
        workflows=WORKFLOWS,
        activities=payment_activities(world.book, {"sandbox": world.gateway}),
        workflow_runner=sandbox(),
        **worker_options,
    ):
        yield world
