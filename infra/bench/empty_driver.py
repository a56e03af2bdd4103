"""`python -m infra.bench.empty_driver`: runs empty workflows as cheaply as Temporal can, and their variants.

Invariant: worker and client share one process and one connection, because only then does the server hand the first workflow task
back with the answer to the start (eager start); pollers scale themselves, the cache holds every workflow in flight.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import uvloop
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker

from infra import garbage
from infra.bench.control import serve_commands
from infra.bench.loops import DONE, Operation, Pace, run_load
from infra.bench.trivial_workflow import TrivialWorkflow
from infra.bench.variant_workflow import VariantWorkflow, local_step, ordinary_step
from infra.bench.variants import VARIANTS, Start, Variant, Wiring
from infra.settings import Settings, get_settings
from infra.temporal_client import compression
from infra.temporal_visits import skip_idle_visits

TASK_QUEUE = "bench-empty"
WORKFLOW_TASKS_MAX = 200
CACHED_WORKFLOWS_MAX = 2_000
LABELS: dict[str, Any] = {
    "static_summary": "29.33 USD from clearing to merchant",
    "static_details": "From `clearing:sandbox:USD` to `merchant-1`, tenant `bench`.",
    "search_attributes": TypedSearchAttributes(
        [
            SearchAttributePair(SearchAttributeKey.for_keyword("PaymentStatus"), "processing"),
            SearchAttributePair(SearchAttributeKey.for_int("Amount"), 2933),
            SearchAttributePair(SearchAttributeKey.for_keyword("Currency"), "USD"),
            SearchAttributePair(SearchAttributeKey.for_keyword("AccountId"), "merchant-1"),
            SearchAttributePair(SearchAttributeKey.for_keyword("GatewayName"), "sandbox"),
            SearchAttributePair(SearchAttributeKey.for_bool("NeedsReview"), value=False),
        ]
    ),
}


async def _connect(settings: Settings, wiring: Wiring) -> Client:
    options: dict[str, Any] = {"namespace": settings.temporal_namespace, "grpc_compression": compression(settings)}
    if wiring is not Wiring.BARE:
        options["data_converter"] = pydantic_data_converter
    if wiring is Wiring.TRACED:
        options["interceptors"] = [TracingInterceptor()]
    return await Client.connect(settings.temporal_address, **options)


def _worker(client: Client, wiring: Wiring) -> Worker:
    return Worker(
        client,
        task_queue=f"{TASK_QUEUE}-{wiring}",
        workflows=[TrivialWorkflow, VariantWorkflow],
        activities=[local_step, ordinary_step],
        workflow_runner=UnsandboxedWorkflowRunner(),  # as our own workers
        max_cached_workflows=CACHED_WORKFLOWS_MAX,
        max_concurrent_workflow_tasks=WORKFLOW_TASKS_MAX,
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
    )


class EmptyLoad:
    """Carries out the command `run`, of a variant or, without one, of the empty workflow."""

    def __init__(self, clients: dict[Wiring, Client]) -> None:
        self._clients = clients
        self._run = uuid4().hex[:12]

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command."""
        name = command.get("variant")
        operation = self._empty if name is None else self._of(VARIANTS[name])
        return await run_load(operation, Pace(**command["pace"]), command["first"])

    async def _empty(self, number: int) -> str:
        text = f"empty-{self._run}-{number}"
        queue = f"{TASK_QUEUE}-{Wiring.BARE}"
        try:
            answer = await self._clients[Wiring.BARE].execute_workflow(
                TrivialWorkflow.run, text, id=text, task_queue=queue, request_eager_start=True
            )
        except (RPCError, WorkflowFailureError) as error:
            return _describe(error)
        return DONE if answer == text else "wrong answer"

    def _of(self, variant: Variant) -> Operation:
        client = self._clients[variant.wiring]
        options: dict[str, Any] = {"task_queue": f"{TASK_QUEUE}-{variant.wiring}"}
        if variant.labelled:
            options |= LABELS

        async def run(number: int) -> str:
            named = {**options, "id": f"variant-{self._run}-{number}"}
            try:
                if variant.start is Start.UPDATE:
                    start = WithStartWorkflowOperation(
                        VariantWorkflow.run,
                        variant.recipe,
                        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                        **named,
                    )
                    return await client.execute_update_with_start_workflow(
                        VariantWorkflow.submit, start_workflow_operation=start
                    )
                eager = variant.start is Start.EAGER
                return await client.execute_workflow(
                    VariantWorkflow.run, variant.recipe, request_eager_start=eager, **named
                )
            except (RPCError, WorkflowFailureError, WorkflowUpdateFailedError) as error:
                return _describe(error)

        return run


def _describe(error: RPCError | WorkflowFailureError | WorkflowUpdateFailedError) -> str:
    if isinstance(error, RPCError):
        return f"{error.status.name.lower()}: {error.message}"
    return type(error).__name__


async def serve(port: int, settings: Settings) -> None:
    """Serve as worker and answer commands until SIGTERM."""
    async with AsyncExitStack() as stack:
        clients = {}
        for wiring in Wiring:
            clients[wiring] = await _connect(settings, wiring)
            await stack.enter_async_context(_worker(clients[wiring], wiring))
        await serve_commands(port, EmptyLoad(clients).handle)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench.empty_driver")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    skip_idle_visits()  # as our own workers
    garbage.settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(port, get_settings()))


if __name__ == "__main__":
    main()
