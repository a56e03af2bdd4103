"""A workflow is terminated under way, which no code in it can catch; reconciliation finds what it left and puts it right."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from temporalio.client import WorkflowExecutionStatus

from infra.drill.books import disagreements
from infra.drill.caller import Call
from tests.e2e.scene import GOOD_CARD, Scene, ids_of, refund_ids_of, until
from workflows.payments.reconciliation import ReconciliationOrder, ReconciliationReport, ReconciliationWorkflow

PAYMENTS = 2
DECLINED_CARD = "4000000000000002"
SLOW_S = 4.0


@pytest.fixture(autouse=True)
async def _healthy_bank(scene: Scene) -> AsyncIterator[None]:
    yield
    await scene.caller.clear_faults()


async def _terminate(scene: Scene, ids: Sequence[str]) -> None:
    client = await scene.temporal()
    for id_ in ids:
        await client.get_workflow_handle(id_).terminate("a test's operator pressed the button")


async def _reconcile(scene: Scene) -> ReconciliationReport:
    """Let reconciliation look at every open row now, as its schedule does after a minute's grace."""
    client = await scene.temporal()
    return await client.execute_workflow(
        ReconciliationWorkflow.run,
        ReconciliationOrder(grace_s=0),
        id=f"reconciliation-{uuid.uuid4().hex}",
        task_queue=scene.stack.settings().payment_task_queue,
    )


async def _until_recovered(scene: Scene, ids: Sequence[str]) -> None:
    client = await scene.temporal()

    async def all_completed() -> bool:
        described = [await client.get_workflow_handle(id_).describe() for id_ in ids]
        return all(found.status is WorkflowExecutionStatus.COMPLETED for found in described)

    await until("the recovery completes", all_completed)


async def _prove_undone(scene: Scene, ids: Sequence[str]) -> None:
    """Assert that the payments failed, and that neither side took or holds anything."""
    for found in await scene.prove(ids, "failed"):
        assert found.row is not None
        assert found.row["failure_code"] == "workflow_terminated"
        assert (found.bank_net_minor, found.bank_held_minor, found.ledger_held_minor) == (0, 0, 0)
        assert found.booked_minor == ()


@pytest.mark.parametrize("fault", ["slow", "timeout_after"], ids=["before the bank's work", "after the bank's work"])
async def test_a_terminated_charge_is_undone_even_if_the_bank_is_late(scene: Scene, fault: str) -> None:
    keys = scene.keys(PAYMENTS)
    ids = ids_of(keys)
    orders = await scene.orders(keys, await scene.account())
    await scene.arm("authorize", fault, ids, SLOW_S)
    paying = asyncio.create_task(scene.pay(orders))
    await scene.until_struck(ids)
    await _terminate(scene, ids)
    assert set(ids) <= set((await _reconcile(scene)).recovered)
    await _until_recovered(scene, ids)
    await _prove_undone(scene, ids)
    answers = await paying
    assert [(answer.status, answer.body["status"]) for answer in answers] == [(201, "failed")] * PAYMENTS
    await _until_the_bank_decided(scene, ids, "authorize")
    await _prove_undone(scene, ids)


async def _until_the_bank_decided(scene: Scene, ids: Sequence[str], step: str) -> None:
    """Return when the late copies of the requests were decided, so that what follows sees their effect if they had one."""

    async def decided() -> bool:
        found = [await scene.caller.bank_get("/statement", reference=id_) for id_ in ids]
        return all(any(f":{step}:" in o["key"] for o in page["operations"]) for page in found)

    await until("the bank decides the late requests", decided)


async def test_a_payment_terminated_while_it_waits_for_its_capture_is_undone(scene: Scene) -> None:
    keys = scene.keys(PAYMENTS)
    answers = await scene.pay(await scene.orders(keys, await scene.account(), capture_method="manual"))
    assert {answer.body["status"] for answer in answers} == {"requires_capture"}
    await _terminate(scene, ids_of(keys))
    assert set(ids_of(keys)) <= set((await _reconcile(scene)).recovered)
    await _until_recovered(scene, ids_of(keys))
    await _prove_undone(scene, ids_of(keys))


