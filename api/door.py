"""What stands before the application: a full process turns requests away here, when their head has come, at the least cost.

Invariant: who is turned away gets what the application would answer, trace id and all, and is counted; whoever asks in a way
that is not plain (an escaped path, say) is let through, to be turned away at the application's edge.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus

from api.edge import GUARD
from api.in_flight import InFlight
from api.metrics import RequestMetrics
from api.trace_ids import caller_trace_id, new_trace_id

_PLACE_OF_TRACE_ID = "trace" * 7


class Door:
    """Knows when it is shut, and the bytes that say so."""

    def __init__(self, in_flight: InFlight, metrics: RequestMetrics) -> None:
        self._in_flight = in_flight
        self._metrics = metrics
        answer = in_flight.refusal().render(None, _PLACE_OF_TRACE_ID)
        status = HTTPStatus(answer.status_code)
        self._body = bytes(answer.body).split(_PLACE_OF_TRACE_ID.encode())
        self._status = status.value
        self._status_line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        length = len(answer.body) - len(_PLACE_OF_TRACE_ID) + len(new_trace_id())
        said = [(name, value) for name, value in answer.raw_headers if name != b"content-length"]
        self._headers = _lines([*said, (b"content-length", str(length).encode()), *GUARD])

    def is_shut_to(self, method: bytes, target: bytes) -> bool:
        """Tell whether a request with this method and target is turned away now."""
        return self._in_flight.must_shed(method.decode("latin-1"), target.decode("latin-1"))

    def answer(
        self,
        request_headers: Iterable[tuple[bytes, bytes]],
        server_headers: Iterable[tuple[bytes, bytes]],
        stays_open: bool,
    ) -> bytes:
        """Count a request that is turned away, and return the whole answer to it."""
        began = time.perf_counter()
        trace_id = (caller_trace_id(request_headers) or new_trace_id()).encode()
        own = (b"trace-id: ", trace_id, b"\r\n" if stays_open else b"\r\nconnection: close\r\n", b"\r\n")
        answer = b"".join((self._status_line, _lines(server_headers), self._headers, *own, trace_id.join(self._body)))
        self._metrics.count_turned_away(self._status, time.perf_counter() - began)
        return answer


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
