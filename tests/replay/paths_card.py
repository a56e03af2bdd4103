"""What clients do with card payments: charge, capture, cancel, answer a challenge, or not."""

from __future__ import annotations

import asyncio

from domain.payments.payment import CaptureMethod
from domain.payments.status import PaymentStatus
from tests.replay.scene import Scene, path
from tests.support.payment_world import PaymentHandle
from workflows.payments.messages import CancelPayment, CapturePayment, ConfirmPayment, PaymentTimers
from workflows.payments.payment import PaymentWorkflow

S = PaymentStatus


async def authorized(scene: Scene, **order: object) -> PaymentHandle:
    """Return the path's payment, authorized and waiting for its capture."""
    return await scene.pay(scene.card(capture_method=CaptureMethod.MANUAL), S.REQUIRES_CAPTURE, **order)


@path
async def charged_at_once(scene: Scene) -> None:
    await scene.expect(await scene.pay(scene.card(), S.SUCCEEDED), "succeeded")


@path
async def captured_by_hand(scene: Scene) -> None:
    handle = await authorized(scene)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment())
    await scene.expect(handle, "succeeded")


@path
async def captured_in_part(scene: Scene) -> None:
    handle = await authorized(scene)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000))
    await scene.expect(handle, "partially_captured")


@path
async def captured_repeatedly(scene: Scene) -> None:
    handle = await authorized(scene)
    for amount in (1000, 500, None):
        await handle.execute_update(PaymentWorkflow.capture, CapturePayment(amount, final=amount is None))
    await scene.expect(handle, "succeeded")


@path
async def captured_by_many_at_once(scene: Scene) -> None:
    """Four commands at once: two find enough left, two are refused when their turn comes."""
    handle = await authorized(scene)
    commands = (handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False)) for _ in range(4))
    outcomes = await asyncio.gather(*commands, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 2
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    await scene.expect(handle, "partially_captured")


@path
async def canceled_while_authorized(scene: Scene) -> None:
    handle = await authorized(scene)
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    await scene.expect(handle, "canceled")


@path
async def canceled_after_a_part(scene: Scene) -> None:
    handle = await authorized(scene)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    await scene.expect(handle, "partially_captured")


@path
async def authorization_expired(scene: Scene) -> None:
    handle = await authorized(scene, timers=PaymentTimers(authorization_lifetime_s=0.5))
    await scene.expect(handle, "expired")


@path
async def declined(scene: Scene) -> None:
    scene.gateway.declines["tok_bad"] = "insufficient_funds"
    await scene.expect(await scene.pay(scene.card(payment_method="tok_bad"), S.FAILED), "failed")


@path
async def declined_then_another_card(scene: Scene) -> None:
    scene.gateway.declines["tok_bad"] = "card_declined"
    bad = scene.card(payment_method="tok_bad", attempts_allowed=2)
    handle = await scene.pay(bad, S.REQUIRES_PAYMENT_METHOD)
    await handle.execute_update(PaymentWorkflow.confirm, ConfirmPayment("tok_good"))
    await scene.expect(handle, "succeeded")


@path
async def confirmed_later(scene: Scene) -> None:
    handle = await scene.pay(scene.card(), S.REQUIRES_CONFIRMATION, confirm=False)
    await handle.execute_update(PaymentWorkflow.confirm, ConfirmPayment())
    await scene.expect(handle, "succeeded")


@path
async def abandoned(scene: Scene) -> None:
    timers = PaymentTimers(abandon_after_s=0.2)
    handle = await scene.pay(scene.card(), S.REQUIRES_CONFIRMATION, confirm=False, timers=timers)
    await scene.expect(handle, "canceled")


@path
async def challenge_answered(scene: Scene) -> None:
    handle = await scene.pay(scene.card(payment_method="challenge"), S.REQUIRES_ACTION)
    await handle.execute_update(PaymentWorkflow.confirm, ConfirmPayment())
    await scene.expect(handle, "succeeded")


@path
async def challenge_timed_out(scene: Scene) -> None:
    timers = PaymentTimers(challenge_timeout_s=0.2)
    handle = await scene.pay(scene.card(payment_method="challenge"), S.REQUIRES_ACTION, timers=timers)
    await scene.expect(handle, "failed")


@path
async def limit_exceeded(scene: Scene) -> None:
    scene.world.book.max_amount_minor = 1000
    await scene.expect(await scene.pay(scene.card(), S.FAILED), "failed")


@path
async def refused_by_a_run_that_was_lost(scene: Scene) -> None:
    """The limit is no longer in the way; what was written stands."""
    trying = scene.card().confirm()
    scene.world.book.payments[trying.id] = trying.failed("limit_exceeded", "A limit was passed.")
    await scene.expect(await scene.pay(scene.card(), S.FAILED), "failed")
    assert "authorize" not in scene.gateway.calls
