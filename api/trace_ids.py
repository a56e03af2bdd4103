"""The trace id of an answer: the caller's own where it sent a valid one, or a new one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_NO_TRACE = b"0" * 32


def new_trace_id() -> str:
    """Return a new id, 32 hexadecimal digits."""
    return os.urandom(16).hex()


def caller_trace_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the trace id that a caller sent with its request, if it sent a valid one."""
    for name, value in headers:
        if name == b"traceparent":
            match = _TRACEPARENT.fullmatch(value)
            if match is not None and match[1] != _NO_TRACE:
                return match[1].decode()
    return None
