"""What the fuzzer must know: a valid Idempotency-Key is new for each request, as the API demands of every client."""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis

_VALID = re.compile(r"[!-~]{1,255}")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and _VALID.fullmatch(key):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
