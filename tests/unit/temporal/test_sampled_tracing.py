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
from temporalio.contrib.opentelemetry import TracingInterceptor, TracingWorkflowInboundInterceptor
from temporalio.converter import PayloadConverter

from infra.sampled_tracing import SampledTracing, _SampledWorkflow, is_thrown_away

TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331


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
class Call:
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


def traceparent_of(tracer: SampledTracing, sent: Call) -> str:
    (carrier,) = tracer.payload_converter.from_payloads([sent.headers[tracer.header_key]])
    return str(carrier["traceparent"])


def test_the_sdk_makes_its_spans_through_the_functions_that_are_overridden_and_no_other() -> None:
    """Those that begin spans are reached through two: `_start_as_current_span`, and in a workflow `_completed_span`."""
    source = inspect.getsource(inspect.getmodule(TracingInterceptor))  # type: ignore[arg-type]
    functions = [
        each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    def callers(*called: str) -> set[str]:
        return {
            function.name
            for function in functions
            for each in ast.walk(function)
            if (isinstance(each, ast.Attribute) and each.attr in called)
            or (isinstance(each, ast.Constant) and each.value in called)
        }

    assert callers("start_span", "start_as_current_span") == {"_start_as_current_span", "_completed_workflow_span"}
    assert callers("_completed_workflow_span") == {"workflow_interceptor_class"}
    assert callers("__temporal_opentelemetry_completed_span") == {"workflow_interceptor_class", "_completed_span"}
    assert TracingInterceptor._start_as_current_span is not SampledTracing._start_as_current_span
    assert TracingWorkflowInboundInterceptor._completed_span is not _SampledWorkflow._completed_span


def test_a_call_in_a_trace_that_is_kept_is_a_span_and_its_parent_travels() -> None:
    tracer, ended = tracing(ParentBased(ALWAYS_ON))
    sent = Call()
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
    sent = Call()
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


def workflow_interceptor(monkeypatch: pytest.MonkeyPatch, spans: list[str]) -> _SampledWorkflow:
    """A workflow's interceptor outside of any workflow; it notes the spans that the SDK's own would make."""
    monkeypatch.setattr("temporalio.workflow.extern_functions", dict)
    monkeypatch.setattr(
        TracingWorkflowInboundInterceptor,
        "_completed_span",
        lambda _self, name, **_rest: spans.append(name),
    )
    return _SampledWorkflow(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("flags", [0, 2], ids=["not sampled", "not sampled, with a random id"])
def test_a_step_of_a_workflow_whose_trace_is_thrown_away_is_no_span_and_its_ids_travel(
    monkeypatch: pytest.MonkeyPatch, flags: int
) -> None:
    spans: list[str] = []
    interceptor, step = workflow_interceptor(monkeypatch, spans), Call()
    context = SpanContext(TRACE_ID, SPAN_ID, is_remote=True, trace_flags=TraceFlags(flags))
    with trace.use_span(NonRecordingSpan(context)):
        interceptor._completed_span("StartActivity:x", add_to_outbound=step, kind=SpanKind.CLIENT)
        interceptor._completed_span("RunWorkflow:x")
    (carrier,) = PayloadConverter.default.from_payloads([step.headers[interceptor.header_key]])
    assert carrier == {"traceparent": f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-{flags:02x}"}
    assert spans == []


def test_a_step_of_a_workflow_whose_trace_is_kept_or_unknown_is_left_to_the_sdk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans: list[str] = []
    interceptor = workflow_interceptor(monkeypatch, spans)
    kept = SpanContext(TRACE_ID, SPAN_ID, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with trace.use_span(NonRecordingSpan(kept)):
        interceptor._completed_span("StartActivity:x", add_to_outbound=Call())
    interceptor._completed_span("RunWorkflow:x")
    assert spans == ["StartActivity:x", "RunWorkflow:x"]
