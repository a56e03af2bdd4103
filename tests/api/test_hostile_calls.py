"""Every route of the API, as its own description lists them, called by somebody who means harm or knows no better."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.api_world import ApiWorld, new_key

NUMBER = "4242424242424242"
IDS = {
    "payment_id": "pay_" + "a" * 26,
    "refund_id": "re_" + "a" * 26,
    "loan_id": "ln_" + "a" * 26,
    "clock_id": "clk_" + "a" * 26,
    "account_id": "merchant",
    "number": "1",
}
ODD_VALUES = (
    "", "\0", "a\0b", "é", "\u202e", "a" * 201, "a" * 20_000, "-1", "0", "1e9", "9" * 20, "null", "'", "%ff", "true",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z", "2026-13-45T99:99:99Z",
    "2026-01-01T00:00:60Z", "OTk5OTk5OTk5OTk5OTk5OTk6cGF5X2E", "bjk5OTk5OTk5OTk5OTk5OTk5OTk", "bjA", "MDow",
)  # fmt: skip
ODD_IDS = (
    "é",
    "a" * 5_000,
    "%00",
    "%ff",
    "%0a",
    "..%2f..",
    "pay_%0a",
    "'",
    "-1",
    "null",
    "\N{MATHEMATICAL DOUBLE-STRUCK DIGIT FOUR}" * 13,
    "pay_" + "a" * 61,
    "%20",
)

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture
async def operations(idle_world: ApiWorld) -> list[Operation]:
    document = (await idle_world.get("/openapi.json")).json()
    found = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(found) > 40
    return found


def _target(path: str, **others: str) -> str:
    return re.sub(r"{(\w+)}", lambda match: (IDS | others)[match[1]], path)


def _parameters(operation: dict[str, Any], place: str) -> list[str]:
    return [each["name"] for each in operation.get("parameters", []) if each["in"] == place]


async def _call(
    world: ApiWorld, method: str, target: str, headers: dict[str, str] | None = None, **sent: Any
) -> httpx.Response:
    named = {"Idempotency-Key": new_key(), "Clearhold-Actor": "ops-1"} | (headers or {})
    if method == "POST" and "content" not in sent:
        sent["json"] = sent.get("json", {})
    answer = await world.http.request(method, target, headers=named, **sent)
    assert answer.status_code < 500 or answer.json()["code"] == "no_worker", (method, target[:80], answer.text)
    assert len(answer.headers["trace-id"]) == 32
    assert answer.status_code < 400 or answer.headers["content-type"] == "application/problem+json", (
        method,
        target[:80],
    )
    return answer


def _assert_refused(answer: httpx.Response, status: int, code: str, *place: object) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), (*place, answer.text)
    assert NUMBER not in answer.text + str(answer.headers)


async def test_without_a_valid_key_no_route_looks_at_what_was_sent(
    idle_world: ApiWorld, operations: list[Operation]
) -> None:
    wrong = (
        "",
        "Bearer",
        "Bearer ch_x",
        f"Basic {idle_world.token}",
        f"Bearer {idle_world.token[:-1]}",
        "Bearer " + "x" * 5_000,
    )
    for method, path, _ in operations:
        if not path.startswith("/v1/"):
            continue
        for authorization in wrong:
            body = {"content": b"{", "headers": {"Authorization": authorization}} if method == "POST" else {
                "headers": {"Authorization": authorization}
            }  # fmt: skip
            _assert_refused(
                await _call(idle_world, method, _target(path), **body), 401, "unauthenticated", method, path
            )


async def test_a_card_number_is_refused_in_every_place_a_request_has(
    idle_world: ApiWorld, operations: list[Operation]
) -> None:
    for method, path, operation in operations:
        places: list[tuple[str, dict[str, Any]]] = [
            *((_target(path), {"headers": {name: NUMBER}}) for name in _parameters(operation, "header")),
            *((_target(path), {"params": {name: NUMBER}}) for name in _parameters(operation, "query")),
            *((_target(path, **{name: NUMBER}), {}) for name in _parameters(operation, "path")),
            (_target(path), {"params": {"unknown": NUMBER}}),
            (_target(path), {"params": {NUMBER: "unknown"}}),
        ]
        if "requestBody" in operation:
            places += ((_target(path), {"json": body}) for body in _bodies_with_a_card(operation))
        for target, sent in places:
            _assert_refused(await _call(idle_world, method, target, **sent), 422, "card_number_refused", target, sent)
    assert await idle_world.count("idempotency_keys") == 0


def _bodies_with_a_card(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for written in (
        NUMBER,
        "4242\t4242\t4242\t4242",
        "4242\r\n4242\r\n4242\r\n4242",
        "4242\u200b4242\u200b4242\u200b4242",
    ):
        yield {"anything": [{"deep": written}]}
    yield {"amount": int(NUMBER)}
    yield {NUMBER: 1}


async def test_no_value_of_a_query_is_a_defect(idle_world: ApiWorld, operations: list[Operation]) -> None:
    for method, path, operation in operations:
        for name in _parameters(operation, "query"):
            for value in ODD_VALUES:
                answer = await _call(idle_world, method, _target(path), params={name: value})
                if "\0" in value:
                    _assert_refused(answer, 400, "malformed_request", path, name)
            twice = await _call(idle_world, method, f"{_target(path)}?{name}=1&{name}=2")
            assert twice.status_code < 500


async def test_no_id_that_cannot_exist_is_found_or_is_a_defect(
    idle_world: ApiWorld, operations: list[Operation]
) -> None:
    for method, path, operation in operations:
        for name in _parameters(operation, "path"):
            for odd in ODD_IDS:
                answer = await _call(idle_world, method, _target(path, **{name: odd}))
                assert answer.status_code in (404, 422), (method, path, odd, answer.text)


async def test_no_route_reads_a_body_of_two_megabytes(idle_world: ApiWorld, operations: list[Operation]) -> None:
    for method, path, operation in operations:
        if "requestBody" not in operation:
            continue
        answer = await _call(
            idle_world, method, _target(path), {"Content-Type": "application/json"}, content=b" " * 2_000_000
        )
        _assert_refused(answer, 413, "body_too_large", path)


async def test_no_route_that_needs_a_key_takes_a_call_without_one_or_with_a_strange_one(
    idle_world: ApiWorld, operations: list[Operation]
) -> None:
    needing = [
        path
        for method, path, operation in operations
        if any(each["name"] == "Idempotency-Key" and each.get("required") for each in operation.get("parameters", []))
    ]
    assert len(needing) > 20
    strange: list[list[tuple[bytes, bytes]]] = [
        [],
        [(b"idempotency-key", b"")],
        [(b"idempotency-key", b"two words")],
        [(b"idempotency-key", "é".encode())],
        [(b"idempotency-key", b"k" * 256)],
        [(b"idempotency-key", b"one"), (b"idempotency-key", b"two")],
    ]
    for path in needing:
        for keys in strange:
            headers = [*keys, (b"clearhold-actor", b"ops-1")]
            answer = await idle_world.http.post(_target(path), json={}, headers=headers)
            assert answer.status_code == 400, (path, keys, answer.text)
            assert answer.json()["code"] in ("idempotency_key_missing", "malformed_request")
    assert await idle_world.count("idempotency_keys") == 0


async def test_no_answer_may_be_kept_on_its_way_or_taken_for_what_it_is_not(
    idle_world: ApiWorld, operations: list[Operation]
) -> None:
    for method, path, _ in [
        *operations,
        ("GET", "/nothing", {}),
        ("GET", "/openapi.json", {}),
        ("GET", "/problems", {}),
    ]:
        answer = await idle_world.http.request(method, _target(path))
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.headers["x-content-type-options"] == "nosniff", path


async def test_captures_and_a_cancel_at_once_take_no_more_than_was_authorized(world: ApiWorld) -> None:
    payment = await world.authorized(amount=1000)
    path = f"/v1/payments/{payment['id']}"
    captures = [world.post(f"{path}/capture", {"amount": 400, "final": False}) for _ in range(8)]
    answers = await asyncio.gather(*captures, world.post(f"{path}/cancel"))
    taken = [answer for answer in answers[:-1] if answer.status_code == 200]
    assert len(taken) <= 2
    for answer in answers[:-1]:
        assert answer.status_code in (200, 409, 422, 429), answer.text
    left = (await world.get(path)).json()
    assert left["amount_captured"] == 400 * len(taken) == await world.balance("merchant")


async def test_refunds_at_once_give_back_no_more_than_was_captured(world: ApiWorld) -> None:
    payment = await world.paid(amount=1000)
    path = f"/v1/payments/{payment['id']}"
    answers = await asyncio.gather(
        *(world.post(f"{path}/refunds", {"amount": 400} if turn % 2 else {}) for turn in range(10))
    )
    given = [answer.json() for answer in answers if answer.status_code == 201]
    assert all(answer.status_code in (201, 422) for answer in answers), [answer.text for answer in answers]
    assert given
    assert {refund["status"] for refund in given} == {"succeeded"}
    total = sum(refund["amount"] for refund in given)
    assert total <= 1000
    assert (await world.get(path)).json()["amount_refunded"] == total
    assert await world.balance("merchant") == 1000 - total
