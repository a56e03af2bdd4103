"""How bytes become requests: uvicorn's parser, with the bounds it leaves to a proxy that may not be there.

Invariant: before anybody has shown a key, a connection costs a bounded amount of memory, and a request that does not come
forward loses its connection.
"""

from __future__ import annotations

import asyncio
import os
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.problems import MEDIA_TYPE

HEAD_MAX_BYTES = 64 * 1024
"""Most that a request line and headers, or what follows a body in chunks, may have beyond what came in its first piece."""

HEAD_TIMEOUT_S = 20.0
"""Longest time from a connection, or from a request's first byte, to the end of its headers."""


def _refusal(status: HTTPStatus, detail: str) -> bytes:
    """Return an answer, and the end of the connection, to what is no request: a problem, traced like every other."""
    trace_id = os.urandom(16).hex()
    said = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "trace_id": trace_id,
    }
    body = orjson.dumps(said)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nTrace-Id: {trace_id}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._came_forward = False
        self._unclaimed_bytes = 0
        self._is_in_head = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request soon."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse on, and refuse what brings neither a request nor a body forward."""
        self._came_forward = False
        super().data_received(data)
        self._unclaimed_bytes = 0 if self._came_forward else self._unclaimed_bytes + len(data)
        if self._unclaimed_bytes > HEAD_MAX_BYTES and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Request line and headers are too large.")
        elif self._is_in_head and self._deadline is None:
            self._expect_head()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._came_forward = self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin its body."""
        self._came_forward, self._is_in_head = True, False
        self._forget_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of its body."""
        self._came_forward = True
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        self.transport.write(_refusal(status, detail))
        self.transport.close()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
