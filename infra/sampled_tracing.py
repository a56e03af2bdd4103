"""The SDK's tracing for traces that are kept; of the others only the ids travel.

The SDK makes a span of each call, workflow task and activity whether its trace is sampled or not: of a payment seven, a tenth
of what its processes do, and nineteen of twenty are thrown away (docs/performance).

Invariant: a trace that is sampled has every span that `TracingInterceptor` makes; one that is not still has its ids in headers,
logs and rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio.api.common.v1 import Payload
from temporalio.contrib.opentelemetry import TracingInterceptor, TracingWorkflowInboundInterceptor
from temporalio.contrib.opentelemetry._interceptor import default_text_map_propagator
from temporalio.converter import PayloadConverter
from temporalio.worker import WorkflowInterceptorClassInput

REMEMBERED = 1_024
"""Headers of traces that are under way: each is written, and read, once for all steps of a workflow."""

JSON = {"encoding": b"json/plain"}


def is_thrown_away(context: Context | None = None) -> bool:
    """Tell whether the trace (None: the present one) is known not to be sampled. Outside of any nothing is known."""
    span = trace.get_current_span(context).get_span_context()
    return span.is_valid and not span.trace_flags.sampled


@lru_cache(maxsize=REMEMBERED)
def _header_of(trace_id: int, span_id: int, flags: int) -> Payload:
    """Return the header of a call under that span, as the SDK writes it."""
    span = trace.SpanContext(trace_id, span_id, is_remote=False, trace_flags=trace.TraceFlags(flags))
    carrier: dict[str, str] = {}
    context = trace.set_span_in_context(trace.NonRecordingSpan(span), Context())
    TraceContextTextMapPropagator().inject(carrier, context)
    return PayloadConverter.default.to_payloads([carrier])[0]


@lru_cache(maxsize=REMEMBERED)
def _context_of(header: bytes) -> Context | None:
    """Return the context that a header names, as the SDK reads it."""
    (carrier,) = PayloadConverter.default.from_payloads([Payload(metadata=JSON, data=header)])
    return default_text_map_propagator.extract(carrier) if carrier else None


class SampledTracing(TracingInterceptor):
    """Give it to the client, and so to its workers, in the place of `TracingInterceptor`."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's
    ) -> type[TracingWorkflowInboundInterceptor]:
        """Return what workflows run through."""
        super().workflow_interceptor_class(input)  # it gives them the function that makes spans
        return _SampledWorkflow

    def _context_from_headers(self, headers: Mapping[str, Payload]) -> Context | None:
        header = headers.get(self.header_key)
        return _context_of(header.data) if header is not None else None

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
                _pass_on(input_with_headers, self.header_key)
            yield
        finally:
            if token is not None:
                detach(token)


class _SampledWorkflow(TracingWorkflowInboundInterceptor):
    def _completed_span(self, span_name: str, *, add_to_outbound: Any = None, **rest: Any) -> None:
        if not is_thrown_away():
            super()._completed_span(span_name, add_to_outbound=add_to_outbound, **rest)
        elif add_to_outbound is not None:
            _pass_on(add_to_outbound, self.header_key)


def _pass_on(outgoing: Any, key: str) -> None:
    span = trace.get_current_span().get_span_context()
    outgoing.headers = {**outgoing.headers, key: _header_of(span.trace_id, span.span_id, span.trace_flags)}
