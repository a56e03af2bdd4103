"""What Prometheus can read of an API process and of a worker: the families the operators' page builds its alerts on."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.telemetry.conftest import TelemetryWorld

PAYMENTS_ROUTE = "/v1/payments"

OF_WORKER = {
    "temporal_num_pollers": "gauge",
    "temporal_worker_task_slots_available": "gauge",
    "temporal_worker_task_slots_used": "gauge",
    "temporal_workflow_task_schedule_to_start_latency": "histogram",
    "temporal_workflow_task_execution_latency": "histogram",
    "temporal_activity_schedule_to_start_latency": "histogram",
    "temporal_activity_execution_latency": "histogram",
    "temporal_local_activity_execution_latency": "histogram",
    "temporal_activity_execution_failed": "counter",
    "temporal_local_activity_execution_failed": "counter",
    "temporal_workflow_completed": "counter",
    "temporal_workflow_endtoend_latency": "histogram",
    "temporal_request": "counter",
    "temporal_request_latency": "histogram",
    "temporal_sticky_cache_size": "gauge",
}
OF_API = {
    "clearhold_http_requests": "counter",
    "clearhold_http_request_seconds": "histogram",
    "clearhold_http_money_in_flight": "gauge",
    "clearhold_http_money_shed": "counter",
    "process_resident_memory_bytes": "gauge",
}


def kinds(text: str) -> dict[str, str]:
    return {family.name: family.type for family in text_string_to_metric_families(text)}


def sample(text: str, name: str, **labels: str) -> float:
    """Return the sum of the samples of that name that carry the labels. The parser adds `_total` to a counter without it."""
    return sum(
        found.value
        for family in text_string_to_metric_families(text)
        for found in family.samples
        if found.name.removesuffix("_total") == name and labels.items() <= found.labels.items()
    )


async def lose_answers(world: TelemetryWorld) -> None:
    """Let the bank's next answer to an authorize, and to the question what became of it, not come."""
    for operation in ("authorize", "inquiry"):
        fault = {"operation": operation, "kind": "timeout_after", "times": 1}
        assert (await world.bank.post("/admin/faults", json=fault)).status_code == 201


async def worker_metrics(world: TelemetryWorld) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{world.settings.worker_metrics_port}/metrics")
    assert answer.status_code == 200
    return answer.text


async def api_metrics(world: TelemetryWorld) -> str:
    answer = await world.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


async def test_the_api_counts_and_times_its_calls_by_route(world: TelemetryWorld) -> None:
    before = await api_metrics(world)
    await world.pay()
    after = await api_metrics(world)

    assert OF_API.items() <= kinds(after).items()
    counted = {"route": PAYMENTS_ROUTE, "method": "POST", "status": "201"}
    name = "clearhold_http_requests"
    assert sample(after, name, **counted) - sample(before, name, **counted) == 1
    timed = "clearhold_http_request_seconds_count"
    assert sample(after, timed, route=PAYMENTS_ROUTE) - sample(before, timed, route=PAYMENTS_ROUTE) == 1
    assert sample(after, "clearhold_http_money_in_flight") == 0


async def test_a_worker_tells_of_its_pollers_queues_and_failures(world: TelemetryWorld) -> None:
    await lose_answers(world)
    await world.trace_of(await world.pay())
    text = await worker_metrics(world)

    assert OF_WORKER.items() <= kinds(text).items()
    queue = {"task_queue": world.settings.payment_task_queue}
    assert sample(text, "temporal_num_pollers", poller_type="workflow_task", **queue) >= 1
    assert sample(text, "temporal_num_pollers", poller_type="activity_task", **queue) >= 1
    assert sample(text, "temporal_local_activity_execution_failed", activity_type="authorize", **queue) >= 1
    assert sample(text, "temporal_activity_execution_failed", activity_type="inquire", **queue) >= 1
    assert sample(text, "temporal_workflow_completed", workflow_type="PaymentWorkflow", **queue) >= 1


async def test_no_metric_is_labelled_with_a_payment(world: TelemetryWorld) -> None:
    payment_id = (await world.pay()).json()["id"]
    await world.http.get(f"/v1/payments/{payment_id}")

    assert payment_id not in await api_metrics(world)
    assert payment_id not in await worker_metrics(world)
