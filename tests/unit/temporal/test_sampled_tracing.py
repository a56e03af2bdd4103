"""Spans of traces that are kept, ids of the others: the functions of the SDK through which that is done are as they were."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.contrib.opentelemetry._interceptor import _CompletedWorkflowSpanParams

from infra.sampled_tracing import NAMES, SampledTracing, is_thrown_away

TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
KEPT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
THROWN_AWAY = (f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-00", f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-02")
"""The second has W3C's flag of a random trace id."""


class Counting(Sampler):
    """Keeps everything, and counts how often it is asked: once for each span that anybody begins."""

    def __init__(self) -> None:
        self.asked = 0

    def should_sample(self, *_arguments: Any, **_named: Any) -> SamplingResult:
        self.asked += 1
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "counting"


class Ended(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


@dataclass
class Sent:
    headers: dict[str, Any] = field(default_factory=dict)


def context_of(*, sampled: bool) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return trace.set_span_in_context(
        NonRecordingSpan(SpanContext(TRACE_ID, SPAN_ID, is_remote=True, trace_flags=flags))
    )


def tracing(sampler: Sampler) -> tuple[SampledTracing, Ended]:
    provider, ended = TracerProvider(sampler=sampler), Ended()
    provider.add_span_processor(ended)
    return SampledTracing(provider.get_tracer("test")), ended


def params(traceparent: str, *, parent_missing: bool = False) -> _CompletedWorkflowSpanParams:
    return _CompletedWorkflowSpanParams(
        {"traceparent": traceparent}, "StartActivity:x", {}, 1, None, None, SpanKind.CLIENT, parent_missing
    )


def traceparent_of(tracer: SampledTracing, sent: Sent) -> str:
    (carrier,) = tracer.payload_converter.from_payloads([sent.headers[tracer.header_key]])
    return str(carrier["traceparent"])


def test_the_sdk_makes_its_spans_through_the_functions_that_are_overridden_and_no_other() -> None:
    module = ast.parse(inspect.getsource(inspect.getmodule(TracingInterceptor)))  # type: ignore[arg-type]
    makers = {
        function.name
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for called in ast.walk(function)
        if isinstance(called, ast.Attribute) and called.attr in ("start_span", "start_as_current_span")
    }
    assert makers == set(NAMES)
    assert all(getattr(TracingInterceptor, name) is not getattr(SampledTracing, name) for name in NAMES)


def test_a_call_in_a_trace_that_is_kept_is_a_span_and_its_parent_travels() -> None:
    tracer, ended = tracing(ParentBased(ALWAYS_ON))
    sent = Sent()
    with tracer._start_as_current_span(
        "call", attributes={"a": "b"}, input_with_headers=sent, kind=SpanKind.CLIENT, context=context_of(sampled=True)
    ):
        pass
    (span,) = ended.spans
    assert span.context is not None
    assert (span.name, span.kind, span.context.trace_id) == ("call", SpanKind.CLIENT, TRACE_ID)
    assert traceparent_of(tracer, sent).split("-")[2] == f"{span.context.span_id:016x}"


def test_a_call_in_a_trace_that_is_thrown_away_is_none_and_its_ids_travel() -> None:
    sampler = Counting()
    tracer, ended = tracing(sampler)
    sent = Sent()
    with tracer._start_as_current_span(
        "call", attributes={}, input_with_headers=sent, kind=SpanKind.CLIENT, context=context_of(sampled=False)
    ):
        within = trace.get_current_span().get_span_context()
    assert (sampler.asked, ended.spans) == (0, [])
    assert (within.trace_id, within.span_id) == (TRACE_ID, SPAN_ID)
    assert traceparent_of(tracer, sent).startswith(f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-")
    assert not trace.get_current_span().get_span_context().is_valid, "the context was left as it was found"


def test_a_failure_passes_through_and_leaves_the_context_as_it_was() -> None:
    tracer, _ = tracing(Counting())
    with (
        pytest.raises(ValueError, match="why"),
        tracer._start_as_current_span("x", attributes={}, kind=SpanKind.SERVER, context=context_of(sampled=False)),
    ):
        raise ValueError("why")
    assert not trace.get_current_span().get_span_context().is_valid


def test_outside_of_any_trace_one_begins() -> None:
    sampler = Counting()
    tracer, ended = tracing(sampler)
    assert not is_thrown_away()
    with tracer._start_as_current_span("call", attributes={}, kind=SpanKind.CLIENT):
        pass
    assert (sampler.asked, len(ended.spans)) == (1, 1)


@pytest.mark.parametrize("traceparent", THROWN_AWAY)
def test_a_step_of_a_workflow_whose_trace_is_thrown_away_is_no_span(traceparent: str) -> None:
    sampler = Counting()
    tracer, _ = tracing(sampler)
    assert tracer._completed_workflow_span(params(traceparent)) == {"traceparent": traceparent}
    assert sampler.asked == 0


def test_a_step_of_a_workflow_whose_trace_is_kept_is_a_span() -> None:
    tracer, ended = tracing(ParentBased(ALWAYS_ON))
    carrier = tracer._completed_workflow_span(params(KEPT))
    (span,) = ended.spans
    assert span.context is not None
    assert carrier is not None
    assert carrier["traceparent"].split("-")[1:3] == [f"{TRACE_ID:032x}", f"{span.context.span_id:016x}"]


def test_a_workflow_that_nobody_traces_has_no_spans() -> None:
    tracer, _ = tracing(ParentBased(ALWAYS_ON))
    assert tracer._completed_workflow_span(params(KEPT, parent_missing=True)) is None
    assert tracer._completed_workflow_span(params(THROWN_AWAY[0], parent_missing=True)) is None
