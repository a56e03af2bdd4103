"""Examines the parts of a stack that runs: database, Temporal, workers, bank, API and their clocks.

Invariant: it only reads.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from infra.local.findings import Finding, ok, problem
from infra.postgres.migrate import current, latest
from infra.settings import Settings
from infra.temporal_namespace import SEARCH_ATTRIBUTES, NamespaceError, connect, missing_search_attributes

TIMEOUT_S = 5.0
RPC_TIMEOUT = timedelta(seconds=TIMEOUT_S)
CLOCK_SKEW_ALLOWED_S = 1.0


async def examine_running(settings: Settings) -> list[Finding]:
    """Return the findings about the stack that the settings lead to."""
    findings = await _database(settings)
    findings += await _temporal(settings)
    findings.append(await _service("sandbox bank", f"{settings.bank_url}/health"))
    findings.append(await _service("API", f"{settings.api_public_url}/readyz"))
    return findings


async def _database(settings: Settings) -> list[Finding]:
    try:
        connection = await psycopg.AsyncConnection.connect(settings.database_url, connect_timeout=int(TIMEOUT_S))
    except psycopg.OperationalError as error:
        return [problem("database", str(error).strip(), "start it, or correct CLEARHOLD_DATABASE_URL")]
    async with connection:
        before = datetime.now(UTC)
        row = await (await connection.execute("SELECT clock_timestamp(), current_setting('server_version')")).fetchone()
        after = datetime.now(UTC)
    if row is None:
        raise RuntimeError("a SELECT without FROM returned no row")
    moment, version = row
    skew = max(timedelta(0), before - moment, moment - after).total_seconds()
    findings = [ok("database", f"PostgreSQL {version} answers"), await _migrations(settings)]
    if skew > CLOCK_SKEW_ALLOWED_S:
        fix = "keep both machines' clocks with NTP; holds and timers expire by them"
        return [*findings, problem("clock", f"{skew:.1f} s apart from the database's", fix)]
    return [*findings, ok("clock", f"agrees with the database's ({moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC)")]


async def _migrations(settings: Settings) -> Finding:
    expected = latest()
    try:
        found = await asyncio.to_thread(current, settings.owner_database_url or settings.database_url)
    except SQLAlchemyError as error:
        return problem("migrations", f"cannot be read: {error}", "set CLEARHOLD_OWNER_DATABASE_URL")
    if found != expected:
        detail = f"the database is at {found or 'nothing'}, this code needs {expected}"
        return problem("migrations", detail, "run `clearhold migrate`; `make run` does it by itself")
    return ok("migrations", f"at {found}, the newest")


async def _temporal(settings: Settings) -> list[Finding]:
    try:
        client = await connect(settings.model_copy(update={"temporal_connect_timeout_s": TIMEOUT_S}))
    except NamespaceError as error:
        return [problem("Temporal", str(error), "start it, or correct CLEARHOLD_TEMPORAL_ADDRESS")]
    findings = [ok("Temporal", f"answers at {settings.temporal_address}")]
    try:
        findings.append(await _search_attributes(client))
        findings.append(await _pollers(client, settings.payment_task_queue))
        findings.append(await _pollers(client, settings.loan_task_queue))
    except RPCError as error:
        detail = f"namespace {settings.temporal_namespace}: {error.message}"
        findings.append(problem("namespace", detail, "run `python -m infra.temporal_namespace`"))
    return findings


async def _search_attributes(client: Client) -> Finding:
    try:
        missing = await missing_search_attributes(client)
    except NamespaceError as error:
        return problem(
            "search attributes", str(error), "remove the attribute and run `python -m infra.temporal_namespace`"
        )
    if missing:
        return problem("search attributes", f"{', '.join(missing)} missing", "run `python -m infra.temporal_namespace`")
    return ok("search attributes", f"all {len(SEARCH_ATTRIBUTES)} registered")


async def _pollers(client: Client, queue: str) -> Finding:
    counts = {}
    for label, kind in (
        ("workflow", TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
        ("activity", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
    ):
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
            ),
            timeout=RPC_TIMEOUT,
        )
        counts[label] = len({poller.identity for poller in answer.pollers})
    idle = [label for label, count in counts.items() if count == 0]
    if idle:
        fix = "start a worker: `python -m workers` with the stack's settings, or `make run`"
        return problem(f"workers for {queue}", f"nobody polls {queue} for {' and '.join(idle)} tasks", fix)
    return ok(f"workers for {queue}", f"{counts['workflow']} ask for tasks")


async def _service(subject: str, url: str) -> Finding:
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as http:
            answer = await http.get(url)
    except httpx.HTTPError as error:
        return problem(
            subject, f"{url} does not answer ({type(error).__name__})", "see its log in the data folder, or start it"
        )
    if not answer.is_success:
        detail = f"{url} answers {answer.status_code}: {answer.text[:300]}"
        return problem(subject, detail, "mend what the answer names; the log in the data folder says more")
    return ok(subject, f"ready at {url}")
