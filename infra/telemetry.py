"""Logs, traces and metrics of every process.

Invariant: one trace id runs from the HTTP call through workflow, activities and SQL to the bank; every log line written under
it carries it. Traces are sampled at their root; an unsampled one still has its id. Of what a caller sends about its trace, only
the ids and the sampling go on from here, nothing that a text could be written into.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import AsyncOpenTelemetryTransport
from opentelemetry.propagate import inject, set_global_textmap
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from infra.sampled_tracing import is_thrown_away
from infra.settings import Settings


class TraceIds(TraceContextTextMapPropagator):
    """W3C's `traceparent` alone: `tracestate` and `baggage` would carry a caller's texts into histories and to gateways."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Return the context with the caller's span, if the carrier names one, and without its state."""
        found = super().extract(carrier, context, getter)
        span = trace.get_current_span(found).get_span_context()
        if not span.trace_state:
            return found
        bare = trace.SpanContext(span.trace_id, span.span_id, span.is_remote, span.trace_flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(bare), found)


_QUIET = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "uvicorn.access": logging.WARNING,
    # Its line about a failed activity is written outside of the trace; `workers.activity_log` writes one inside.
    "temporalio.activity": logging.ERROR,
}
"""The least that a library must have to say to be logged."""

_tracer = trace.get_tracer("clearhold")


def _add_trace(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _to_json(event: Any, default: Callable[[Any], Any] | None = None, **_: Any) -> str:
    return orjson.dumps(event, default=default, option=orjson.OPT_NON_STR_KEYS).decode()


def configure_logging(settings: Settings, service: str) -> None:
    """Send all logs, the standard library's included, to standard error: a JSON object a line, or columns for people."""
    common: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[*common, structlog.stdlib.ExtraAdder(allow=["payment_id", "tenant_id"])],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[*common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def configure_tracing(settings: Settings, service: str) -> TracerProvider:
    """Set up tracing for this process, with export when a collector is named."""
    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.namespace": "clearhold"}),
        sampler=ParentBased(TraceIdRatioBased(settings.trace_sample_ratio)),
    )
    if settings.otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    set_global_textmap(TraceIds())
    return provider


class TracedTransport(httpx.AsyncBaseTransport):
    """Makes each call of an HTTP client a span, and sends the trace with it; of one that is not kept, only its ids."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._plain = transport
        self._traced = AsyncOpenTelemetryTransport(transport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        if not is_thrown_away():
            return await self._traced.handle_async_request(request)
        inject(request.headers)
        return await self._plain.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._plain.aclose()


@contextmanager
def database_span(operation: str, owner_id: str) -> Iterator[None]:
    """Mark one database operation in the caller's trace; its statement may be shared with other callers' operations."""
    if is_thrown_away():
        yield
        return
    attributes = {"db.system.name": "postgresql", "db.operation.name": operation, "clearhold.owner_id": owner_id}
    with _tracer.start_as_current_span(f"sql {operation}", kind=trace.SpanKind.CLIENT, attributes=attributes):
        yield


def current_trace_id() -> str:
    """Return the present trace's id as 32 hexadecimal digits; all zeros outside of any."""
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"
