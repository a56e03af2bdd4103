"""HEAD asks for the head of what GET answers."""

from __future__ import annotations

import re
from typing import Any

from starlette.types import Message

from tests.support.api_world import ApiWorld

OFTEN_DIFFERENT = {"trace-id", "content-length"}
"""What two answers to the same call may differ in: a metric or a day may have grown a digit between them."""


async def _ask(world: ApiWorld, method: str, path: str) -> tuple[int, dict[str, str], bytes, bool]:
    """Ask the application itself: clients and servers drop the body of a HEAD, whatever they are given."""
    sent: list[Message] = []
    key = world.http.headers["authorization"].encode()
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"x"), (b"authorization", key)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await world.app(scope, receive, send)
    start, *bodies = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, b"".join(each["body"] for each in bodies), bodies[-1].get("more_body", False)


async def test_head_is_answered_wherever_get_is_and_without_a_body(idle_world: ApiWorld) -> None:
    document = idle_world.app.openapi()["paths"]
    reads = [re.sub(r"\{\w+\}", "merchant", path) for path, item in document.items() if "get" in item]
    reads += ["/docs", "/docs/start.js", "/metrics", "/openapi.json", "/problems", "/problems/not_found", "/nothing"]
    assert len(reads) > 25
    found = set()
    for path in reads:
        status, headers, body, _ = await _ask(idle_world, "GET", path)
        asked = await _ask(idle_world, "HEAD", path)
        assert (asked[0], asked[2], asked[3]) == (status, b"", False), path
        assert set(asked[1]) == set(headers), path
        assert {n: v for n, v in asked[1].items() if n not in OFTEN_DIFFERENT} == {
            n: v for n, v in headers.items() if n not in OFTEN_DIFFERENT
        }, path
        assert body, path
        assert int(asked[1]["content-length"]) > 0, path
        found.add(status)
    assert {200, 404} <= found


async def test_head_is_allowed_nowhere_else_and_listed_nowhere(idle_world: ApiWorld) -> None:
    document = idle_world.app.openapi()["paths"]
    assert not [path for path, item in document.items() if "head" in item]
    for path in [path for path, item in document.items() if "get" not in item]:
        status, headers, body, _ = await _ask(idle_world, "HEAD", re.sub(r"\{\w+\}", "x", path))
        assert (status, body) == (405, b""), path
        assert "HEAD" not in headers["allow"], path


async def test_a_head_is_counted_as_one(idle_world: ApiWorld) -> None:
    await _ask(idle_world, "HEAD", "/v1/accounts/merchant")
    said = (await idle_world.get("/metrics")).text
    assert 'clearhold_http_requests_total{method="HEAD",route="/v1/accounts/{account_id}",status="200"} 1.0' in said
