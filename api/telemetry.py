"""Traces of the API: one span for each request, joined to the caller's trace when it sends `traceparent`.

Invariant: no span holds a card number, though a client may put one where it does not belong.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, TracerProvider

from api.card_numbers import holds_card_number

NOT_TRACED = "livez,readyz,metrics,docs,openapi.json"
REMOVED = "(removed: looks like a card number)"
_WRITTEN_BY_CLIENT = ("http.url", "http.target", "http.user_agent", "http.host", "http.server_name")


def instrument(app: FastAPI, provider: TracerProvider | None = None) -> None:
    """Trace the requests of an application; without the spans of every send and receive, which would halve its rate."""
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=provider,
        excluded_urls=NOT_TRACED,
        exclude_spans=["send", "receive"],
        server_request_hook=_remove_card_numbers,
    )


def _remove_card_numbers(span: Span, _scope: dict[str, Any]) -> None:
    if not isinstance(span, ReadableSpan) or not span.is_recording() or span.attributes is None:
        return
    for name in _WRITTEN_BY_CLIENT:
        value = span.attributes.get(name)
        if isinstance(value, str) and holds_card_number(unquote_plus(value)):
            span.set_attribute(name, REMOVED)
