"""The SDK's tracing for traces that are kept; of the others only the ids travel.

The SDK makes a span of each call, workflow task and activity whether its trace is sampled or not: of a payment seven, a tenth
of what its processes do, and nineteen of twenty are thrown away (docs/performance).

Invariant: a trace that is sampled has every span that `TracingInterceptor` makes; one that is not still has its ids in headers,
logs and rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from temporalio.contrib.opentelemetry import TracingInterceptor

NAMES = ("_start_as_current_span", "_completed_workflow_span")
"""The two functions of the SDK's interceptor through which each of its spans goes."""

TRACEPARENT = "traceparent"
SAMPLED = 0x01
"""The flag of W3C's `traceparent` that says so; the flags are its last two hexadecimal digits."""


def is_thrown_away(context: Context | None = None) -> bool:
    """Tell whether the trace (None: the present one) is known not to be sampled. Outside of any nothing is known."""
    span = trace.get_current_span(context).get_span_context()
    return span.is_valid and not span.trace_flags.sampled


class SampledTracing(TracingInterceptor):
    """Give it to the client, and so to its workers, in the place of `TracingInterceptor`."""

    @contextmanager
    def _start_as_current_span(
        self, name: str, *, input_with_headers: Any = None, context: Context | None = None, **rest: Any
    ) -> Iterator[None]:
        if not is_thrown_away(context):
            traced = super()._start_as_current_span(
                name, input_with_headers=input_with_headers, context=context, **rest
            )
            with traced:
                yield
            return
        token = attach(context) if context is not None else None
        try:
            if input_with_headers is not None:
                input_with_headers.headers = self._context_to_headers(input_with_headers.headers)
            yield
        finally:
            if token is not None:
                detach(token)

    def _completed_workflow_span(self, params: Any) -> dict[str, Any] | None:
        carrier: dict[str, Any] = params.context
        if not params.parent_missing and _is_unsampled(carrier.get(TRACEPARENT)):
            return carrier
        return super()._completed_workflow_span(params)


def _is_unsampled(traceparent: object) -> bool:
    return isinstance(traceparent, str) and not int(traceparent[-2:], 16) & SAMPLED
