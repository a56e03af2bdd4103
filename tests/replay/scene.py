"""What a path is played with: a world of fakes, fixed ids, and the runs whose histories the path is made of.

The fakes stand for the database and the bank only. The server, the worker, its sandbox and its converter are real, and a
history holds nothing but what these exchanged; so a history recorded over fakes is one that production makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowHistory,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy

from domain.payments.payment import Payment
from domain.payments.refund import Refund
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import FakeGateway, Fault
from tests.support.payment_world import PaymentHandle, PaymentWorld, card_payment, wallet_payment
from workflows.payments.messages import PaymentOrder, RefundOrder
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow

Handle = TypeVar("Handle", bound=WorkflowHandle[Any, Any])

WAIT_S = 15.0
"""Bound of every wait of a path."""
POLL_INTERVAL_S = 0.02


@dataclass
class Scene:
    """One path being played. `keep` names the runs to record; the first has the path's own name."""

    name: str
    world: PaymentWorld
    kept: dict[str, WorkflowHandle[Any, Any]] = field(default_factory=dict)

    @property
    def gateway(self) -> FakeGateway:
        """The card gateway, to be told its faults."""
        return self.world.gateway

    # Payments

    def card(self, **changes: Any) -> Payment:
        """Return the path's card payment."""
        return card_payment(id=f"pay_{self.name}", **changes)

    def wallet(self, **changes: Any) -> Payment:
        """Return the path's wallet payment."""
        return wallet_payment(id=f"pay_{self.name}", **changes)

    def fail(self, operation: str, *faults: Fault) -> Self:
        """Let the gateway's next requests of that kind meet these faults."""
        self.gateway.faults[operation].extend(faults)
        return self

    async def pay(self, payment: Payment, expected: PaymentStatus, **order: Any) -> PaymentHandle:
        """Start a payment as the API does, and keep its run."""
        paid = await self.world.pay(payment, **order)
        assert paid.status is expected, f"{paid.status}, expected {expected}"
        return self.keep(await self.run_of(payment.id))

    async def start(self, payment: Payment, **order: Any) -> PaymentHandle:
        """Start a payment without waiting for its first step, and keep its run."""
        await self.world.start(payment, **order)
        return self.keep(await self.run_of(payment.id))

    async def run_of(self, payment_id: str) -> PaymentHandle:
        """Return the handle of the payment's present run, so that a later run does not take its place."""
        described = await self.world.handle(payment_id).describe()
        return self.world.client.get_workflow_handle_for(PaymentWorkflow.run, payment_id, run_id=described.run_id)

    async def recover(self, payment_id: str) -> None:
        """Start the recovery of a payment whose run was terminated, and keep the new run."""
        row = self.world.book.payments[payment_id]
        handle = await self.world.client.start_workflow(
            PaymentWorkflow.run, PaymentOrder(row, recover=True), id=payment_id, task_queue=self.world.task_queue
        )
        self.keep(handle, f"{self.name}_recovered")
        await handle.result()

    # Refunds

    async def refund(self, payment: Payment, amount_minor: int) -> Refund:
        """Refund part of a captured payment; the refund's run is the one that is kept."""
        refund = Refund("default", f"re_{self.name}", payment.id, amount_minor, payment.currency, datetime.now(UTC))
        start = WithStartWorkflowOperation(
            RefundWorkflow.run,
            RefundOrder(refund, payment),
            id=refund.id,
            task_queue=self.world.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        refunded = await self.world.client.execute_update_with_start_workflow(
            RefundWorkflow.submit, start_workflow_operation=start, id="submit"
        )
        described = await self.world.client.get_workflow_handle(refund.id).describe()
        self.keep(self.world.client.get_workflow_handle(refund.id, run_id=described.run_id))
        return refunded

    def refunding(self) -> WorkflowHandle[RefundWorkflow, Refund]:
        """Return the handle of the path's refund."""
        return self.world.client.get_workflow_handle_for(RefundWorkflow.run, f"re_{self.name}")

    # Waits

    async def reached(self) -> None:
        """Wait until a request reached the gateway, and be ready to wait for the next."""
        async with asyncio.timeout(WAIT_S):
            await self.gateway.reached.wait()
        self.gateway.reached.clear()

    async def until(self, handle: PaymentHandle, status: PaymentStatus) -> None:
        """Wait until the payment has that status."""
        async with asyncio.timeout(WAIT_S):
            while (await handle.query(PaymentWorkflow.progress)).payment.status is not status:
                await asyncio.sleep(POLL_INTERVAL_S)

    async def expect(self, handle: WorkflowHandle[Any, Any], status: str) -> None:
        """Wait for the end of a payment or refund and check how its row says it ended, whatever Temporal calls it."""
        async with asyncio.timeout(WAIT_S):
            with suppress(WorkflowFailureError):  # a cancelled workflow fails to its caller, its row says how it ended
                await handle.result()
        book = self.world.book
        row = book.payments.get(handle.id) or book.refunds[handle.id]
        assert str(row.status) == status, f"{handle.id} ended {row.status}, expected {status}"

    async def expect_refusal(self, command: Awaitable[object]) -> None:
        """Check that a command is refused."""
        try:
            await command
        except WorkflowUpdateFailedError:
            return
        raise AssertionError("the command was not refused")

    # Records

    def keep(self, handle: Handle, name: str | None = None) -> Handle:
        """Note a run to be recorded, and return it."""
        self.kept[name or self.name] = handle
        return handle

    async def histories(self) -> dict[str, WorkflowHistory]:
        """Return the histories of the runs that were kept."""
        return {name: await handle.fetch_history() for name, handle in self.kept.items()}


Play = Callable[[Scene], Awaitable[None]]
"""A path: it plays one story to its end, and keeps the runs that belong to it."""

PATHS: dict[str, Play] = {}
"""Every path by its name, which is also its history's. `tests.replay.paths` fills it."""


def path(play: Play) -> Play:
    """Add a path under its function's name."""
    PATHS[play.__name__] = play
    return play
