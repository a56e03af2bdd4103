"""A full process turns requests away before its application sees them, over TCP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api.app import create_app
from api.door import Door
from api.http_protocol import BoundedHttp
from api.in_flight import InFlight
from api.telemetry import instrument
from infra.settings import Settings
from tests.support.http_listener import listening

PATIENCE_S = 20.0
PAY = b"POST /v1/payments HTTP/1.1\r\nHost: x\r\n"
ALIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
CALLER = "0af7651916cd43dd8448eb211c80319c"


@dataclass(slots=True)
class Answer:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class Caller:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, message: bytes) -> Answer:
        """Send bytes, and read one answer."""
        self.writer.write(message)
        return await self.hear()

    async def hear(self) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(head[0].split(" ")[1]), headers, body)

    async def is_hung_up(self) -> bool:
        """Wait for the end of the connection."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read() == b""


@dataclass(slots=True)
class Served:
    """An application behind its door, which is shut while `full` holds its only place."""

    app: FastAPI
    port: int
    spans: InMemorySpanExporter
    callers: list[Caller] = field(default_factory=list)

    @property
    def in_flight(self) -> InFlight:
        """What is counted."""
        counted: InFlight = self.app.state.in_flight
        return counted

    async def call(self) -> Caller:
        """Open a connection."""
        self.callers.append(Caller(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.callers[-1]

    def told(self) -> str:
        """Return its metrics."""
        return bytes(self.app.state.metrics.render()).decode()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    provider, spans = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    app = create_app(Settings(api_in_flight_max=1))
    instrument(app, provider)
    async with listening(app, BoundedHttp.behind(Door(app.state.in_flight, app.state.metrics))) as port:
        served = Served(app, port, spans)
        yield served
        for caller in served.callers:
            caller.writer.transport.abort()


async def test_who_is_turned_away_is_told_what_the_application_would_say_and_counted_and_not_traced(
    served: Served,
) -> None:
    caller = await served.call()
    traced = PAY + f"traceparent: 00-{CALLER}-b7ad6b7169203331-01\r\n".encode()
    with served.in_flight.admit():
        at_the_door = await caller.ask(traced + b"\r\n")
        assert served.spans.get_finished_spans() == ()
        within = await caller.ask(traced.replace(b"payments", b"%70ayments") + b"\r\n")
    assert (at_the_door.status, json.loads(at_the_door.body)["code"]) == (503, "overloaded")
    assert at_the_door.headers["trace-id"] == json.loads(at_the_door.body)["trace_id"] == CALLER
    assert at_the_door == within, "an escaped path passes the door, and is turned away at the edge"
    assert at_the_door.headers["retry-after"]
    assert "clearhold_http_money_shed_total 2.0" in served.told()
    assert 'clearhold_http_requests_total{method="POST",route="shed",status="503"} 2.0' in served.told()
    assert 'clearhold_http_request_seconds_count{route="shed"} 2.0' in served.told()


@pytest.mark.parametrize("sent", ["", "traceparent: nonsense\r\n", f"traceparent: 00-{'0' * 32}-{'1' * 16}-01\r\n"])
async def test_each_of_those_without_a_trace_gets_one_of_its_own(served: Served, sent: str) -> None:
    caller = await served.call()
    with served.in_flight.admit():
        answers = [await caller.ask(PAY + sent.encode() + b"\r\n") for _ in range(2)]
    ids = {answer.headers["trace-id"] for answer in answers}
    assert len(ids) == 2
    assert {len(each) for each in ids} == {32}
    assert [json.loads(answer.body)["trace_id"] for answer in answers] == [a.headers["trace-id"] for a in answers]


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/payments/pay_x/capture", "/v1/refunds/re_x/review", "/v1/loans"])
async def test_the_door_is_shut_to_what_moves_money(served: Served, path: str) -> None:
    caller = await served.call()
    with served.in_flight.admit():
        assert (await caller.ask(f"POST {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())).status == 503
    assert served.spans.get_finished_spans() == ()


async def test_a_shut_door_is_open_to_everything_else(served: Served) -> None:
    caller = await served.call()
    with served.in_flight.admit():
        assert (await caller.ask(ALIVE)).status == 200
        assert (await caller.ask(b"POST /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n")).status == 404
        assert (await caller.ask(b"PUT /v1/payments HTTP/1.1\r\nHost: x\r\n\r\n")).status == 405


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 2\r\n\r\n{}",
        b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["short", "long", "in chunks", "announced"],
)
async def test_the_body_of_a_request_turned_away_is_passed_over(served: Served, body: bytes) -> None:
    caller = await served.call()
    for _ in range(3):
        with served.in_flight.admit():
            assert (await caller.ask(PAY + body)).status == 503
        assert (await caller.ask(ALIVE)).status == 200
    assert served.in_flight.now == 0


async def test_an_answer_comes_before_the_body_that_nobody_will_read(served: Served) -> None:
    caller = await served.call()
    with served.in_flight.admit():
        assert (await caller.ask(PAY + b"Content-Length: 10\r\n\r\n12345")).status == 503
    assert (await caller.ask(b"67890" + ALIVE)).status == 200


@pytest.mark.parametrize(
    "message",
    [b"POST /v1/payments HTTP/1.0\r\n\r\n", PAY + b"Connection: close\r\n\r\n"],
    ids=["HTTP/1.0", "asked to close"],
)
async def test_a_connection_that_is_not_kept_ends_with_the_answer(served: Served, message: bytes) -> None:
    caller = await served.call()
    with served.in_flight.admit():
        answer = await caller.ask(message)
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert await caller.is_hung_up()


async def test_answers_come_in_the_order_of_the_requests(served: Served) -> None:
    caller = await served.call()
    with served.in_flight.admit():
        caller.writer.write((ALIVE + PAY + b"\r\n") * 5 + (PAY + b"\r\n") * 2 + ALIVE)
        assert [(await caller.hear()).status for _ in range(13)] == [200, 503] * 5 + [503, 503, 200]


async def test_a_caller_who_reads_no_answers_is_not_read_either(served: Served) -> None:
    caller = await served.call()
    many, sent, most = (PAY + b"\r\n") * 2_000, 0, 100_000_000
    with served.in_flight.admit():
        while sent < most:
            caller.writer.write(many)
            sent += len(many)
            try:
                await asyncio.wait_for(caller.writer.drain(), 2.0)
            except TimeoutError:
                break
    assert sent < most, "what the kernel's buffers hold, and no more"
