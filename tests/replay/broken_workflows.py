"""Payments and refunds broken on purpose: what a careless change would do to those in flight.

They stand in a module of their own so that the sandbox loads them as it loads the real ones. Each does its damage through the
public methods of the real workflow, at one step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow

from activities.gateway import GatewayActivities
from activities.gateway_port import RefundRequest, VoidRequest
from activities.payment_book import PaymentBookActivities
from domain.payments.payment import Payment
from domain.payments.record import PaymentRecord, RecordOutcome
from domain.payments.refund import Refund
from workflows.payments.messages import PaymentOrder, RefundOrder
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow
from workflows.visibility import PAYMENT_STATUS

TIMEOUT = timedelta(seconds=10)

Write = Callable[..., Awaitable[RecordOutcome]]


def _on_record(payment: PaymentWorkflow, record: str, instead: Callable[[Write], Write]) -> None:
    """Let something else happen where the record of that name is written."""
    journal = payment._process.journal
    write = journal.write
    other = instead(write)

    async def choose(activity: Any, after: Payment, name: str, text: str, **rest: Any) -> RecordOutcome:
        return await (other if name == record else write)(activity, after, name, text, **rest)

    journal.write = choose  # type: ignore[method-assign]


@workflow.defn(name="PaymentWorkflow")
class Unchanged(PaymentWorkflow):
    """Derived from the real one and nothing else: it must replay, or the others would prove nothing."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        return await super().run(order)


@workflow.defn(name="PaymentWorkflow")
class LocalActivityRemoved(PaymentWorkflow):
    """The authorization is no longer written down."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        journal = self._process.journal

        def skip(_: Write) -> Write:
            async def done(activity: Any, after: Payment, *_args: Any, **_kwargs: Any) -> RecordOutcome:
                journal.payment = after
                return RecordOutcome("created")

            return done

        _on_record(self, "authorized", skip)
        return await super().run(order)


@workflow.defn(name="PaymentWorkflow")
class LocalActivityRetyped(PaymentWorkflow):
    """The capture is written by another activity."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        def by_another(write: Write) -> Write:
            async def other(_activity: Any, *args: Any, **kwargs: Any) -> RecordOutcome:
                return await write(PaymentBookActivities.release_funds, *args, **kwargs)

            return other

        _on_record(self, "captured", by_another)
        return await super().run(order)


@workflow.defn(name="PaymentWorkflow")
class LocalActivityMadeOrdinary(PaymentWorkflow):
    """The authorization is written by an ordinary activity."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        def ordinary(_write: Write) -> Write:
            async def other(_activity: Any, after: Payment, *_args: Any, **_kwargs: Any) -> RecordOutcome:
                return await workflow.execute_activity_method(
                    PaymentBookActivities.note_progress, PaymentRecord(after, ()), start_to_close_timeout=TIMEOUT
                )

            return other

        _on_record(self, "authorized", ordinary)
        return await super().run(order)


@workflow.defn(name="PaymentWorkflow")
class ActivityRetyped(PaymentWorkflow):
    """A capture asks the gateway for a void."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        process = self._process

        async def begin(amount_minor: int | None, *, final: bool, command_id: str) -> None:
            payment = process.payment.begin_capture(amount_minor or process.payment.amount_capturable_minor)
            await process.journal.write(PaymentBookActivities.note_progress, payment, "capture_requested", "")
            request = VoidRequest(payment.id, payment.id, payment.gateway_reference or "")
            await workflow.execute_activity_method(
                GatewayActivities.void, args=[payment.gateway, request], start_to_close_timeout=TIMEOUT
            )

        process._capture.begin = begin  # type: ignore[method-assign]
        return await super().run(order)


@workflow.defn(name="PaymentWorkflow")
class StepsSwapped(PaymentWorkflow):
    """The gateway is asked before the funds are reserved."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        process = self._process
        attempt = process.attempt

        async def gateway_first(payment: Payment) -> None:
            request = VoidRequest(payment.id, payment.id, "")
            await workflow.execute_activity_method(
                GatewayActivities.authorize, args=[payment.gateway, request], start_to_close_timeout=TIMEOUT
            )
            await attempt(payment)

        process.attempt = gateway_first  # type: ignore[method-assign]
        return await super().run(order)


@workflow.defn(name="PaymentWorkflow")
class TimerAdded(PaymentWorkflow):
    """An attempt waits a little first."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        await asyncio.sleep(1)
        return await super().run(order)


@workflow.defn(name="PaymentWorkflow")
class SearchAttributeAdded(PaymentWorkflow):
    """One more status is published."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        workflow.upsert_search_attributes([PAYMENT_STATUS.value_set("received")])
        return await super().run(order)


@workflow.defn(name="PaymentWorkflow")
class EndsEarly(PaymentWorkflow):
    """The workflow ends after its first step."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        await self._process.open(confirm=order.confirm)
        self._settled = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._process.payment


@workflow.defn(name="PaymentWorkflow")
class Raises(PaymentWorkflow):
    """A defect: an exception that is no failure of a workflow, and so blocks it."""

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        raise LookupError(f"no such thing in {order.payment.id}")


@workflow.defn(name="RefundWorkflow")
class RefundGivenTwice(RefundWorkflow):
    """A refund asks the gateway before its amount is reserved, and then again."""

    @workflow.run
    async def run(self, order: RefundOrder) -> Refund:
        request = RefundRequest(order.refund.id, order.payment.id, "", order.refund.amount_minor, order.refund.currency)
        await workflow.execute_activity_method(
            GatewayActivities.refund, args=[order.payment.gateway, request], start_to_close_timeout=TIMEOUT
        )
        return await super().run(order)
