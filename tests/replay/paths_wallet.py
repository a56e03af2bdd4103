"""Payments between wallets: the same workflow without a gateway."""

from __future__ import annotations

from domain.payments.payment import CaptureMethod
from domain.payments.status import PaymentStatus
from tests.replay.scene import Scene, path
from workflows.payments.messages import CancelPayment, CapturePayment
from workflows.payments.payment import PaymentWorkflow

S = PaymentStatus


@path
async def wallet_transfer(scene: Scene) -> None:
    scene.world.book.funds["payer"] = 5000
    await scene.expect(await scene.pay(scene.wallet(), S.SUCCEEDED), "succeeded")


@path
async def wallet_without_funds(scene: Scene) -> None:
    scene.world.book.funds["payer"] = 100
    await scene.expect(await scene.pay(scene.wallet(), S.FAILED), "failed")


@path
async def wallet_reserved_then_canceled_after_a_part(scene: Scene) -> None:
    scene.world.book.funds["payer"] = 5000
    handle = await scene.pay(scene.wallet(capture_method=CaptureMethod.MANUAL), S.REQUIRES_CAPTURE)
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(1000, final=False))
    await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())
    await scene.expect(handle, "partially_captured")
