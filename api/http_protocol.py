"""How bytes become requests: uvicorn's parser, with the bounds it leaves to a proxy that may not be there.

Invariant: before anybody has shown a key, a connection costs a bounded amount of memory, and a request that does not come
forward loses its connection.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.door import Door
from api.problems import MEDIA_TYPE
from api.trace_ids import new_trace_id

HEAD_MAX_BYTES = 64 * 1024
"""Most that a request line and headers, or what follows a body in chunks, may have beyond what came in its first piece."""

HEAD_TIMEOUT_S = 20.0
"""Longest time from a connection, or from a request's first byte, to the end of its headers."""

REST_TIMEOUT_S = 20.0
"""Longest time from an answer to the end of a body that nobody reads any more."""


def _refusal(status: HTTPStatus, detail: str) -> bytes:
    """Return an answer, and the end of the connection, to what is no request: a problem, traced like every other."""
    trace_id = new_trace_id()
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

    door: Door | None = None
    """What may be shut to a request (see `behind`)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._came_forward = False
        self._unclaimed_bytes = 0
        self._is_in_head = self._is_in_body = False
        self._deadline: asyncio.TimerHandle | None = None
        self._was_turned_away = False

    @classmethod
    def behind(cls, door: Door) -> type[BoundedHttp]:
        """Return the protocol of a server with this door."""
        return type(cls.__name__, (cls,), {"door": door})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request soon."""
        super().connection_made(transport)
        self._expect_within(HEAD_TIMEOUT_S)

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
            self._expect_within(HEAD_TIMEOUT_S)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._came_forward = self._is_in_head = True
        self._was_turned_away = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin its body, or turn it away."""
        self._came_forward, self._is_in_head, self._is_in_body = True, False, True
        self._forget_deadline()
        if self.door is not None and self.door.is_shut_to(self.parser.get_method(), self.url) and self._is_its_turn():
            self._turn_away(self.door)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of its body; nobody reads that of a request which was turned away."""
        self._came_forward = True
        if not self._was_turned_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._is_in_body = False
        self._forget_deadline()
        if not self._was_turned_away:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Expect the rest of a body soon whose request is answered already."""
        super().on_response_complete()
        if self._is_in_body and self._is_answered and not self.transport.is_closing():
            self._expect_within(REST_TIMEOUT_S)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    @property
    def _is_answered(self) -> bool:
        """Whether each request that was let in is answered."""
        return self.cycle is None or self.cycle.response_complete

    def _is_its_turn(self) -> bool:
        """Tell whether an answer may be written now: those before it are, and the client reads them."""
        return self._is_answered and not self.flow.write_paused

    def _turn_away(self, door: Door) -> None:
        self._was_turned_away = True
        stays_open = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.transport.write(door.answer(self.headers, self.server_state.default_headers, stays_open))
        if not stays_open:
            self.transport.close()
        self.on_response_complete()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        self.transport.write(_refusal(status, detail))
        self.transport.close()

    def _expect_within(self, seconds: float) -> None:
        self._forget_deadline()
        self._deadline = self.loop.call_later(seconds, self._give_up)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
