"""What a client can have done to a payment, as messages to its workflow, and their outcomes as answers.

Invariant: the workflow decides. What is checked here before is only what it would refuse anyway, and only for a call that
cannot have begun before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api import problems
from api.engine import Refused, WorkflowEnded
from api.money_call import Accepted, Done, MoneyCall, NothingBegun
from api.payments.requests import CardMethod, CreatePayment, WalletMethod, source_of
from api.problems import RETRY_AFTER, FieldError, Problem
from api.services import Services
from domain import ids
from domain.errors import DomainError
from domain.payments.payment import Payment, PaymentKind
from domain.payments.status import PaymentStatus
from infra.postgres.idempotency import Claim, ClaimOutcome
from infra.postgres.stored_payments import StoredPayment
from workflows.payments.messages import ConfirmPayment, PaymentOrder

CARD_GATEWAY = "sandbox"
"""The gateway of card payments."""

_ASKED_FOR = (
    "kind",
    "amount_minor",
    "currency",
    "capture_method",
    "credit_account",
    "customer",
    "description",
    "metadata",
    "attempts_allowed",
)
"""What of a payment never changes after its creation."""


@dataclass(frozen=True, slots=True)
class PaymentCommand:
    """An update to a payment. `refuse` raises the DomainError of a payment that has ended."""

    update: Any
    message: object
    refuse: Callable[[Payment], object]


def new_payment(call: MoneyCall, wanted: CreatePayment) -> Payment:
    """Return the payment as it begins; its id follows from tenant and key alone."""
    method = wanted.payment_method
    wallet = method if isinstance(method, WalletMethod) else None
    status = PaymentStatus.REQUIRES_PAYMENT_METHOD if method is None else PaymentStatus.REQUIRES_CONFIRMATION
    return Payment(
        tenant_id=call.tenant_id,
        id=ids.payment_id(call.tenant_id, call.key),
        kind=PaymentKind.WALLET if wallet else PaymentKind.CARD,
        amount_minor=wanted.amount,
        currency=wanted.currency,
        capture_method=wanted.capture_method,
        debit_account=wallet.account if wallet else ids.clearing_account(CARD_GATEWAY, wanted.currency),
        credit_account=wanted.account,
        created_at=datetime.now(UTC),
        status=status,
        gateway="" if wallet else CARD_GATEWAY,
        payment_method=None if method is None else source_of(method),
        customer=wanted.customer,
        description=wanted.description,
        metadata=wanted.metadata,
        attempts_allowed=wanted.attempts_allowed,
        trace_id=call.trace_id,
    )


async def create(services: Services, call: MoneyCall, wanted: CreatePayment, claim: Claim) -> Done | Accepted:
    """Start the payment, or find it when it was started before."""
    payment = new_payment(call, wanted)
    if claim.outcome is ClaimOutcome.CLAIMED:
        await _require_accounts(services, payment)
    path = f"/v1/payments/{payment.id}"
    order = PaymentOrder(payment, confirm=wanted.confirm, timers=wanted.timers.to_message())
    try:
        made = await services.engine.submit(order, ids.update_id(call.key), call.wait_s)
    except WorkflowEnded:
        stored = await _written(services, call.tenant_id, payment.id)
        _require_same(stored.payment, payment)
        if not stored.payment.status.is_final:  # terminated, and not recovered yet: no answer to keep
            raise _interrupted(payment.id) from None
        return Done(services.presenter.stored(stored), 201, path)
    except Refused as refusal:
        raise as_problem(refusal) from refusal
    if made is None:
        known = await services.payments.payment(call.tenant_id, payment.id)
        if known is not None:
            return Accepted(services.presenter.stored(known), path)
        return Accepted(services.presenter.payment(payment), path, unwritten_id=payment.id)
    _require_same(made, payment)
    return Done(services.presenter.payment(made), 201, path)


async def _require_accounts(services: Services, payment: Payment) -> None:
    roles = {"/account": payment.credit_account}
    if payment.kind is PaymentKind.WALLET:
        roles["/payment_method/account"] = payment.debit_account
    try:
        await services.directory.require_payable(payment.tenant_id, payment.currency, roles)
    except Problem as problem:
        raise NothingBegun(problem) from None


def _require_same(made: Payment, asked: Payment) -> None:
    """Refuse a key that led to another payment: what was remembered of its first use is gone."""
    if any(getattr(made, name) != getattr(asked, name) for name in _ASKED_FOR):
        raise Problem(problems.IDEMPOTENCY_KEY_REUSED, f"This Idempotency-Key made another payment before, {made.id}.")


async def send(
    services: Services, call: MoneyCall, payment_id: str, command: PaymentCommand, claim: Claim
) -> Done | Accepted:
    """Send a command to a payment and answer with the payment as the command left it."""
    known, command_id = claim.payment, ids.update_id(call.key)
    try:
        left = await services.engine.command(payment_id, command.update, command.message, command_id, call.wait_s)
    except WorkflowEnded:
        ended = await _written(services, call.tenant_id, payment_id)
        if command_id in ended.payment.commands and ended.payment.status.is_final:  # carried out in an earlier run
            return Done(services.presenter.stored(ended))
        if not ended.payment.status.is_final:  # the row may be ahead or behind: it is not for it to refuse
            raise _interrupted(payment_id) from None
        try:
            command.refuse(ended.payment)
        except DomainError as refusal:
            raise problems.of_domain(refusal) from None
        raise _interrupted(payment_id) from None
    except Refused as refusal:
        raise as_problem(refusal) from refusal
    if left is None:
        now = await services.payments.payment(call.tenant_id, payment_id)
        if now is None:
            raise Problem(problems.NO_WORKER, "The payment is not written down yet.", headers=RETRY_AFTER)
        return Accepted(services.presenter.stored(now), f"/v1/payments/{payment_id}")
    refunded, refunding = (known.amount_refunded_minor, known.amount_refunding_minor) if known else (0, 0)
    return Done(services.presenter.payment(left, refunded, refunding))


def confirmation(method: CardMethod | WalletMethod | None, claim: Claim) -> ConfirmPayment:
    """Return the message of a confirm. Raises NothingBegun when the method is not of the payment's kind."""
    if method is None:
        return ConfirmPayment()
    kind = PaymentKind.CARD if isinstance(method, CardMethod) else PaymentKind.WALLET
    if claim.payment is not None and claim.payment.payment.kind is not kind:
        detail = f"A {claim.payment.payment.kind} payment cannot be confirmed with a {kind}."
        error = FieldError("/payment_method/type", detail)
        raise NothingBegun(Problem(problems.PAYMENT_METHOD_MISMATCH, detail, errors=[error]))
    return ConfirmPayment(source_of(method))


