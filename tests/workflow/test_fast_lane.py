"""Where a gateway is called first: within the workflow task while it is fast, in an activity of its own otherwise."""

from __future__ import annotations

import pytest

from activities.fast_lane import CLOSED_S, FastLane
from domain.payments.payment import CaptureMethod
from domain.payments.status import OperationKind, OperationStatus, PaymentStatus
from tests.support.fake_gateway import Fault
from tests.support.payment_world import PaymentWorld, card_payment
from tests.workflow.meanwhile import OPERATOR, ended, reset
from workflows.payments.messages import CancelPayment, ResolveReview
from workflows.payments.payment import PaymentWorkflow

S = PaymentStatus


async def activities_of(world: PaymentWorld, payment_id: str) -> list[str]:
    """Return the types of the ordinary activities in a payment's history, in order."""
    history = await world.handle(payment_id).fetch_history()
    scheduled = (event.activity_task_scheduled_event_attributes for event in history.events)
    return [attributes.activity_type.name for attributes in scheduled if attributes.activity_type.name]


def test_a_slow_call_closes_the_lane_of_its_gateway_for_a_while() -> None:
    now = 100.0
    lane = FastLane(lambda: now)
    assert lane.is_open("sandbox")
    lane.close("sandbox")
    assert not lane.is_open("sandbox")
    assert lane.is_open("another")
    now += CLOSED_S
    assert lane.is_open("sandbox")


async def test_a_fast_gateway_is_called_within_the_workflow_task(world: PaymentWorld) -> None:
    paid = await world.pay(card_payment())
    assert paid.status is S.SUCCEEDED
    assert await activities_of(world, paid.id) == []


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.LOST_AFTER, Fault.HANGS_AFTER])
async def test_after_a_call_that_was_slow_or_lost_the_next_are_activities_of_their_own(
    world: PaymentWorld, fault: Fault
) -> None:
    world.gateway.faults["authorize"].append(fault)
    first, second = await world.pay(card_payment()), await world.pay(card_payment())
    assert first.status is second.status is S.SUCCEEDED
    asked = ["authorize"] if fault is Fault.UNAVAILABLE else ["inquire"]
    assert await activities_of(world, first.id) == asked
    assert await activities_of(world, second.id) == ["authorize"]
    world.assert_books_agree()


async def test_a_payment_that_was_reset_asks_the_gateway_before_it_sends(world: PaymentWorld) -> None:
    """Its reserve was written before, so an authorization may have been sent as well."""
    payment = card_payment()
    paid = await world.pay(payment)
    world.book.payments[paid.id] = payment.confirm()  # as if the run had been lost before it booked
    first = world.gateway.calls.copy()
    await ended(await reset(world, paid.id, 0))
    assert world.gateway.calls == [*first, "inquire"]


# What is noted of the gateway's operations


async def test_a_closed_payment_notes_its_reversal_and_leaves_nothing_under_way(world: PaymentWorld) -> None:
    world.gateway.faults["authorize"].append(Fault.REJECTED)
    failed = await world.pay(card_payment())
    noted = {key.split(":", 1)[1]: (each.kind, each.status) for key, each in world.book.operations.items()}
    assert failed.status is S.FAILED
    assert noted == {
        "authorize:1": (OperationKind.AUTHORIZE, OperationStatus.FAILED),
        "reverse:1": (OperationKind.VOID, OperationStatus.SUCCEEDED),
    }


@pytest.mark.parametrize(
    ("outcome", "status"), [(S.SUCCEEDED, OperationStatus.SUCCEEDED), (S.FAILED, OperationStatus.FAILED)]
)
async def test_an_operation_that_was_never_learned_is_noted_as_its_review_was_resolved(
    world: PaymentWorld, outcome: PaymentStatus, status: OperationStatus
) -> None:
    world.gateway.faults["authorize"].append(Fault.REJECTED)
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    reviewed = await world.pay(card_payment())
    found = ResolveReview("operator-1", outcome, "as the bank's statement says")
    await world.handle(reviewed.id).execute_update(PaymentWorkflow.resolve, found)
    assert [each.status for each in world.book.operations.values()] == [status]


async def test_a_retry_by_a_person_asks_under_a_key_of_its_own(world: PaymentWorld) -> None:
    """A gateway that refused for good answers the same key with the same refusal."""
    payment = await world.pay(card_payment(capture_method=CaptureMethod.MANUAL))
    handle = world.handle(payment.id)
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    assert (await handle.execute_update(PaymentWorkflow.cancel, CancelPayment())).status is S.NEEDS_REVIEW
    assert (await handle.execute_update(PaymentWorkflow.retry, OPERATOR)).status is S.CANCELED
    keys = [each.key for each in world.book.operations.values() if each.kind is OperationKind.VOID]
    assert len(keys) == 1
    assert ":reverse_again:" in keys[0]
    world.assert_books_agree()
