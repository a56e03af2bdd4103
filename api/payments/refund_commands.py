"""Refunds as the API asks for them.

Invariant: a refund's id follows from tenant and key alone. What may be refunded is decided where the refund is booked; the
amount "all that is left" is fixed when the refund is first asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime

from api import problems
from api.engine import Refused, WorkflowEnded
from api.money_call import Accepted, Done, MoneyCall, NothingBegun
from api.payments.commands import as_problem
from api.payments.requests import CreateRefund
from api.problems import FieldError, Problem
from api.services import Services
from domain import ids
from domain.errors import IllegalTransition
from domain.money import Money
from domain.payments.refund import REFUND_TRANSITIONS, Refund, RefundAction, RefundStatus
from infra.postgres.idempotency import Claim, ClaimOutcome
from infra.postgres.stored_payments import StoredPayment
from workflows.payments.messages import RefundOrder, ResolveRefund, RetryReview
from workflows.payments.refund import RefundWorkflow

INSUFFICIENT_FUNDS = "insufficient_funds"
_NEVER_BOOKED = ("account_closed", "account_not_found", "currency_mismatch", "payment_not_found")


async def create(
    services: Services, call: MoneyCall, payment_id: str, wanted: CreateRefund, claim: Claim
) -> Done | Accepted:
    """Start the refund, or find it when it was started before."""
    stored = claim.payment
    if stored is None:
        raise NothingBegun(_exceeds("Nothing of this payment is captured yet."))
    refund = _new_refund(call, stored, wanted, claim)
    path = f"/v1/refunds/{refund.id}"
    made: Refund | None
    try:
        made = await services.engine.refund(RefundOrder(refund, stored.payment), ids.update_id(call.key), call.wait_s)
    except WorkflowEnded:
        made = await services.payments.refund(call.tenant_id, refund.id)
        made = made or await services.engine.refund_as_ended(refund.id)
        if made is None or not made.status.is_final:  # terminated, and not recovered yet: no answer to keep
            detail = f"The workflow of refund {refund.id} was stopped from outside."
            raise Problem(problems.PAYMENT_INTERRUPTED, detail) from None
    except Refused as refusal:
        raise as_problem(refusal) from refusal
    if made is None:
        known = await services.payments.refund(call.tenant_id, refund.id)
        if known is not None:
            return Accepted(services.presenter.refund(known), path)
        return Accepted(services.presenter.refund(refund), path, unwritten_id=refund.id)
    if (made.payment_id, made.reason) != (payment_id, wanted.reason) or wanted.amount not in (None, made.amount_minor):
        raise Problem(problems.IDEMPOTENCY_KEY_REUSED, f"This Idempotency-Key made another refund before, {made.id}.")
    _require_booked(made)
    return Done(services.presenter.refund(made), 201, path)


def _new_refund(call: MoneyCall, stored: StoredPayment, wanted: CreateRefund, claim: Claim) -> Refund:
    payment, left = stored.payment, stored.amount_refundable_minor
    amount = wanted.amount
    if amount is None:
        amount = claim.refund.amount_minor if claim.refund is not None else left
    is_new = claim.outcome is ClaimOutcome.CLAIMED and claim.refund is None  # a lost key does not make it new
    if amount <= 0 or (is_new and amount > left):
        captured = Money(payment.amount_captured_minor, payment.currency)
        problem = _exceeds(f"{Money(left, payment.currency)} of {captured} captured can still be refunded.")
        raise NothingBegun(problem) if is_new else problem
    return Refund(
        call.tenant_id,
        ids.refund_id(call.tenant_id, call.key),
        payment.id,
        amount,
        payment.currency,
        datetime.now(UTC),
        reason=wanted.reason,
    )


def _exceeds(detail: str) -> Problem:
    return Problem(problems.REFUND_EXCEEDS_CAPTURED, detail, errors=[FieldError("/amount", detail)])


def _require_booked(refund: Refund) -> None:
    """Refuse what was never written. A refund that failed later, or for lack of funds, exists and is the answer."""
    code, message = refund.failure_code or "", refund.failure_message or ""
    if refund.status is not RefundStatus.FAILED or code == INSUFFICIENT_FUNDS:
        return
    if code == problems.REFUND_EXCEEDS_CAPTURED.code:
        raise _exceeds(message)
    if code in _NEVER_BOOKED or code.startswith("ledger_"):
        raise Problem(problems.REFUND_REFUSED, message)


async def review(
    services: Services, call: MoneyCall, refund: Refund, message: RetryReview | ResolveRefund
) -> Done | Accepted:
    """Send an operator's decision to a refund and answer with the refund as it then is."""
    update = RefundWorkflow.retry if isinstance(message, RetryReview) else RefundWorkflow.resolve
    try:
        left = await services.engine.command(refund.id, update, message, ids.update_id(call.key), call.wait_s)
    except WorkflowEnded:
        now = await services.payments.refund(call.tenant_id, refund.id) or refund
        try:
            REFUND_TRANSITIONS.after(now.status, _action_of(message))
        except IllegalTransition as refusal:
            raise problems.of_domain(refusal) from None
        detail = f"The workflow of refund {refund.id} was stopped from outside."
        raise Problem(problems.PAYMENT_INTERRUPTED, detail) from None
    except Refused as refusal:
        raise as_problem(refusal) from refusal
    if left is None:
        now = await services.payments.refund(call.tenant_id, refund.id) or refund
        return Accepted(services.presenter.refund(now), f"/v1/refunds/{refund.id}")
    return Done(services.presenter.refund(left))


def _action_of(message: RetryReview | ResolveRefund) -> RefundAction:
    if isinstance(message, RetryReview):
        return RefundAction.RETRY
    return RefundAction.SUCCEED if message.succeeded else RefundAction.FAIL
