"""HTTP/1.1 for the load generator: request bytes out, status and body back, at some twenty microseconds of CPU a call.

Invariant: a connection carries one request at a time, and one that failed or was closed is never used again. Nothing is
repeated here: what was sent once counts once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import httptools


class WireError(Exception):
    """The connection failed before the whole answer came."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """What came back; `retry_after` is the header's text, if there was one."""

    status: int
    body: bytes
    retry_after: str | None


def request_bytes(method: str, path: str, host: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Write a request; `Content-Length` is added when there is a body."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class _Wire(asyncio.Protocol):
    """One connection; httptools calls the `on_*` methods."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[WireAnswer] | None = None
        self._parser: Any = None
        self._body: list[bytes] = []
        self._retry_after: str | None = None
        self.reusable = False

    async def exchange(self, message: bytes) -> WireAnswer:
        if self._transport is None or self._transport.is_closing():
            raise WireError("the connection is closed")
        self._waiting = asyncio.get_running_loop().create_future()
        self._parser, self._body, self._retry_after = httptools.HttpResponseParser(self), [], None
        self.reusable = False
        self._transport.write(message)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc or 'closed by the server'}")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.reusable = self._parser.should_keep_alive()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(
                WireAnswer(self._parser.get_status_code(), b"".join(self._body), self._retry_after)
            )

    def _fail(self, why: str) -> None:
        self.reusable = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(WireError(why))


class WireClient:
    """Connections to one server, the most recently used first; as many as there are requests at once."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s
        self._idle: list[_Wire] = []

    async def send(self, message: bytes) -> WireAnswer:
        """Send one request; raises `WireError` when no whole answer comes within the timeout."""
        try:
            async with asyncio.timeout(self._timeout_s):
                wire = self._take_idle() or await self._connect()
                try:
                    answer = await wire.exchange(message)
                except BaseException:
                    wire.close()
                    raise
        except (TimeoutError, OSError) as error:
            raise WireError(f"{type(error).__name__} after at most {self._timeout_s:g} s") from error
        if wire.reusable:
            self._idle.append(wire)
        else:
            wire.close()
        return answer

    def close(self) -> None:
        """Close what is idle."""
        for wire in self._idle:
            wire.close()
        self._idle.clear()

    def _take_idle(self) -> _Wire | None:
        while self._idle:
            wire = self._idle.pop()
            if wire.is_open:
                return wire
        return None

    async def _connect(self) -> _Wire:
        _, wire = await asyncio.get_running_loop().create_connection(_Wire, self._host, self._port)
        return wire
