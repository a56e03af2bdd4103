"""The outermost layer around every request: its trace id, its measure, and the last catch.

Invariant: every answer, whatever goes wrong, carries `Trace-Id` and is JSON that tells nothing internal; a card number in a
path, a query or a header that is read is refused before anything looks at it, and not repeated. No answer about money is kept
by a cache on its way. HEAD is answered as GET is, without the body (RFC 9110, 9.3.2).
"""

from __future__ import annotations

import logging
import time
from urllib.parse import unquote_plus

from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.body import refuse_card_numbers
from api.identifiers import ACTOR_HEADER
from api.in_flight import InFlight
from api.metrics import RequestMetrics
from api.problems import Problem
from api.trace_ids import caller_trace_id, new_trace_id

_SCREENED_HEADERS = frozenset({b"idempotency-key", ACTOR_HEADER.lower().encode(), b"prefer"})
"""The headers that handlers read, but for the API key, of which only a digest is kept."""
GUARD = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""What an answer says unless it says otherwise itself."""

log = logging.getLogger(__name__)


class Edge:
    """Pure ASGI middleware; `scope["clearhold.trace_id"]` tells the layers within the trace id."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, in_flight: InFlight) -> None:
        self._app = app
        self._metrics = metrics
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = scope["method"]
        if asked == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        began = time.perf_counter()
        trace_id = _trace_id(scope)
        scope["clearhold.trace_id"] = trace_id
        trace_header = (b"trace-id", trace_id.encode())
        status = 0

        async def send_with_trace(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                said = {name for name, _ in headers}
                message["headers"] = [*headers, *(guard for guard in GUARD if guard[0] not in said), trace_header]
            await send(message)

        try:
            if self._in_flight.must_shed(scope["method"], scope["path"]):  # whoever came past the door (`api/door.py`)
                scope["clearhold.shed"] = True
                self._in_flight.require_room()
            _screen(scope)
            await self._app(scope, receive, send_with_trace)
        except Problem as refused:
            await refused.render(None, trace_id)(scope, receive, send_with_trace)
        except Exception:  # the last catch: whatever it was, the client gets a problem
            log.exception("request failed, trace %s", trace_id)
            if status:
                raise  # too late for another answer; the server closes the connection
            failed = Problem(problems.INTERNAL_ERROR, "The request met a defect, which is logged under its trace id.")
            await failed.render(scope["path"], trace_id)(scope, receive, send_with_trace)
        finally:
            self._metrics.observe(scope, asked, status, time.perf_counter() - began)


def _without_body(send: Send) -> Send:
    """Return a `send` that keeps the head of an answer and empties its body."""

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


def _screen(scope: Scope) -> None:
    refuse_card_numbers(scope["path"], "The path")
    if scope["query_string"]:
        query = unquote_plus(scope["query_string"].decode("latin-1"))
        refuse_card_numbers(query, "The query")
        if "\0" in query:
            raise Problem(problems.MALFORMED_REQUEST, "The query holds a NUL character (%00), which no text may have.")
    for name, value in scope["headers"]:
        if name in _SCREENED_HEADERS:
            refuse_card_numbers(value.decode("latin-1"), "A header")


def _trace_id(scope: Scope) -> str:
    """Return the id of the present trace, of the caller's, or a new one."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        return f"{context.trace_id:032x}"
    return caller_trace_id(scope["headers"]) or new_trace_id()
