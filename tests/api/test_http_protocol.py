"""Connections of clients that never finish what they begin, over TCP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from api import http_protocol
from api.http_protocol import HEAD_MAX_BYTES, BoundedHttp
from tests.support.http_listener import listening

PATIENCE_S = 20.0
FIRST_PIECE_MAX_BYTES = 256 * 1024
SHORT_S = 0.3

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    body = b"" if scope["path"] == "/unread" else await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with listening(_echo_length, BoundedHttp) as found:
        yield found


async def _flood(port: int, start: bytes, piece: bytes, most: int) -> tuple[int, bytes]:
    """Send `start`, then `piece` again and again; return how much was taken, and the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    try:
        writer.write(start)
        while sent < most and not reader.at_eof() and not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            await asyncio.sleep(0)
        return sent, await reader.read(2_000)
    except ConnectionError:
        return sent, b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a" * 4096),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-Many: y\r\n" * 400),
        (b"GET /?a=", b"a" * 4096),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: y\r\n" * 300),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"extension" * 400),
    ],
    ids=["one long header", "many headers", "a long address", "many trailers", "a long chunk extension"],
)
async def test_headers_without_end_are_cut_off(port: int, start: bytes, piece: bytes) -> None:
    async with asyncio.timeout(PATIENCE_S):
        sent, answer = await _flood(port, start, piece, most=50_000_000)
    assert sent < 10_000_000, "what the kernel's buffers hold, and no more"
    assert not answer or _problem(answer)["status"] == 431, (
        "a reset may take the answer with it; another answer is none"
    )


@pytest.mark.parametrize(
    "said",
    [
        b"HELLO\r\n\r\n",
        b"FOO /v1/payments HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
    ids=["no request", "no method", "no header", "two lengths", "a length and chunks", "no chunk", "TLS"],
)
async def test_what_is_no_request_is_answered_with_a_traced_problem_and_the_end_of_the_connection(
    port: int, said: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.read()
    assert _problem(answer)["status"] == 400
    writer.close()


def _problem(answer: bytes) -> dict[str, Any]:
    """Read an answer that closes its connection, and check that it is a problem that names its trace."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    problem: dict[str, Any] = json.loads(body)
    assert lines[0] == f"HTTP/1.1 {problem['status']} {problem['title']}"
    assert headers["content-type"] == "application/problem+json"
    assert headers["content-length"] == str(len(body))
    assert headers["connection"] == "close"
    assert headers["trace-id"] == problem["trace_id"]
    assert len(problem["trace_id"]) == 32
    return problem


async def test_large_headers_within_the_bound_and_large_bodies_pass(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_S):
        for length in (0, 3 * FIRST_PIECE_MAX_BYTES, 10):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (HEAD_MAX_BYTES // 2))
            await writer.drain()
            writer.write(b"\r\nContent-Length: %d\r\n\r\n" % length + b"b" * length)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            said = str(length).encode()
            assert await reader.readexactly(len(said)) == said
    writer.close()


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "a line", "a header"]
)
async def test_a_request_that_does_not_come_forward_loses_its_connection(
    port: int, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", SHORT_S)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(begun)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b""
    assert time.monotonic() - began >= SHORT_S / 2
    writer.close()


async def test_the_second_request_of_a_connection_must_come_forward_too(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", SHORT_S)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_S):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET / HTTP/1.1\r\nHo")
        assert await reader.read() == b""
    writer.close()


async def _trickle(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"b")
        await writer.drain()
        await asyncio.sleep(SHORT_S / 15)


async def test_the_rest_of_a_body_that_is_answered_already_must_come_soon(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a client that trickles would keep its connection for ever: each byte counts as a sign of life."""
    monkeypatch.setattr(http_protocol, "REST_TIMEOUT_S", SHORT_S)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(ConnectionError):
            await _trickle(writer)
    writer.close()


@pytest.mark.parametrize("path", ["/", "/unread"], ids=["read to its end", "answered before"])
async def test_a_connection_whose_body_came_to_its_end_is_kept(
    port: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "REST_TIMEOUT_S", SHORT_S)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_S):
        for pause_s in (0.0, SHORT_S / 3, 2 * SHORT_S):
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nb".encode())
            await asyncio.sleep(0 if path == "/unread" else pause_s)
            writer.write(b"b")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(1)
            await asyncio.sleep(pause_s)
    writer.close()