@pytest.mark.parametrize("fault", ["slow", "timeout_after"], ids=["before the bank's work", "after the bank's work"])
async def test_a_terminated_capture_is_given_back(scene: Scene, fault: str) -> None:
    keys = scene.keys(PAYMENTS)
    ids = ids_of(keys)
    await scene.pay(await scene.orders(keys, await scene.account(), capture_method="manual"))
    await scene.arm("capture", fault, ids, SLOW_S)
    capturing = asyncio.create_task(scene.command(ids, "capture"))
    await scene.until_struck(ids)
    await _terminate(scene, ids)
    assert set(ids) <= set((await _reconcile(scene)).recovered)
    await _until_recovered(scene, ids)
    await _prove_undone(scene, ids)
    await _until_the_bank_decided(scene, ids, "capture")
    await _prove_undone(scene, ids)
    assert {(answer.status, answer.code) for answer in await capturing} == {(409, "illegal_transition")}


async def test_a_command_to_a_terminated_payment_is_told_so_and_not_that_it_is_illegal(scene: Scene) -> None:
    declined = {"type": "card", "token": await scene.caller.token(DECLINED_CARD)}
    keys, account = scene.keys(1), await scene.account()
    await scene.pay(await scene.orders(keys, account, payment_method=declined, attempts_allowed=2))
    (id_,) = ids_of(keys)
    await _terminate(scene, [id_])
    good = {"payment_method": {"type": "card", "token": await scene.caller.token(GOOD_CARD)}}
    answer = await scene.caller.try_once(Call(f"/v1/payments/{id_}/confirm", good, f"{id_}-confirm"))
    assert (answer.status, answer.code) == (409, "payment_interrupted")
    await _reconcile(scene)
    await _until_recovered(scene, [id_])
    await _prove_undone(scene, [id_])


async def test_an_undone_payment_has_no_operation_noted_as_under_way(scene: Scene) -> None:
    keys = scene.keys(PAYMENTS)
    ids = ids_of(keys)
    await scene.arm("authorize", "timeout_after", ids)
    paying = asyncio.create_task(scene.pay(await scene.orders(keys, await scene.account())))
    await scene.until_struck(ids)
    await _terminate(scene, ids)
    await _reconcile(scene)
    await _until_recovered(scene, ids)
    await paying
    under_way = [
        o for found in await scene.books(ids) for o in found.operations if o["status"] in ("pending", "unknown")
    ]
    assert under_way == []


async def test_a_charge_terminated_while_it_is_booked_ends_whole_or_undone(scene: Scene) -> None:
    keys, account = scene.keys(PAYMENTS), await scene.account()
    ids = ids_of(keys)
    await scene.arm("authorize", "slow", ids)
    paying = asyncio.create_task(scene.pay(await scene.orders(keys, account)))
    await scene.until_struck(ids)
    async with scene.locked(account):
        await scene.until_blocked()
        await _terminate(scene, ids)
    await _reconcile(scene)
    answers = await paying
    books = await scene.books(ids)
    assert [sentence for found in books for sentence in disagreements(found)] == []
    assert {found.status for found in books} <= {"succeeded", "failed"}
    assert [answer.body["status"] for answer in answers] == [found.status for found in books]


@pytest.mark.parametrize("fault", ["slow", "timeout_after"], ids=["before the bank's work", "after the bank's work"])
async def test_a_terminated_refund_is_carried_on_and_gives_back_once(scene: Scene, fault: str) -> None:
    answers = await scene.pay(await scene.orders(scene.keys(PAYMENTS), await scene.account()))
    ids = [answer.body["id"] for answer in answers]
    refund_ids = refund_ids_of(f"{id_}-refunds" for id_ in ids)
    await scene.arm("refund", fault, ids, SLOW_S)
    refunding = asyncio.create_task(scene.command(ids, "refunds"))
    await scene.until_struck(ids)
    await _terminate(scene, refund_ids)
    assert set(refund_ids) <= set((await _reconcile(scene)).recovered)
    await _until_recovered(scene, refund_ids)
    for found in await scene.prove(ids, "succeeded"):
        assert found.ledger_net_minor == 0
        assert [refund["status"] for refund in found.refunds] == ["succeeded"]
        assert len([operation for operation in found.statement if operation["kind"] == "refund"]) == 1
    assert [answer.body["status"] for answer in await refunding] == ["succeeded"] * PAYMENTS
