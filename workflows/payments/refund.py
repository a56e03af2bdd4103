"""A refund of a captured payment, whole or in part.

It checks the refund against what was captured and reserves its amount on the paid account, asks the gateway to give the money
back, and books it. A wallet payment is refunded inside the ledger alone.

Invariants
- Once the gateway may have been asked, a refund only goes forward or to a person: money that may have left is never
  released. So the work is shielded, and a cancellation in Temporal has no effect on it.
- What is reserved is released only after a definite no.
- A step that meets what a lost run had written in its place takes over that run's row.
"""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.gateway import GatewayActivities
from activities.gateway_port import GatewayOutcome, GatewayResult, RefundRequest
from activities.payment_book import PaymentBookActivities
from activities.payment_book_port import RefundRecord
from domain.errors import DomainError
from domain.ids import effect_key
from domain.ledger.entries import JournalEntry
from domain.money import Money
from domain.payments import booking, explain
from domain.payments.payment import PaymentKind
from domain.payments.record import OVERTAKEN, Operation, RecordOutcome, TimelineEvent
from domain.payments.refund import REFUND_TRANSITIONS, Refund, RefundAction, RefundStatus
from domain.payments.status import OperationAction, OperationKind
from workflows.payments.gateway_call import GatewayCall
from workflows.payments.messages import RefundOrder, RefundProgress, ResolveRefund, RetryReview
from workflows.policies import BOOK_RETRY, BOOK_TIMEOUT
from workflows.saga import SAGA_FAILURES, code_of, reason_of, shielded
from workflows.visibility import DETAILS_END, NEEDS_REVIEW, PAYMENT_STATUS


