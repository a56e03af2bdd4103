"""Refunds: whole, in part, refused, lost, reviewed."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.payments.payment import Payment
from domain.payments.refund import Refund, RefundAction, RefundStatus
from tests.replay.scene import Scene, path
from tests.support.fake_gateway import Fault
from workflows.payments.messages import ResolveRefund, RetryReview
from workflows.payments.refund import RefundWorkflow

OPERATOR = "operator-1"


async def _paid(scene: Scene) -> Payment:
    """Return a captured card payment; its own run is not part of the path."""
    return await scene.world.pay(scene.card())


async def _refund(scene: Scene, amount_minor: int, expected: RefundStatus) -> None:
    refund = await scene.refund(await _paid(scene), amount_minor)
    assert refund.status is expected, f"{refund.status}, expected {expected}"


@path
async def refunded_whole(scene: Scene) -> None:
    await _refund(scene, 2933, RefundStatus.SUCCEEDED)


@path
async def refunded_in_part(scene: Scene) -> None:
    await _refund(scene, 1000, RefundStatus.SUCCEEDED)


@path
async def refund_over_what_was_captured(scene: Scene) -> None:
    await _refund(scene, 2934, RefundStatus.FAILED)


@path
async def refund_of_money_that_was_spent(scene: Scene) -> None:
    scene.world.book.refuse["refund_hold"] = "exceeds_credits"
    await _refund(scene, 1000, RefundStatus.FAILED)


@path
async def refund_refused_by_a_run_that_was_lost(scene: Scene) -> None:
    """The money is there again; what was written stands."""
    payment, begun = await _paid(scene), datetime.now(UTC)
    lost = Refund("default", f"re_{scene.name}", payment.id, 1000, payment.currency, begun)
    scene.world.book.refunds[lost.id] = lost.moved(RefundAction.FAIL, "insufficient_funds", "Not enough money.")
    assert (await scene.refund(payment, 1000)).status is RefundStatus.FAILED
    assert "refund" not in scene.gateway.calls


@path
async def refund_declined(scene: Scene) -> None:
    """The gateway has given the money back already, outside of the system."""
    payment = await _paid(scene)
    (charge,) = scene.gateway.charges.values()
    charge.refunded = charge.captured
    assert (await scene.refund(payment, 1000)).status is RefundStatus.FAILED


@path
async def refund_rejected(scene: Scene) -> None:
    scene.fail("refund", Fault.REJECTED)
    await _refund(scene, 1000, RefundStatus.FAILED)


@path
async def refund_lost_before_the_bank(scene: Scene) -> None:
    scene.fail("refund", Fault.LOST_BEFORE)
    await _refund(scene, 1000, RefundStatus.SUCCEEDED)


@path
async def refund_lost_after_the_bank(scene: Scene) -> None:
    scene.fail("refund", Fault.LOST_AFTER)
    await _refund(scene, 1000, RefundStatus.SUCCEEDED)


@path
async def refund_never_learned_then_retried(scene: Scene) -> None:
    scene.fail("refund", *[Fault.LOST_BEFORE] * 4)
    await _refund(scene, 1000, RefundStatus.NEEDS_REVIEW)
    await scene.refunding().execute_update(RefundWorkflow.retry, RetryReview(OPERATOR))
    await scene.expect(scene.refunding(), "succeeded")


@path
async def refund_never_learned_then_resolved(scene: Scene) -> None:
    scene.fail("refund", *[Fault.LOST_BEFORE] * 4)
    await _refund(scene, 1000, RefundStatus.NEEDS_REVIEW)
    found = ResolveRefund(OPERATOR, succeeded=False, note="nothing at the bank")
    await scene.refunding().execute_update(RefundWorkflow.resolve, found)
    await scene.expect(scene.refunding(), "failed")


@path
async def refund_canceled_in_temporal_goes_on(scene: Scene) -> None:
    scene.fail("refund", *[Fault.LOST_BEFORE] * 4)
    await _refund(scene, 1000, RefundStatus.NEEDS_REVIEW)
    await scene.refunding().cancel()
    await scene.refunding().execute_update(RefundWorkflow.retry, RetryReview(OPERATOR))
    await scene.expect(scene.refunding(), "succeeded")


@path
async def refund_of_a_wallet_payment(scene: Scene) -> None:
    scene.world.book.funds["payer"] = 5000
    payment = await scene.world.pay(scene.wallet())
    assert (await scene.refund(payment, 2933)).status is RefundStatus.SUCCEEDED
