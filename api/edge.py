"""The outermost layer around every request: its trace id, its measure, and the last catch.

Invariant: every answer, whatever goes wrong, carries `Trace-Id` and is JSON that tells nothing internal; a card number in a
path, a query or a header is refused before anything looks at it, and not repeated.
"""

from __future__ import annotations

import logging
import os
import re
import time
from urllib.parse import unquote_plus

from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.body import refuse_card_numbers
from api.metrics import RequestMetrics
from api.problems import Problem

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_NO_TRACE = b"0" * 32
_SCREENED_HEADERS = frozenset({b"idempotency-key", b"actor", b"prefer"})

log = logging.getLogger(__name__)


class Edge:
    """Pure ASGI middleware; `scope["clearhold.trace_id"]` tells the layers within the trace id."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        trace_id = _trace_id(scope)
        scope["clearhold.trace_id"] = trace_id
        header = (b"trace-id", trace_id.encode())
        status = 0

        async def send_with_trace(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        try:
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
            self._metrics.observe(scope, status, time.perf_counter() - began)


def _screen(scope: Scope) -> None:
    refuse_card_numbers(scope["path"], "The path")
    if scope["query_string"]:
        refuse_card_numbers(unquote_plus(scope["query_string"].decode("latin-1")), "The query")
    for name, value in scope["headers"]:
        if name in _SCREENED_HEADERS:
            refuse_card_numbers(value.decode("latin-1"), "A header")


def _trace_id(scope: Scope) -> str:
    """Return the id of the present trace, of the caller's, or a new one."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        return f"{context.trace_id:032x}"
    for name, value in scope["headers"]:
        if name == b"traceparent":
            match = _TRACEPARENT.fullmatch(value)
            if match is not None and match[1] != _NO_TRACE:
                return match[1].decode()
    return os.urandom(16).hex()