@workflow.defn
class RefundWorkflow:
    """One refund; its id is the workflow's id."""

    @workflow.init
    def __init__(self, order: RefundOrder) -> None:
        self._refund = order.refund
        self._payment = order.payment
        self._step = "received"
        self._settled = False
        self._may_be_first = False
        self._answer: RetryReview | ResolveRefund | None = None
        key = effect_key(order.refund.id, "refund", 1)
        self._operation = Operation(key, order.refund.id, OperationKind.REFUND, order.refund.amount_minor)

    @workflow.run
    async def run(self, order: RefundOrder) -> Refund:  # noqa: ARG002 - __init__ took it
        """Carry the refund to its end, and return it as it ended."""
        await shielded(self._play())
        self._settled = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._refund

    async def _play(self) -> None:
        if not await self._open():
            return
        while not self._refund.status.is_final:
            if self._refund.status is RefundStatus.NEEDS_REVIEW:  # an earlier run had sent it to a person
                await self._review(self._refund.failure_message or "")
                continue
            try:
                await self._give_back()
            except SAGA_FAILURES as failure:
                await self._review(reason_of(failure))

    @property
    def _money(self) -> Money:
        return Money(self._refund.amount_minor, self._refund.currency)

    # Steps

    async def _open(self) -> bool:
        self._show(f"reserving {self._money} on {self._payment.credit_account}")
        operations = (self._operation,) if self._payment.kind is PaymentKind.CARD else ()
        outcome = await self._write(
            self._refund,
            "refund_requested",
            f"Refund of {self._money} requested; reserve it",
            entry=booking.reserve_refund(self._payment, self._refund.id, self._refund.amount_minor),
            operations=operations,
            opening=True,
        )
        self._may_be_first = outcome.is_new
        if await self._was_overtaken(outcome):
            return True
        if not outcome.booked:
            code = explain.refusal_code(outcome)
            message = outcome.detail or explain.decline(code)
            self._refund = self._refund.moved(RefundAction.FAIL, code, message)
            if explain.is_funds_refusal(outcome):
                await self._write(self._refund, "refund_refused", f"Refund refused: {message}")
        return outcome.booked

    async def _give_back(self) -> None:
        if self._payment.kind is PaymentKind.WALLET:
            await self._book((), None)
            return
        self._show(f"refunding {self._money} at {self._payment.gateway}")
        request = RefundRequest(
            self._operation.key,
            self._payment.id,
            self._payment.gateway_reference or "",
            self._refund.amount_minor,
            self._refund.currency,
        )
        first, self._may_be_first = self._may_be_first, False
        call = GatewayCall(
            GatewayActivities.refund,
            self._payment.gateway,
            request,
            f"Refund {self._money}",
            on_unknown=self._note_unknown,
            on_wait=lambda: None,
        )
        try:
            result = await call.send(first=first)
        except SAGA_FAILURES as failure:
            if code_of(failure) != "gateway_rejected":
                raise
            await self._fail("gateway_rejected", reason_of(failure))
            return
        if result.outcome is GatewayOutcome.APPROVED:
            await self._book((self._operation.after(OperationAction.SUCCEED, result.operation_reference),), result)
        else:
            code = result.decline_code or "refund_declined"
            await self._fail(code, f"{self._payment.gateway} declined the refund: {code}.")

    async def _book(self, operations: tuple[Operation, ...], result: GatewayResult | None) -> None:
        self._show(f"booking {self._money}")
        reference = result.operation_reference if result else None
        outcome = await self._write(
            self._refund.moved(RefundAction.SUCCEED, reference=reference),
            "refunded",
            f"{self._money} refunded; book it",
            entry=booking.book_refund(self._payment, self._refund.id),
            operations=operations,
        )
        await self._require_booked(outcome, "booking")

    async def _fail(self, code: str, message: str) -> None:
        outcome = await self._write(
            self._refund.moved(RefundAction.FAIL, code, message),
            "refund_failed",
            f"Refund failed: {message}",
            entry=booking.release_refund(self._payment, self._refund.id),
            operations=(self._operation.after(OperationAction.FAIL, error=code),),
        )
        await self._require_booked(outcome, "release")

    async def _note_unknown(self, reason: str) -> None:
        self._show(f"asking {self._payment.gateway} what became of the refund")
        unknown = self._operation.after(OperationAction.LOSE_ANSWER, error="outcome_unknown")
        await self._write(
            self._refund, "refund_outcome_unknown", f"No answer to the refund ({reason})", operations=(unknown,)
        )

    # Review by a person

    async def _review(self, reason: str) -> None:
        if self._refund.status is not RefundStatus.NEEDS_REVIEW:
            moved = self._refund.moved(RefundAction.REVIEW, "outcome_unknown", reason)
            outcome = await self._write(moved, "refund_needs_review", f"A person must look: {reason}")
            await self._was_overtaken(outcome)
        workflow.upsert_search_attributes([NEEDS_REVIEW.value_set(True)])
        while self._refund.status is RefundStatus.NEEDS_REVIEW:
            self._settled = True
            self._show(
                "waiting for an operator: `retry` asks the gateway again; `resolve` closes it as you found it there"
            )
            await workflow.wait_condition(lambda: self._answer is not None)
            answer, self._answer = self._answer, None
            try:
                await self._act_on(answer)
            except SAGA_FAILURES as failure:
                self._refund = replace(self._refund, failure_message=reason_of(failure))
        workflow.upsert_search_attributes([NEEDS_REVIEW.value_set(False)])

    async def _act_on(self, answer: RetryReview | ResolveRefund | None) -> None:
        match answer:
            case RetryReview(actor=actor, note=note):
                retried = self._refund.moved(RefundAction.RETRY)
                outcome = await self._write(retried, "refund_retried", f"Tried again by {actor}. {note}".strip())
                await self._was_overtaken(outcome)
            case ResolveRefund(actor=actor, succeeded=True, note=note):
                await self._resolve(
                    RefundAction.SUCCEED, booking.book_refund(self._payment, self._refund.id), actor, note
                )
            case ResolveRefund(actor=actor, note=note):
                await self._resolve(
                    RefundAction.FAIL, booking.release_refund(self._payment, self._refund.id), actor, note
                )

    async def _resolve(self, action: RefundAction, entry: JournalEntry, actor: str, note: str) -> None:
        ended = self._refund.moved(action, "resolved_by_operator", note)
        outcome = await self._write(
            ended, "refund_resolved", f"Resolved as {ended.status} by {actor}: {note}", entry=entry
        )
        await self._require_booked(outcome, "booking")

    # Records

    async def _require_booked(self, outcome: RecordOutcome, what: str) -> None:
        if not await self._was_overtaken(outcome) and not outcome.booked:
            raise ApplicationError(f"The ledger refused the {what}: {outcome.result}.", non_retryable=True)

    async def _was_overtaken(self, outcome: RecordOutcome) -> bool:
        """Tell whether a run that was lost had written more, or another step in place of this one; then its row is taken over."""
        if outcome.result != OVERTAKEN:
            return False
        written = await workflow.execute_local_activity_method(
            PaymentBookActivities.read_refund,
            args=[self._refund.tenant_id, self._refund.id],
            start_to_close_timeout=BOOK_TIMEOUT,
            retry_policy=BOOK_RETRY,
            summary="Read the refund as it is written",
        )
        self._refund = written or self._refund
        self._publish()
        return True

    async def _write(
        self,
        after: Refund,
        name: str,
        text: str,
        *,
        entry: JournalEntry | None = None,
        operations: tuple[Operation, ...] = (),
        opening: bool = False,
    ) -> RecordOutcome:
        event = TimelineEvent(
            effect_key(after.id, name, after.version),
            name,
            text,
            workflow.now(),
            after.id,
            after.amount_minor,
            entry.key if entry else None,
            after.gateway_reference,
        )
        outcome = await workflow.execute_local_activity_method(
            PaymentBookActivities.open_refund if opening else PaymentBookActivities.book_refund,
            RefundRecord(after, (event,), entry, operations, open=opening),
            start_to_close_timeout=BOOK_TIMEOUT,
            retry_policy=BOOK_RETRY,
            summary=text,
        )
        if outcome.booked:
            self._refund = after
            self._publish()
        return outcome

    def _publish(self) -> None:
        if self._refund.status is not RefundStatus.PENDING:
            workflow.upsert_search_attributes([PAYMENT_STATUS.value_set(f"refund_{self._refund.status}")])

    def _show(self, step: str) -> None:
        self._step = step
        lines = [
            f"Refund of **{self._money}** for payment `{self._payment.id}`: **{self._refund.status}**",
            f"Now {step}.",
        ]
        if self._refund.failure_message:
            lines.append(f"Last: {self._refund.failure_message}")
        workflow.set_current_details("\n\n".join([*lines, DETAILS_END]))

    # Messages

    @workflow.update
    async def submit(self) -> Refund:
        """Return the refund once it is done, or once a person must look; sent together with the start."""
        await workflow.wait_condition(lambda: self._settled)
        return self._refund

    @workflow.update
    async def retry(self, command: RetryReview) -> Refund:
        """Ask the gateway again."""
        return await self._take(command)

    @retry.validator
    def _validate_retry(self, command: RetryReview) -> None:  # noqa: ARG002 - any retry is as good
        self._require(RefundAction.RETRY)

    @workflow.update
    async def resolve(self, command: ResolveRefund) -> Refund:
        """Close a review with what was found at the gateway."""
        return await self._take(command)

    @resolve.validator
    def _validate_resolve(self, command: ResolveRefund) -> None:
        self._require(RefundAction.SUCCEED if command.succeeded else RefundAction.FAIL)

    def _require(self, action: RefundAction) -> None:
        waiting = self._refund.status is RefundStatus.NEEDS_REVIEW and self._answer is None
        try:
            REFUND_TRANSITIONS.after(self._refund.status if waiting else RefundStatus.SUCCEEDED, action)
        except DomainError as refusal:
            raise ApplicationError(str(refusal), refusal.advice, type=refusal.code, non_retryable=True) from refusal

    async def _take(self, command: RetryReview | ResolveRefund) -> Refund:
        self._settled = False
        self._answer = command
        await workflow.wait_condition(lambda: self._settled)
        return self._refund

    @workflow.query
    def progress(self) -> RefundProgress:
        """Return what the refund is doing."""
        waits = "an operator" if self._refund.status is RefundStatus.NEEDS_REVIEW else ""
        return RefundProgress(self._refund, self._step, waits)
