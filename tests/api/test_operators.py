"""What an operator sees and decides: the live state, the story, the review."""

from __future__ import annotations

from temporalio.client import WorkflowExecutionStatus

from tests.support.api_world import ApiWorld, new_key
from tests.support.fake_gateway import Fault

OPERATOR = {"Clearhold-Actor": "ops-17"}


async def test_the_live_state_says_what_an_open_payment_waits_for_and_what_would_be_undone(world: ApiWorld) -> None:
    payment = await world.authorized()
    live = (await world.get(f"/v1/payments/{payment['id']}/live")).json()
    assert live["payment"] == payment
    assert (live["step"], "capture" in live["waits_for"]) == ("waiting", True)
    assert live["deadline"] == payment["expires_at"]
    assert len(live["compensations"]) >= 2
    assert live["waiting_commands"] == 0


async def test_the_live_state_of_a_payment_that_has_ended_is_done(world: ApiWorld) -> None:
    payment = await world.paid()
    live = (await world.get(f"/v1/payments/{payment['id']}/live")).json()
    assert (live["step"], live["waits_for"], live["compensations"]) == ("done", "", [])
    assert live["payment"] == payment
    unknown = await world.get("/v1/payments/pay_unknown/live")
    assert unknown.status_code == 404


async def test_a_payment_whose_workflow_was_terminated_says_so(world: ApiWorld) -> None:
    payment = await world.authorized()
    await world.temporal.get_workflow_handle(payment["id"]).terminate("test")
    path = f"/v1/payments/{payment['id']}"
    answer = await world.post(f"{path}/capture")
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_interrupted")
    described = await world.temporal.get_workflow_handle(payment["id"]).describe()
    assert described.status is WorkflowExecutionStatus.TERMINATED


async def test_the_timeline_follows_a_payment_to_each_ledger_entry(world: ApiWorld) -> None:
    payment = await world.authorized()
    path = f"/v1/payments/{payment['id']}"
    await world.post(f"{path}/capture", {"amount": 1000})
    refund = (await world.post(f"{path}/refunds", {"amount": 400})).json()
    story = (await world.get(f"{path}/timeline")).json()
    names = [event["name"] for event in story["events"]]
    assert names == [
        "funds_reserved",
        "authorized",
        "capture_requested",
        "captured",
        "refund_requested",
        "refunded",
    ]
    reserved, _, _, captured, held, refunded = story["events"]
    assert [(t["kind"], t["amount"], t["debit_account"], t["credit_account"]) for t in reserved["transfers"]] == [
        ("hold", 2933, "clearing:sandbox:USD", "merchant")
    ]
    assert [(t["kind"], t["amount"], t["released"]) for t in captured["transfers"]] == [("capture", 1000, 1933)]
    assert captured["gateway_reference"]
    assert (held["refund"], refunded["refund"]) == (refund["id"], refund["id"])
    assert [(t["kind"], t["amount"]) for t in refunded["transfers"]] == [("capture", 400)]
    assert [(o["kind"], o["status"], o["amount"]) for o in story["operations"]] == [
        ("authorize", "succeeded", 2933),
        ("capture", "succeeded", 1000),
        ("refund", "succeeded", 400),
    ]
    assert story["trace_id"] == payment["trace_id"]
    assert story["links"]["temporal_ui"] == payment["links"]["temporal_ui"]
    moments = [event["at"] for event in story["events"]]
    assert moments == sorted(moments)


async def _under_review(world: ApiWorld) -> str:
    """A payment whose undoing failed for good: the gateway rejects the reversal."""
    payment = await world.authorized()
    world.gateway.faults["reverse"].append(Fault.REJECTED)
    answer = await world.post(f"/v1/payments/{payment['id']}/cancel")
    assert answer.json()["status"] == "needs_review", answer.text
    assert answer.json()["review_reason"]
    return f"/v1/payments/{payment['id']}"


async def test_an_operator_retries_what_could_not_be_undone(world: ApiWorld) -> None:
    path = await _under_review(world)
    live = (await world.get(f"{path}/live")).json()
    assert "operator" in live["waits_for"]
    answer = await world.post(f"{path}/review", {"action": "retry", "note": "it is back"}, headers=OPERATOR)
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled"), answer.text
    story = (await world.get(f"{path}/timeline")).json()
    assert any("ops-17" in event["text"] for event in story["events"])


async def test_an_operator_closes_a_review_with_what_was_found_and_only_once(world: ApiWorld) -> None:
    path, key = await _under_review(world), new_key()
    decision = {"action": "resolve", "outcome": "canceled", "note": "void seen in the portal"}
    first = await world.post(f"{path}/review", decision, key=key, headers=OPERATOR)
    assert (first.status_code, first.json()["status"]) == (200, "canceled"), first.text
    again = await world.post(f"{path}/review", decision, key=key, headers=OPERATOR)
    assert again.headers["idempotent-replayed"] == "true"
    late = await world.post(f"{path}/review", decision, headers=OPERATOR)
    assert (late.status_code, late.json()["code"]) == (409, "illegal_transition")


async def test_a_payment_that_needs_no_review_takes_none(world: ApiWorld) -> None:
    payment = await world.authorized()
    answer = await world.post(f"/v1/payments/{payment['id']}/review", {"action": "retry"}, headers=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
