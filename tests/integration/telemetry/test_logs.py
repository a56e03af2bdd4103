"""Log lines: JSON, one line each, and each of them leads to its trace and its payment."""

from __future__ import annotations

import json

import structlog

from tests.integration.telemetry.conftest import SERVICE, TelemetryWorld


async def test_api_and_worker_log_a_payment_under_the_same_trace(world: TelemetryWorld) -> None:
    answer = await world.pay()
    payment_id, trace_id = answer.json()["id"], answer.headers["Trace-Id"]

    (called,) = await world.lines_about(payment_id, "call carried out")
    (sent,) = await world.lines_about(payment_id, "activity done")

    assert (called["logger"], called["trace_id"], called["status"]) == ("api.money_call", trace_id, "succeeded")
    assert (sent["logger"], sent["trace_id"], sent["activity"]) == ("workers.activity_log", trace_id, "authorize")
    assert called["service"] == sent["service"] == SERVICE
    assert called["span_id"] != sent["span_id"]


async def test_a_payment_that_goes_well_costs_two_lines(world: TelemetryWorld) -> None:
    answer = await world.pay()
    await world.lines_about(answer.json()["id"], "call carried out")

    lines = world.lines(lambda line: line.get("trace_id") == answer.headers["Trace-Id"])

    assert [line["event"] for line in lines] == ["activity done", "call carried out"]


async def test_a_failed_attempt_is_one_warning_with_its_reason_and_trace(world: TelemetryWorld) -> None:
    fault = {"operation": "authorize", "kind": "timeout_after", "times": 1}
    assert (await world.bank.post("/admin/faults", json=fault)).status_code == 201
    answer = await world.pay()
    payment_id = answer.json()["id"]

    (line,) = await world.lines_about(payment_id, "activity failed")

    assert answer.json()["status"] == "succeeded"
    assert line["level"] == "warning"
    assert (line["activity"], line["attempt"]) == ("authorize", 1)
    assert line["error"] == "GatewayOutcomeUnknown"
    assert "no answer in time" in line["reason"]
    assert line["trace_id"] == answer.headers["Trace-Id"]
    assert "exception" not in line, "a failure that was foreseen needs no stack trace"
    assert [found["activity"] for found in await world.lines_about(payment_id, "activity done")] == ["inquire"]


async def test_a_refunds_lines_name_refund_and_payment(world: TelemetryWorld) -> None:
    paid = await world.pay()
    payment_id = paid.json()["id"]
    answer = await world.http.post(
        f"/v1/payments/{payment_id}/refunds", json={}, headers={"Idempotency-Key": f"refund-of-{payment_id}"}
    )
    refund_id = answer.json()["id"]

    called = world.lines(lambda line: line.get("refund_id") == refund_id and line["event"] == "call carried out")
    sent = world.lines(lambda line: line.get("refund_id") == refund_id and line["event"] == "activity done")

    assert [line["payment_id"] for line in called] == [payment_id]
    assert [line["activity"] for line in sent] == ["refund"]
    assert {line["trace_id"] for line in called + sent} == {answer.headers["Trace-Id"]}


async def test_an_exception_is_logged_with_its_stack_on_one_line(world: TelemetryWorld) -> None:
    try:
        raise LookupError("a defect made for this test")
    except LookupError:
        structlog.get_logger("tests.telemetry").exception("request failed")

    line = json.loads(world.log.getvalue().splitlines()[-1])

    assert line["event"] == "request failed"
    assert "LookupError: a defect made for this test" in line["exception"]
