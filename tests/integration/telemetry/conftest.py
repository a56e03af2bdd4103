"""The API and a worker in this process, over a real database, a real Temporal server and a real bank, with their telemetry kept.

Invariant: both are put together as their processes put them together; only where spans and log lines go is ours.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from activities.fast_lane import FastLane
from api.app import create_app
from api.telemetry import instrument
from infra.local.postgres import LocalPostgres
from infra.local.temporal import LocalTemporal
from infra.settings import Settings
from infra.telemetry import configure_logging, configure_tracing
from tests.support.api_world import BASE_URL, TENANT, make_key, new_key
from tests.support.bank_process import BankProcess, free_port, running_bank
from tests.support.database import Database, fresh_database
from tests.support.temporal import running_temporal
from workers.__main__ import running_worker

SERVICE = "clearhold-telemetry-test"
GOOD_CARD = "4242424242424242"
WAIT_S = 20.0
POLL_INTERVAL_S = 0.02


async def until(what: str, holds: Callable[[], bool]) -> None:
    """Return once something holds; raises AssertionError after the bound."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_S:g} s"
        await asyncio.sleep(POLL_INTERVAL_S)


async def until_found(what: str, search: Callable[[], Awaitable[bool]]) -> None:
    """Return once a search succeeds; raises AssertionError after the bound."""
    deadline = time.monotonic() + WAIT_S
    while not await search():
        assert time.monotonic() < deadline, f"{what}: not found within {WAIT_S:g} s"
        await asyncio.sleep(POLL_INTERVAL_S)


@dataclass(frozen=True)
class TelemetryWorld:
    """Who calls, what stands behind, and what was recorded of it."""

    http: httpx.AsyncClient
    bank: httpx.AsyncClient
    bank_process: BankProcess
    settings: Settings
    database: Database
    api_key: str
    exporter: InMemorySpanExporter
    log: io.StringIO

    async def token(self, number: str = GOOD_CARD) -> str:
        """Exchange a card for a token, at the bank itself."""
        card = {"number": number, "exp_month": 12, "exp_year": 2030, "cvc": "123"}
        answer = await self.bank.post("/tokens", json=card)
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["id"]
        return token

    async def pay(self, headers: dict[str, str] | None = None, *, key: str | None = None) -> httpx.Response:
        """Pay 29.33 USD by card."""
        order = {
            "amount": 2933,
            "currency": "USD",
            "account": "merchant",
            "payment_method": {"type": "card", "token": await self.token()},
        }
        answer = await self.http.post(
            "/v1/payments", json=order, headers={"Idempotency-Key": key or new_key(), **(headers or {})}
        )
        assert answer.status_code == 201, answer.text
        return answer

    def spans(self, trace_id: str) -> list[ReadableSpan]:
        """Return the finished spans of a trace."""
        wanted = int(trace_id, 16)
        return [span for span in self.exporter.get_finished_spans() if span.context and span.context.trace_id == wanted]

    async def trace_of(self, payment: httpx.Response) -> list[ReadableSpan]:
        """Return the trace of a payment's call, once its workflow is done."""
        trace_id = payment.headers["Trace-Id"]

        def is_complete() -> bool:
            return any(span.name == "CompleteWorkflow:PaymentWorkflow" for span in self.spans(trace_id))

        await until("the workflow's last span", is_complete)
        return self.spans(trace_id)

    async def statement(self, payment_id: str) -> list[dict[str, Any]]:
        """Return what the bank wrote down of a payment."""
        answer = await self.bank.get("/statement", params={"reference": payment_id})
        operations: list[dict[str, Any]] = answer.json()["operations"]
        return operations

    def lines(self, holds: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return the log lines for which something holds; each line must be a JSON object."""
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if holds(line)]

    async def lines_about(self, payment_id: str, event: str) -> list[dict[str, Any]]:
        """Return the log lines of that event about a payment, once there is one."""

        def found() -> list[dict[str, Any]]:
            return self.lines(lambda line: line.get("payment_id") == payment_id and line["event"] == event)

        await until(f"a log line {event!r} about {payment_id}", lambda: bool(found()))
        return found()


@pytest.fixture(scope="session")
def tracing() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """Set this process's tracing up as the product does, keeping all spans in memory."""
    exporter = InMemorySpanExporter()
    provider = configure_tracing(Settings(trace_sample_ratio=1), SERVICE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


@pytest.fixture(scope="module")
def log() -> Iterator[io.StringIO]:
    """Set this process's logs up as the product does, into a buffer instead of standard error."""
    root, lines = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", lines)
        root.handlers = []  # pytest's own stay open
        configure_logging(Settings(log_format="json"), SERVICE)
    yield lines
    root.handlers, root.level = handlers, level
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def temporal_server() -> Iterator[LocalTemporal]:
    with running_temporal() as server:
        yield server


@pytest.fixture(scope="module")
def open_lane() -> Iterator[None]:
    """Let first calls be made within the workflow task also after one that was slow, as any may be on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FastLane, "is_open", lambda lane, gateway: True)
        yield


@pytest.fixture(scope="module")
async def world(
    postgres_server: LocalPostgres,
    temporal_server: LocalTemporal,
    tracing: tuple[TracerProvider, InMemorySpanExporter],
    log: io.StringIO,
    open_lane: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[TelemetryWorld]:
    provider, exporter = tracing
    with fresh_database(postgres_server) as database:
        async with running_bank(tmp_path_factory.mktemp("bank")) as bank:
            settings = Settings(
                database_url=database.app_url,
                database_pool_min=0,
                temporal_address=temporal_server.address,
                payment_task_queue=f"telemetry-{uuid.uuid4().hex}",
                bank_url=bank.url,
                gateway_read_timeout_s=1.5,
                worker_metrics_port=free_port(),
            )
            key = await make_key(database, TENANT)
            app = create_app(settings)
            instrument(app, provider)
            async with (
                running_worker(settings),
                app.router.lifespan_context(app),
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app),
                    base_url=BASE_URL,
                    headers={"Authorization": f"Bearer {key}"},
                    timeout=60,
                ) as http,
                httpx.AsyncClient(base_url=bank.url, trust_env=False) as bank_http,
            ):
                opened = await http.post("/v1/accounts", json={"id": "merchant", "currency": "USD"})
                assert opened.status_code == 201, opened.text
                yield TelemetryWorld(http, bank_http, bank, settings, database, key, exporter, log)
