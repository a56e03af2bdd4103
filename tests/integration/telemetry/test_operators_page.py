"""The operators' page tells the truth: its queries run, its metrics are exported under those names, its pictures exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from infra.local.temporal import LocalTemporal
from infra.temporal_client import connect, runtime_with_metrics
from infra.temporal_converter import data_converter
from tests.integration.telemetry.conftest import TelemetryWorld, until_found
from tests.integration.telemetry.test_metrics import api_metrics, kinds, lose_answers, sample, worker_metrics
from tests.support.api_world import new_key
from tests.support.bank_process import free_port

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "operators.md").read_text(encoding="utf-8")
PICTURE_MAX_BYTES = 150_000
ONLY_AFTER_A_FAILURE = {"temporal_workflow_task_execution_failed", "temporal_request_failure"}
"""Exported from the first failure on; that they are is tested below."""
ONLY_AFTER_RECONCILIATION = {"clearhold_sagas_recovered", "clearhold_loans_lost"}
"""Exported from its first run on; that they are, is tested with a stack's workers."""


def queries() -> list[str]:
    """Return the first code of each row of the table of queries."""
    table = PAGE.split("| question | query |\n|---|---|\n")[1].split("\n\n")[0]
    return [row.split("| `")[1].split("`")[0] for row in table.splitlines()]


def metric_names() -> set[str]:
    alerts = PAGE.split("\n## Alerts worth having\n")[1]
    found = set(re.findall(r"\b(?:temporal|clearhold)_[a-z_]+", alerts))
    return {re.sub(r"_(bucket|total)$", "", name) for name in found}


@pytest.fixture(scope="module")
async def client(world: TelemetryWorld) -> Client:
    return await connect(world.settings)


@pytest.mark.parametrize("query", queries())
async def test_a_query_of_the_page_is_one_the_server_understands(client: Client, query: str) -> None:
    assert (await client.count_workflows(query)).count >= 0


async def test_the_queries_find_a_waiting_payment_and_its_account(world: TelemetryWorld, client: Client) -> None:
    order = {
        "amount": 123_456,
        "currency": "USD",
        "account": "merchant",
        "payment_method": {"type": "card", "token": await world.token()},
        "capture_method": "manual",
    }
    made = await world.http.post("/v1/payments", json=order, headers={"Idempotency-Key": new_key()})
    payment_id = made.json()["id"]

    async def finds(query: str) -> bool:
        return payment_id in [each.id async for each in client.list_workflows(query)]

    for query in (
        "PaymentStatus = 'requires_capture'",
        "AccountId = 'merchant' AND ExecutionStatus = 'Running'",
        "Currency = 'USD' AND Amount >= 100000",
        "GatewayName = 'sandbox' AND ExecutionStatus = 'Running'",
    ):
        await until_found(query, partial(finds, query))
    assert not await finds("NeedsReview = true")


async def test_every_metric_of_the_page_is_exported_under_that_name(world: TelemetryWorld) -> None:
    await lose_answers(world)
    await world.trace_of(await world.pay())
    exported = kinds(await api_metrics(world)).keys() | kinds(await worker_metrics(world)).keys()

    later = ONLY_AFTER_A_FAILURE | ONLY_AFTER_RECONCILIATION
    assert len(metric_names()) > len(later)
    assert metric_names() - exported <= later


def pictures() -> Iterator[str]:
    yield from re.findall(r"!\[[^\]]+\]\((images/[^)]+)\)", PAGE)


def test_every_picture_of_the_page_exists_and_is_small() -> None:
    named = set(pictures())

    assert named == {f"images/{path.name}" for path in (DOCS / "images").glob("*.png")}
    assert [name for name in named if (DOCS / name).stat().st_size > PICTURE_MAX_BYTES] == []


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


# What the alerts look for, brought about


@activity.defn
async def step() -> None:
    """Do nothing."""


class _Release:
    """Which version of the code the worker runs."""

    second = False


@workflow.defn
class ChangedWorkflow:
    """Its second version leaves out what the first did."""

    def __init__(self) -> None:
        self._woken = False

    @workflow.run
    async def run(self) -> None:
        if not _Release.second:
            await workflow.execute_activity(step, start_to_close_timeout=timedelta(seconds=5))
        await workflow.wait_condition(lambda: self._woken)

    @workflow.signal
    def wake(self) -> None:
        self._woken = True


@workflow.defn
class DefectiveWorkflow:
    @workflow.run
    async def run(self) -> None:
        raise ValueError("a defect made for this test")


@workflow.defn
class TalkativeWorkflow:
    @workflow.run
    async def run(self) -> str:
        return "x" * (5 * 1024 * 1024)


async def test_failing_workflow_code_shows_under_the_labels_of_the_alerts(temporal_server: LocalTemporal) -> None:
    port, queue = free_port(), "alerts"
    client = await Client.connect(
        temporal_server.address, data_converter=data_converter, runtime=runtime_with_metrics("127.0.0.1", port)
    )

    def worker() -> Worker:
        return Worker(
            client,
            task_queue=queue,
            workflows=[ChangedWorkflow, DefectiveWorkflow, TalkativeWorkflow],
            activities=[step],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=0,
        )

    async def metrics() -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            return (await http.get(f"http://127.0.0.1:{port}/metrics")).text

    async def failed_for(reason: str) -> bool:
        name = "temporal_workflow_task_execution_failed"
        return sample(await metrics(), name, failure_reason=reason, task_queue=queue) >= 1

    async with worker():
        changed = await client.start_workflow(ChangedWorkflow.run, id="changed", task_queue=queue)
        await until_found("the step of the first version", partial(has_done_a_step, changed))
    _Release.second = True
    async with worker():
        await changed.signal(ChangedWorkflow.wake)
        defective = await client.start_workflow(DefectiveWorkflow.run, id="defective", task_queue=queue)
        talkative = await client.start_workflow(TalkativeWorkflow.run, id="talkative", task_queue=queue)
        for reason in ("NonDeterminismError", "WorkflowError", "GrpcMessageTooLarge"):
            await until_found(f"a failure for {reason}", partial(failed_for, reason))
        assert sample(await metrics(), "temporal_request_failure", status_code="RESOURCE_EXHAUSTED") >= 1
    for handle in (changed, defective, talkative):
        await handle.terminate()


async def has_done_a_step(handle: WorkflowHandle[ChangedWorkflow, None]) -> bool:
    return any(
        [event.HasField("activity_task_completed_event_attributes") async for event in handle.fetch_history_events()]
    )
