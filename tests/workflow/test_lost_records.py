"""A workflow task lost after its records were written, and done again when the world had changed: what was written stands.

A reset to the task before does the same to a workflow: its local activities ran, and the new run knows nothing of them.
"""

from __future__ import annotations

import asyncio
import uuid
from itertools import permutations
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.service import RPCError

from domain.payments.payment import CaptureMethod, Payment
from domain.payments.refund import RefundStatus
from domain.payments.status import PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentWorld, card_payment, wallet_payment
from tests.workflow.meanwhile import OPERATOR, RefundHandle, ended, reached, reset, serving, start_refund, under_review
from workflows.payments.messages import CancelPayment, CapturePayment, ResolveRefund, ResolveReview
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.refund import RefundWorkflow

S = PaymentStatus
LAST = -1


async def assert_it_stands(world: PaymentWorld, handle: WorkflowHandle[Any, Any], was: Payment) -> None:
    """The run that did it again ended as the row says, and the row as it was."""
    await ended(handle)
    assert await world.handle(handle.id).result() == world.book.payments[was.id] == was


def of_refund(world: PaymentWorld, refund_id: str) -> RefundHandle:
    return world.client.get_workflow_handle_for(RefundWorkflow.run, refund_id)


# A refusal, done again where it would not be refused any more


@pytest.mark.parametrize("capture_method", list(CaptureMethod))
async def test_a_payment_that_was_refused_for_its_limit_stays_refused(
    world: PaymentWorld, capture_method: CaptureMethod
) -> None:
    refused = await world.pay(card_payment(amount_minor=10**10, capture_method=capture_method))
    assert refused.status is S.FAILED
    await assert_it_stands(world, await reset(world, refused.id, 0), refused)
    assert world.gateway.calls == []
    world.assert_books_agree()


@pytest.mark.parametrize("capture_method", list(CaptureMethod))
async def test_a_wallet_that_was_empty_pays_nothing_when_it_was_filled_meanwhile(
    world: PaymentWorld, capture_method: CaptureMethod
) -> None:
    world.book.funds["payer"] = 0
    refused = await world.pay(wallet_payment(capture_method=capture_method))
    assert refused.status is S.FAILED
    world.book.funds["payer"] = 5000
    await assert_it_stands(world, await reset(world, refused.id, 0), refused)
    assert world.book.posted["merchant"] == world.book.held == 0


async def test_a_refund_that_was_refused_for_lack_of_funds_stays_refused(world: PaymentWorld) -> None:
    payment = await world.pay(card_payment())
    world.book.funds["merchant"] = -2933
    handle = await start_refund(world, payment)
    refused = await handle.result()
    assert refused.status is RefundStatus.FAILED
    world.book.funds["merchant"] = 0
    again = await reset(world, handle.id, 0)
    await ended(again)
    assert await of_refund(world, handle.id).result() == world.book.refunds[handle.id] == refused
    assert "refund" not in world.gateway.calls
    world.assert_books_agree()


# Commands that were lost, and another that comes first


@pytest.mark.parametrize("order", [*permutations(["one", "two", "last"])])
async def test_lost_captures_that_come_again_together_are_all_answered_when_the_first_finds_the_payment_ended(
    client: Client, order: tuple[str, ...]
) -> None:
    """They arrive while no worker runs, so the next one finds them in one workflow task, in any order."""
    world = PaymentWorld(client, f"test-{uuid.uuid4().hex}")
    commands = {
        "one": CapturePayment(500, final=False),
        "two": CapturePayment(500, final=False),
        "last": CapturePayment(),
    }
    async with serving(world):
        payment, handle = await world.authorized()
        for command_id, command in commands.items():
            await handle.execute_update(PaymentWorkflow.capture, command, id=command_id)
    await reset(world, payment.id, 0, updates_again=False)
    again = world.handle(payment.id)
    sent = [
        asyncio.ensure_future(again.execute_update(PaymentWorkflow.capture, commands[command_id], id=command_id))
        for command_id in order
    ]
    async with serving(world):
        answers = await asyncio.gather(*sent, return_exceptions=True)
    taken = [answer for answer in answers if not isinstance(answer, RPCError)]  # the others came when it had ended
    assert {answer.status if isinstance(answer, Payment) else answer for answer in taken} == {S.SUCCEEDED}
    world.assert_books_agree()


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.HANGS_AFTER])
@pytest.mark.parametrize("final", [False, True])
async def test_a_capture_under_way_is_brought_to_the_end_it_was_asked_for_by_whatever_command_comes(
    world: PaymentWorld, fault: Fault, final: bool
) -> None:
    payment, handle = await world.authorized()
    world.gateway.faults["capture"].append(fault)
    world.gateway.faults["inquire"].append(Fault.LOST_BEFORE)  # the first run learns nothing before it is gone
    world.gateway.reached.clear()
    await handle.start_update(
        PaymentWorkflow.capture,
        CapturePayment(1000, final=final),
        id="one",
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
    )
    await reached(world)
    again = await reset(world, payment.id, 0, updates_again=False)
    other = again.execute_update(PaymentWorkflow.capture, CapturePayment(500, final=False), id="two")
    if final:
        with pytest.raises(WorkflowUpdateFailedError):
            await other
        await ended(again)
        assert world.book.payments[payment.id].status is S.PARTIALLY_CAPTURED
        assert world.gateway.net_captured == 1000
    else:
        assert (await other).status is S.REQUIRES_CAPTURE
        await again.execute_update(PaymentWorkflow.cancel, CancelPayment())
        assert world.gateway.net_captured == 1500
    world.assert_books_agree()


