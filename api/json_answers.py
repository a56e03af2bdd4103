"""Answers in JSON, and pages of them."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

MEDIA_TYPE = "application/json"


def to_json(view: dict[str, Any]) -> bytes:
    """Return an answer's bytes; moments in RFC 3339 with a `Z`."""
    return orjson.dumps(view, option=orjson.OPT_UTC_Z)


def answer(view: dict[str, Any]) -> Response:
    """Answer 200 with a view."""
    return Response(to_json(view), media_type=MEDIA_TYPE)


def page(data: list[dict[str, Any]], next_cursor: str | None) -> Response:
    """Answer 200 with a page of views; `next_cursor` is where the next one begins, or None after the last."""
    return answer({"object": "list", "data": data, "has_more": next_cursor is not None, "next_cursor": next_cursor})
