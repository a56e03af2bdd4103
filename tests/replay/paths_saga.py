"""What goes wrong with payments: lost answers, refusals by gateway or ledger, cancellation, termination, review."""

from __future__ import annotations

import asyncio

from domain.payments.status import PaymentStatus
from tests.replay.paths_card import authorized
from tests.replay.scene import Scene, path
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentHandle
from workflows.payments.messages import CapturePayment, ResolveReview, RetryReview
from workflows.payments.payment import PaymentWorkflow

S = PaymentStatus
OPERATOR = "operator-1"


# No answer from the gateway


@path
async def authorization_lost_before_the_bank(scene: Scene) -> None:
    scene.fail("authorize", Fault.LOST_BEFORE)
    await scene.expect(await scene.pay(scene.card(), S.SUCCEEDED), "succeeded")


@path
async def authorization_lost_after_the_bank(scene: Scene) -> None:
    scene.fail("authorize", Fault.LOST_AFTER)
    await scene.expect(await scene.pay(scene.card(), S.SUCCEEDED), "succeeded")


@path
async def authorization_never_learned(scene: Scene) -> None:
    """Every resend is lost too, so the payment is undone."""
    scene.fail("authorize", *[Fault.LOST_BEFORE] * 4)
    await scene.expect(await scene.pay(scene.card(), S.FAILED), "failed")


@path
async def capture_lost_after_the_bank(scene: Scene) -> None:
    scene.fail("capture", Fault.LOST_AFTER)
    handle = await authorized(scene)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment())
    await scene.expect(handle, "succeeded")


@path
async def gateway_unreachable_for_a_while(scene: Scene) -> None:
    scene.fail("authorize", Fault.UNAVAILABLE)
    await scene.expect(await scene.pay(scene.card(), S.SUCCEEDED), "succeeded")


# Refusals


@path
async def authorization_rejected(scene: Scene) -> None:
    scene.fail("authorize", Fault.REJECTED)
    await scene.expect(await scene.pay(scene.card(), S.FAILED), "failed")


@path
async def sale_refused_by_the_ledger(scene: Scene) -> None:
    scene.world.book.refuse["capture"] = "pending_transfer_expired"
    await scene.expect(await scene.pay(scene.card(), S.FAILED), "failed")


@path
async def capture_rejected_after_a_part(scene: Scene) -> None:
    handle = await authorized(scene)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    scene.fail("capture", Fault.REJECTED)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(500, final=False))
    await scene.expect(handle, "partially_captured")


@path
async def database_unreachable_for_long(scene: Scene) -> None:
    """Longer than a workflow task may take, so the worker asks for another one meanwhile."""
    scene.world.book.fail_times["hold"] = 7
    await scene.expect(await scene.pay(scene.card(), S.SUCCEEDED), "succeeded")


# Cancellation in Temporal


@path
async def canceled_in_temporal_during_the_authorization(scene: Scene) -> None:
    scene.fail("authorize", Fault.UNAVAILABLE, Fault.HANGS_AFTER)  # the second request is an activity of its own
    handle = await scene.start(scene.card())
    await scene.reached()
    await scene.reached()
    await handle.cancel()
    await scene.expect(handle, "canceled")


@path
async def canceled_in_temporal_during_a_capture(scene: Scene) -> None:
    handle = await authorized(scene)
    scene.fail("capture", Fault.UNAVAILABLE, Fault.HANGS_AFTER)
    scene.gateway.reached.clear()
    capture = asyncio.ensure_future(handle.execute_update(PaymentWorkflow.capture, CapturePayment()))
    await scene.reached()
    await scene.reached()
    await handle.cancel()
    assert (await capture).status is S.CANCELED
    await scene.expect(handle, "canceled")


@path
async def canceled_in_temporal_while_waiting(scene: Scene) -> None:
    handle = await authorized(scene)
    await handle.cancel()
    await scene.expect(handle, "canceled")


# Termination


@path
async def terminated_while_authorized(scene: Scene) -> None:
    handle = await authorized(scene)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    await handle.terminate("by hand")
    await scene.recover(handle.id)
    await scene.expect(handle, "partially_captured")


@path
async def terminated_during_the_authorization(scene: Scene) -> None:
    scene.fail("authorize", Fault.UNAVAILABLE, Fault.HANGS_AFTER)  # the second request is an activity of its own
    handle = await scene.start(scene.card())
    await scene.reached()
    await scene.reached()
    await handle.terminate("by hand")
    await scene.recover(handle.id)
    await scene.expect(handle, "failed")


# Review by a person


async def _under_review(scene: Scene, reversals: int = 1) -> PaymentHandle:
    scene.fail("reverse", *[Fault.REJECTED] * reversals)
    handle = await authorized(scene)
    await handle.cancel()
    await scene.until(handle, S.NEEDS_REVIEW)
    return handle


@path
async def reviewed_and_retried(scene: Scene) -> None:
    """The first retry fails as well and comes back to review."""
    handle = await _under_review(scene, reversals=2)
    for expected in (S.NEEDS_REVIEW, S.CANCELED):
        tried = await handle.execute_update(PaymentWorkflow.retry, RetryReview(OPERATOR))
        assert tried.status is expected
    await scene.expect(handle, "canceled")


@path
async def reviewed_and_resolved_as_paid(scene: Scene) -> None:
    handle = await _under_review(scene)
    await handle.execute_update(PaymentWorkflow.resolve, ResolveReview(OPERATOR, S.SUCCEEDED, "settled at the bank"))
    await scene.expect(handle, "succeeded")


@path
async def reviewed_and_resolved_as_failed(scene: Scene) -> None:
    scene.fail("authorize", Fault.REJECTED).fail("reverse", Fault.REJECTED)
    handle = await scene.pay(scene.card(), S.NEEDS_REVIEW)
    await handle.execute_update(PaymentWorkflow.resolve, ResolveReview(OPERATOR, S.FAILED, "nothing at the bank"))
    await scene.expect(handle, "failed")