# An operator's decision that was lost, and another one that comes in its place


@pytest.mark.parametrize("outcome", [S.SUCCEEDED, S.CANCELED])
async def test_a_payment_that_was_resolved_is_not_tried_again(world: PaymentWorld, outcome: PaymentStatus) -> None:
    handle = await under_review(world)
    resolved = await handle.execute_update(PaymentWorkflow.resolve, ResolveReview("operator-1", outcome, "seen"))
    again = await reset(world, handle.id, LAST, updates_again=False)
    calls = len(world.gateway.calls)
    with pytest.raises(WorkflowUpdateFailedError):
        await again.execute_update(PaymentWorkflow.retry, OPERATOR)
    await assert_it_stands(world, again, resolved)
    assert len(world.gateway.calls) == calls


@pytest.mark.parametrize("outcome", [S.SUCCEEDED, S.FAILED])
async def test_a_retry_under_way_is_brought_to_its_end_before_a_review_is_resolved(
    world: PaymentWorld, outcome: PaymentStatus
) -> None:
    handle = await under_review(world)
    world.gateway.faults["reverse"].append(Fault.HANGS_BEFORE)
    world.gateway.reached.clear()
    await handle.start_update(PaymentWorkflow.retry, OPERATOR, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    await reached(world)
    again = await reset(world, handle.id, LAST, updates_again=False)
    with pytest.raises(WorkflowUpdateFailedError):
        await again.execute_update(PaymentWorkflow.resolve, ResolveReview("operator-1", outcome, "seen"))
    await ended(again)
    assert world.book.payments[handle.id].status is S.CANCELED
    world.assert_books_agree()


@pytest.mark.parametrize("succeeded", [False, True])
async def test_a_refund_that_was_resolved_is_not_tried_again(world: PaymentWorld, succeeded: bool) -> None:
    payment = await world.pay(card_payment())
    world.gateway.faults["refund"].extend([Fault.LOST_BEFORE] * 5)
    handle = await start_refund(world, payment)
    await handle.execute_update(RefundWorkflow.submit)
    resolved = await handle.execute_update(RefundWorkflow.resolve, ResolveRefund("operator-1", succeeded, "seen"))
    again = await reset(world, handle.id, LAST, updates_again=False)
    calls = world.gateway.calls.count("refund")
    await again.execute_update(RefundWorkflow.retry, OPERATOR)
    await ended(again)
    assert await of_refund(world, handle.id).result() == world.book.refunds[handle.id] == resolved
    assert world.gateway.calls.count("refund") == calls
    assert world.book.held == 0


async def test_a_refund_under_review_that_lost_its_workflow_waits_for_a_person_again(world: PaymentWorld) -> None:
    payment = await world.pay(card_payment())
    world.gateway.faults["refund"].extend([Fault.LOST_BEFORE] * 5)
    handle = await start_refund(world, payment)
    await handle.execute_update(RefundWorkflow.submit)
    await handle.terminate("by hand")
    calls = world.gateway.calls.count("refund")
    world.gateway.faults.clear()
    again = await start_refund(world, payment, world.book.refunds[handle.id])
    async with asyncio.timeout(10):
        assert (await again.execute_update(RefundWorkflow.submit)).status is RefundStatus.NEEDS_REVIEW
    assert world.gateway.calls.count("refund") == calls
    assert (await again.execute_update(RefundWorkflow.retry, OPERATOR)).status is RefundStatus.SUCCEEDED
    world.assert_books_agree()