async def require_payer(services: Services, call: MoneyCall, method: object, claim: Claim) -> None:
    """Check the wallet that a confirm names, unless the confirm may have begun before."""
    if claim.outcome is not ClaimOutcome.CLAIMED or claim.payment is None or not isinstance(method, WalletMethod):
        return
    payment = claim.payment.payment
    try:
        if method.account == payment.credit_account:
            detail = "A wallet cannot pay itself: name two accounts."
            error = FieldError("/payment_method/account", detail)
            raise Problem(problems.ACCOUNTS_MUST_DIFFER, detail, errors=[error])
        await services.directory.require_payable(
            call.tenant_id, payment.currency, {"/payment_method/account": method.account}
        )
    except Problem as problem:
        raise NothingBegun(problem) from None


def as_problem(refusal: Refused) -> Exception:
    """Return the problem that a workflow's refusal is; a refusal that has none is a defect."""
    return problems.refusal(refusal.code, str(refusal), refusal.advice) or refusal


async def _written(services: Services, tenant_id: str, payment_id: str) -> StoredPayment:
    stored = await services.payments.payment(tenant_id, payment_id)
    if stored is None:
        raise _interrupted(payment_id)
    return stored


def _interrupted(payment_id: str) -> Problem:
    return Problem(problems.PAYMENT_INTERRUPTED, f"The workflow of payment {payment_id} was stopped from outside.")
