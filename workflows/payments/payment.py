"""A payment, from the client's call to its end.

It registers the payment, tries to get the money, and then waits, as long as it takes, for what comes next: a confirmation, the
answer to a challenge, captures, a cancellation, or the end of its time. When a step fails for good, or Temporal cancels the
workflow, everything done so far is undone; what cannot be undone waits for a person.

Invariants
- One thing happens at a time: commands queue, and each is checked against the payment as it stands when its turn comes.
- Money moves once: every effect has a key made from the payment's id, never from this run's.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from domain.errors import DomainError
from domain.payments.payment import Payment
from domain.payments.status import PaymentStatus
from workflows.command_queue import CommandQueue, as_failure, update_id
from workflows.payments.messages import (
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    ElapsedDeadline,
    PaymentCommand,
    PaymentOrder,
    PaymentProgress,
    ResolveReview,
    RetryReview,
)
from workflows.payments.process import PaymentProcess
from workflows.policies import MAX_WAITING_COMMANDS
from workflows.saga import SAGA_FAILURES, shielded


@workflow.defn
class PaymentWorkflow:
    """One payment; its id is the workflow's id."""

    @workflow.init
    def __init__(self, order: PaymentOrder) -> None:
        self._process = PaymentProcess(order)
        self._timers = order.timers
        self._queue: CommandQueue[PaymentCommand, Payment] = CommandQueue(MAX_WAITING_COMMANDS)
        self._waits_for = ""
        self._deadline: datetime | None = None
        self._settled = False

    @workflow.run
    async def run(self, order: PaymentOrder) -> Payment:
        """Carry the payment to its end, and return it as it ended."""
        cancelled = False
        step = self._process.undo.recover() if order.recover else self._process.open(confirm=order.confirm)
        while True:
            try:
                await step
            except SAGA_FAILURES as failure:
                cancelled = cancelled or isinstance(failure, asyncio.CancelledError) or is_cancelled_exception(failure)
                await shielded(self._process.undo.after_failure(failure))
            self._settled = True
            self._queue.answer(self._process.payment)
            if self._process.payment.status.is_final:
                break
            step = self._take_next_command()
        self._show("")
        self._queue.close(self._process.payment, self._process.check, self._process.has_carried_out)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if cancelled:
            raise asyncio.CancelledError
        return self._process.payment

    async def _take_next_command(self) -> None:
        """Wait for the next command, or for the end of the payment's time, and carry it out."""
        self._process.journal.stop_if_cancelled()
        command = await self._next_command()
        self._show("")
        refusal = await self._process.carry_out(command, self._queue.current_id)
        if refusal is not None:
            self._queue.refuse(refusal)

    async def _next_command(self) -> PaymentCommand:
        self._waits_for, patience, afterwards = self._what_to_wait_for()
        self._deadline = workflow.now() + patience if patience is not None else None
        self._show(self._waits_for, afterwards)
        try:
            await workflow.wait_condition(lambda: bool(self._queue), timeout=patience, timeout_summary=self._waits_for)
        except TimeoutError:
            return ElapsedDeadline()
        finally:
            self._deadline = None
            self._waits_for = ""
        return self._queue.take()

    def _what_to_wait_for(self) -> tuple[str, timedelta | None, str]:
        """Return what the payment waits for, how long, and what happens when that time is over."""
        payment = self._process.payment
        match payment.status:
            case PaymentStatus.REQUIRES_CAPTURE:
                left = (
                    payment.expires_at - workflow.now() if payment.expires_at else self._timers.authorization_lifetime
                )
                afterwards = "what is not captured is released, and the payment ends"
                return "the client to capture or cancel", max(left, timedelta(0)), afterwards
            case PaymentStatus.REQUIRES_ACTION:
                challenge = "the cardholder to answer the issuer's challenge, then a confirm"
                return challenge, self._timers.challenge_timeout, "the payment fails"
            case PaymentStatus.NEEDS_REVIEW:
                return "an operator: send the update `retry` or `resolve`", None, ""
        return "the client to confirm, with a payment method", self._timers.abandon_after, "the payment is canceled"

    def _show(self, waits_for: str, afterwards: str = "") -> None:
        process = self._process
        process.journal.show(waits_for, self._deadline, process.undo.saga.names, afterwards)

    def _validate(self, command: PaymentCommand) -> None:
        """Say no at once where waiting could not help. While a step runs, a command waits for its turn instead."""
        self._queue.require_room()
        if self._process.has_carried_out(update_id()):
            return
        idle = bool(self._waits_for) and not self._queue
        if idle or self._process.payment.status.is_final:
            try:
                self._process.check(command)
            except DomainError as refusal:
                raise as_failure(refusal) from refusal

    # What a client may send

    @workflow.update
    async def submit(self) -> Payment:
        """Return the payment once its first step is done; sent together with the start."""
        await workflow.wait_condition(lambda: self._settled)
        return self._process.payment

    @workflow.update
    async def confirm(self, command: ConfirmPayment) -> Payment:
        """Begin an attempt, with another payment method if one is given, and return how it went."""
        return await self._queue.ask(command)

    @confirm.validator
    def _validate_confirm(self, command: ConfirmPayment) -> None:
        self._validate(command)

    @workflow.update
    async def capture(self, command: CapturePayment) -> Payment:
        """Capture part or all of what is authorized."""
        return await self._queue.ask(command)

    @capture.validator
    def _validate_capture(self, command: CapturePayment) -> None:
        self._validate(command)

    @workflow.update
    async def cancel(self, command: CancelPayment) -> Payment:
        """Give up what is not captured."""
        return await self._queue.ask(command)

    @cancel.validator
    def _validate_cancel(self, command: CancelPayment) -> None:
        self._validate(command)

    # What an operator may send

    @workflow.update
    async def retry(self, command: RetryReview) -> Payment:
        """Try again to undo what could not be undone."""
        return await self._queue.ask(command)

    @retry.validator
    def _validate_retry(self, command: RetryReview) -> None:
        self._validate(command)

    @workflow.update
    async def resolve(self, command: ResolveReview) -> Payment:
        """Close a review with the outcome found at the gateway."""
        return await self._queue.ask(command)

    @resolve.validator
    def _validate_resolve(self, command: ResolveReview) -> None:
        self._validate(command)

    @workflow.query
    def progress(self) -> PaymentProgress:
        """Return what the payment is doing, what it waits for, and what would be undone if it failed now."""
        process = self._process
        return PaymentProgress(
            process.payment,
            "done" if process.payment.status.is_final else process.journal.step,
            self._waits_for,
            self._deadline,
            process.undo.saga.names,
            len(self._queue),
        )
