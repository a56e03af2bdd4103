"""An update that Temporal took and forgot, as when it dies before a worker saw it: neither refused nor accepted, but unknown.

The client of the API's process is given an interceptor that keeps the update from the server; all else is the real server's own
answer to being asked for an update that it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowUpdateHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from domain.ids import update_id
from tests.support.api_world import ApiWorld, new_key
from workflows.payments.messages import CapturePayment
from workflows.payments.payment import PaymentWorkflow

SHORT_WAIT = {"Prefer": "wait=1"}


class Forgetful(Interceptor):
    """The server's answer to an update never comes, because the update is gone."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's
        return _Forgets(next)


class _Forgets(OutboundInterceptor):
    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:  # noqa: A002
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


class Ended(Interceptor):
    """The run that took the update is not the last one, and that one has ended: to Temporal the update is unknown."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's
        return _Ends(next)


class _Ends(OutboundInterceptor):
    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:  # noqa: A002
        raise RPCError("workflow execution already completed", RPCStatusCode.NOT_FOUND, b"")


class Deduplicated(Interceptor):
    """A busy server starts the workflow and breaks off its update; tried again, there is nothing to start."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's
        return _Deduplicates(next)


class _Deduplicates(OutboundInterceptor):
    async def start_update_with_start_workflow(
        self,
        input: StartWorkflowUpdateWithStartInput,  # noqa: A002
    ) -> WorkflowUpdateHandle[Any]:
        await super().start_update_with_start_workflow(input)
        raise RPCError("Workflow was not started: StartDeduped", RPCStatusCode.UNAVAILABLE, b"")


@contextmanager
def losing_updates(world: ApiWorld, by: Interceptor | None = None) -> Iterator[None]:
    """Let the API's updates be lost while the block runs."""
    link = world.services.engine._link
    before = link.client
    config = before.config()
    config["interceptors"] = [*config["interceptors"], by or Forgetful()]
    link._client = Client(**config)
    try:
        yield
    finally:
        link._client = before


@pytest.fixture
async def payment(world: ApiWorld) -> AsyncIterator[dict[str, Any]]:
    """A payment that waits for its capture; at the end the books show exactly one capture of all of it."""
    made = await world.authorized(amount=1000)
    yield made
    left = (await world.get(f"/v1/payments/{made['id']}")).json()
    assert (left["status"], left["amount_captured"]) == ("succeeded", 1000)
    assert await world.balance("merchant") == 1000
    assert world.gateway.calls.count("capture") == 1


async def test_a_lost_command_is_answered_503_and_the_same_call_then_carries_it_out(
    world: ApiWorld, payment: dict[str, Any]
) -> None:
    path, key = f"/v1/payments/{payment['id']}/capture", new_key()
    with losing_updates(world):
        for _ in range(2):
            lost = await world.post(path, key=key, headers=SHORT_WAIT)
            assert (lost.status_code, lost.json()["code"]) == (503, "engine_unavailable"), lost.text
            assert "lost" in lost.json()["detail"]
            assert lost.headers["retry-after"]
            assert "idempotent-replayed" not in lost.headers
    done = await world.post(path, key=key)
    assert (done.status_code, done.json()["amount_captured"]) == (200, 1000)
    assert (await world.post(path, key=key)).headers["idempotent-replayed"] == "true"


async def test_a_lost_command_to_a_payment_that_has_ended_is_refused_for_its_state(
    world: ApiWorld, payment: dict[str, Any]
) -> None:
    path = f"/v1/payments/{payment['id']}"
    assert (await world.post(f"{path}/capture")).status_code == 200
    with losing_updates(world):
        late = await world.post(f"{path}/cancel", headers=SHORT_WAIT)
    assert (late.status_code, late.json()["code"]) == (409, "illegal_transition"), late.text


async def test_a_command_that_an_earlier_run_carried_out_is_answered_by_the_row_and_not_refused(
    world: ApiWorld, payment: dict[str, Any]
) -> None:
    path, key = f"/v1/payments/{payment['id']}/capture", new_key()
    handle = world.services.engine._link.client.get_workflow_handle(payment["id"])
    await handle.execute_update(PaymentWorkflow.capture, CapturePayment(), id=update_id(key))
    with losing_updates(world, Ended()):
        done = await world.post(path, key=key)
        assert (done.status_code, done.json()["amount_captured"]) == (200, 1000), done.text
        other = await world.post(path)
        assert (other.status_code, other.json()["code"]) == (409, "illegal_transition"), other.text
    assert (await world.post(path, key=key)).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("capture_method", ["automatic", "manual"])
async def test_a_start_whose_update_was_broken_off_is_answered_as_if_it_had_not_been(
    world: ApiWorld, capture_method: str
) -> None:
    with losing_updates(world, Deduplicated()):
        answer = await world.pay(capture_method=capture_method)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == {"automatic": "succeeded", "manual": "requires_capture"}[capture_method]
    assert world.gateway.calls.count("authorize") == 1
