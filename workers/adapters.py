"""What the workers of all processes have in common: how they reach the bank, and how they poll.

Invariant: a worker within the API's process and one in a process of its own do the same with the same adapters.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner

from activities.gateway_port import CardGateway
from infra.gateways.bank_client import BankClient, Timeouts
from infra.gateways.sandbox import SandboxGateway
from infra.settings import Settings
from workers.activity_log import ActivityLog
from workers.call_trace import CallTrace


@asynccontextmanager
async def open_bank(settings: Settings) -> AsyncIterator[BankClient]:
    """Open connections to the bank."""
    timeouts = Timeouts(connect_s=settings.gateway_connect_timeout_s, read_s=settings.gateway_read_timeout_s)
    async with BankClient(settings.bank_url, timeouts, settings.gateway_connections_max) as bank:
        yield bank


def gateways_at(bank: BankClient) -> Mapping[str, CardGateway]:
    """Return the gateways of card payments by the names that payments know them by."""
    return {"sandbox": SandboxGateway(bank)}


def worker_options(settings: Settings) -> dict[str, Any]:
    """What the workers of all task queues have in common; each has its own places and its own cache."""
    return {
        "workflow_runner": UnsandboxedWorkflowRunner(),
        "interceptors": [CallTrace(), ActivityLog()],
        "max_cached_workflows": settings.worker_max_cached_workflows,
        "max_concurrent_workflow_tasks": settings.worker_max_workflow_tasks,
        "max_concurrent_activities": settings.worker_max_activities,
        "max_concurrent_local_activities": settings.worker_max_local_activities,
        "workflow_task_poller_behavior": PollerBehaviorAutoscaling(),
        "activity_task_poller_behavior": PollerBehaviorAutoscaling(),
        "graceful_shutdown_timeout": timedelta(seconds=settings.worker_shutdown_grace_s),
    }
