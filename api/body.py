"""Reads a JSON body once: bounded while it streams, checked, and turned into a canonical form.

Invariant: what comes out is a JSON object in valid Unicode without NUL characters, no deeper than MAX_DEPTH, each name once in
its object, and without anything that looks like a card number. What does not qualify is refused without being repeated.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

from api import problems
from api.card_numbers import holds_card_number
from api.problems import FieldError, Problem

Model = TypeVar("Model", bound=BaseModel)

MAX_DEPTH = 16
"""Deepest nesting of objects and arrays."""

READ_TIMEOUT_S = 15.0
"""Longest time a body may take to arrive."""

_OF_A_NAME = "[key]"
"""Where pydantic says that it means a name, not the value under it."""

DRAIN_MAX_BYTES = 4 * 1024 * 1024
"""How much of a body that is too large is read and thrown away."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ESCAPED_CONTROL = re.compile(rb"\\(?:[nrtfb]|u00[01][0-9a-f])")
"""Control characters as JSON writes them, which may stand between the digits of a card number."""


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A JSON object, and its canonical bytes: keys sorted, no blanks, escapes resolved."""

    content: Mapping[str, Any]
    canonical: bytes


async def read_json(request: Request, max_bytes: int, *, optional: bool = False) -> JsonBody:
    """Read the body. With `optional`, no body counts as an empty object.

    Raises Problem: 400 malformed, 408 too slow, 413 too large, 415 not JSON, 422 not an object or a card number in it.
    """
    raw = await _read(request, max_bytes)
    if optional and not raw:
        return JsonBody({}, b"{}")
    _require_json(request)
    content = parse(raw)
    if not isinstance(content, dict):
        error = FieldError("", "The body must be a JSON object.")
        raise Problem(problems.VALIDATION_FAILED, error.detail, errors=[error])
    canonical = check(content)
    _require_each_name_once(raw)
    return JsonBody(content, canonical)


async def _read(request: Request, max_bytes: int) -> bytes:
    if _is_announced_too_large(request, max_bytes):
        raise _too_large(max_bytes, at_once=True)
    chunks = request.stream()
    received = bytearray()
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for chunk in chunks:
                received += chunk
                if len(received) > max_bytes:
                    raise _too_large(max_bytes, at_once=not await _ends_soon(chunks))
    except TimeoutError:
        raise Problem(problems.REQUEST_TIMEOUT, f"The body took longer than {READ_TIMEOUT_S:g} seconds.") from None
    except ClientDisconnect:
        raise Problem(problems.MALFORMED_REQUEST, "The connection was closed before the body was whole.") from None
    return bytes(received)


def _is_announced_too_large(request: Request, max_bytes: int) -> bool:
    """Tell whether not to begin: the client says it sends more than is worth reading, or waits for leave to send."""
    announced = request.headers.get("content-length", "")
    if not announced.isdecimal() or int(announced) <= max_bytes:
        return False
    waits = request.headers.get("expect", "").lower() == "100-continue"
    return waits or int(announced) > DRAIN_MAX_BYTES


async def _ends_soon(rest: AsyncIterator[bytes]) -> bool:
    """Read on and forget it, within a bound: an answer that comes while a client still sends is lost to most clients."""
    drained = 0
    async for chunk in rest:
        drained += len(chunk)
        if drained > DRAIN_MAX_BYTES:
            return False
    return True


def _too_large(max_bytes: int, *, at_once: bool) -> Problem:
    headers = {"Connection": "close"} if at_once else {}
    return Problem(problems.BODY_TOO_LARGE, f"The body may have at most {max_bytes} bytes.", headers=headers)


def _require_json(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise Problem(problems.UNSUPPORTED_MEDIA_TYPE, "The body must have `Content-Type: application/json`, in UTF-8.")


def parse(raw: bytes) -> Any:
    """Parse JSON. Raises Problem 400 with the place of the error, but nothing of the content."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        what = "holds a number that is too large" if "infinity" in error.msg else "is no valid JSON in UTF-8"
        raise Problem(problems.MALFORMED_REQUEST, f"The body {what} ({place}).") from None


def _require_each_name_once(raw: bytes) -> None:
    """Raise Problem 400 when an object names a field twice: of two readers, each may believe another one (RFC 8259, 4).

    The body must have passed `check`, so that the slower parser meets nothing deep.
    """
    json.loads(raw, object_pairs_hook=_unlike_names)


def _unlike_names(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise Problem(problems.MALFORMED_REQUEST, "The body names a field twice within one object.")


def check(content: Any) -> bytes:
    """Return the canonical form. Raises Problem when it is too deep, or holds a NUL character or a card number."""
    if not _is_shallow(content):
        raise Problem(problems.MALFORMED_REQUEST, f"The body is nested deeper than {MAX_DEPTH} levels.")
    canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    if b"\\u0000" in canonical and _NUL.search(canonical):
        raise Problem(problems.MALFORMED_REQUEST, "The body holds a NUL character (\\u0000), which no text may have.")
    refuse_card_numbers(_ESCAPED_CONTROL.sub(b" ", canonical).decode(), "The body")
    return canonical


def refuse_card_numbers(text: str, where: str) -> None:
    """Raise Problem 422 when something in the text looks like a card number; `where` says what the text is."""
    if holds_card_number(text):
        raise Problem(problems.CARD_NUMBER_REFUSED, f"{where} holds what looks like a card number.")


def _is_shallow(content: Any) -> bool:
    level = [content]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += (inner for inner in value.values() if isinstance(inner, dict | list))
            elif isinstance(value, list):
                below += (inner for inner in value if isinstance(inner, dict | list))
        if not below:
            return True
        level = below
    return False


def validate(model: type[Model], body: JsonBody) -> Model:
    """Return the body as the model. Raises Problem 422 that names each invalid field and repeats no value."""
    try:
        return model.model_validate(body.content)
    except ValidationError as error:
        raise _invalid(error.errors(include_url=False, include_input=False), body.content) from None


def _invalid(found: list[ErrorDetails], content: Mapping[str, Any]) -> Problem:
    errors = [FieldError(_pointer(error["loc"], content), sentence(error["msg"])) for error in found]
    kinds = {error["type"] for error in found}
    detail = errors[0].detail if len(errors) == 1 else f"{len(errors)} fields are invalid; `errors` names them."
    if len(errors) == 1 and errors[0].pointer:
        detail = f"{errors[0].pointer}: {detail}"
    kind = problems.CATALOGUE.get(next(iter(kinds))) if len(kinds) == 1 else None
    return Problem(kind or problems.VALIDATION_FAILED, detail, errors=errors)


def _pointer(location: tuple[int | str, ...], content: Any) -> str:
    """Return the JSON pointer of an error's location, without the names of union members that stand in it."""
    parts: list[str] = []
    for place, part in enumerate(location):
        is_last = place == len(location) - 1
        if isinstance(content, dict) and part not in content and not is_last:
            continue
        if is_last and part == _OF_A_NAME:
            break
        parts.append(str(part).replace("~", "~0").replace("/", "~1"))
        content = content.get(part) if isinstance(content, dict) else None
    return "".join(f"/{part}" for part in parts)


def sentence(message: str) -> str:
    """Return a message of pydantic as a sentence of ours."""
    return message.removeprefix("Value error, ").removesuffix(".") + "."
