"""What cannot be done is refused with a clear problem, and nothing happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.body import DRAIN_MAX_BYTES
from tests.support.api_process import running_api
from tests.support.api_world import ApiWorld, card, new_key, wallet

GOOD: dict[str, Any] = {"amount": 2933, "currency": "USD", "account": "merchant", "payment_method": card()}
DEEP: dict[str, Any] = {}
for _ in range(40):
    DEEP = {"deeper": DEEP}

BODIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "zero": ({"amount": 0}, "invalid_amount", "greater than zero"),
    "negative": ({"amount": -1}, "invalid_amount", "greater than zero"),
    "huge": ({"amount": 10**15 + 1}, "invalid_amount", "beyond the largest"),
    "beyond a float": ({"amount": 10**40}, "invalid_amount", "beyond the largest"),
    "decimal": ({"amount": 29.33}, "invalid_amount", "without a decimal point"),
    "decimal yen": ({"amount": 500.5, "currency": "JPY"}, "invalid_amount", "500 JPY is 500"),
    "an integral float": ({"amount": 2933.0}, "invalid_amount", "without a decimal point"),
    "text": ({"amount": "2933"}, "invalid_amount", "an integer"),
    "a truth": ({"amount": True}, "invalid_amount", "an integer"),
    "nothing": ({"amount": None}, "invalid_amount", "an integer"),
    "unknown currency": ({"currency": "XXQ"}, "unknown_currency", "XXQ"),
    "lower case": ({"currency": "usd"}, "unknown_currency", "usd"),
    "unknown account": ({"account": "nobody"}, "account_not_found", "nobody"),
    "closed account": ({"account": "closed"}, "account_closed", "closed"),
    "other currency": ({"account": "yen"}, "currency_mismatch", "JPY"),
    "a gateway's account": ({"account": "clearing:sandbox:USD"}, "validation_failed", "/account"),
    "unknown wallet": ({"payment_method": wallet("nobody")}, "account_not_found", "nobody"),
    "closed wallet": ({"payment_method": wallet("closed")}, "account_closed", "closed"),
    "foreign wallet": ({"payment_method": wallet("yen")}, "currency_mismatch", "yen"),
    "to itself": ({"payment_method": wallet("merchant")}, "accounts_must_differ", "itself"),
    "unknown method": ({"payment_method": {"type": "cash"}}, "validation_failed", "/payment_method"),
    "no token": ({"payment_method": {"type": "card"}}, "validation_failed", "/payment_method/token"),
    "too many attempts": ({"attempts_allowed": 11}, "validation_failed", "/attempts_allowed"),
    "no attempt": ({"attempts_allowed": 0}, "validation_failed", "/attempts_allowed"),
    "endless timer": ({"timers": {"challenge_timeout_s": 1e9}}, "validation_failed", "/timers/challenge_timeout_s"),
    "misspelt field": ({"amuont": 1}, "validation_failed", "/amuont"),
    "long text": ({"description": "x" * 1001}, "validation_failed", "/description"),
    "metadata of numbers": ({"metadata": {"order": 1}}, "validation_failed", "/metadata/order"),
    "much metadata": ({"metadata": {f"k{n}": "v" for n in range(21)}}, "validation_failed", "/metadata"),
    "a name that metadata cannot have": ({"metadata": {"a~ /b": "c"}}, "validation_failed", "/metadata/a~0 ~1b"),
    "NUL": ({"description": "a\x00b"}, "malformed_request", "NUL"),
    "NUL in a name": ({"metadata": {"a\x00b": "c"}}, "malformed_request", "NUL"),
    "too deep": ({"metadata": DEEP}, "malformed_request", "deeper"),
}


@pytest.fixture
async def shop(idle_world: ApiWorld) -> AsyncIterator[ApiWorld]:
    """Accounts that are open, closed and in yen; when the test is over, nothing has happened."""
    await idle_world.open_account("closed")
    await idle_world.post("/v1/accounts/closed/close")
    await idle_world.open_account("yen", "JPY")
    yield idle_world
    for table in ("payments", "refunds", "idempotency_keys", "ledger_entries", "payment_events"):
        assert await idle_world.count(table) == 0, table
    queue = f"TaskQueue = '{idle_world.settings.payment_task_queue}'"
    assert (await idle_world.temporal.count_workflows(queue)).count == 0


def _assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), problem
    assert problem["type"] == f"/problems/{code}"
    assert problem["trace_id"] == answer.headers["trace-id"]
    assert problem["title"]
    assert problem["detail"]
    assert problem["advice"]
    return problem


async def test_a_body_that_cannot_be_paid_is_refused_and_says_why(shop: ApiWorld) -> None:
    for name, (change, code, words) in BODIES.items():
        answer = await shop.post("/v1/payments", GOOD | change)
        problem = _assert_problem(answer, 400 if code == "malformed_request" else 422, code)
        pointers = [error["pointer"] for error in problem.get("errors", [])]
        assert words in problem["detail"] or words in pointers, (name, problem)
        assert problem["instance"] == "/v1/payments"


async def test_each_missing_field_is_named(shop: ApiWorld) -> None:
    problem = _assert_problem(await shop.post("/v1/payments", {}), 422, "validation_failed")
    assert {error["pointer"] for error in problem["errors"]} == {"/amount", "/currency", "/account"}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"{'amount': 1}", b'{"amount": NaN}', b"\xff\xfe", b'{"description": "\xc3\x28"}',
        b'{"description": "\\ud800"}', b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
)  # fmt: skip
async def test_what_is_no_json_is_refused(shop: ApiWorld, content: bytes) -> None:
    status, code = (413, "body_too_large") if len(content) > 64 * 1024 else (400, "malformed_request")
    _assert_problem(await _send(shop, content), status, code)


async def test_a_number_beyond_all_bounds_is_called_that(shop: ApiWorld) -> None:
    problem = _assert_problem(await _send(shop, b'{"amount": 1' + b"0" * 400 + b"}"), 400, "malformed_request")
    assert "too large" in problem["detail"]


@pytest.mark.parametrize(
    "twice",
    [
        b'{"amount": 1, "amount": 2',
        b'{"amount": 1, "am\\u006funt": 1',
        b'{"metadata": {"a": "1", "b": "2", "a": "1"}, "amount": 1',
        b'{"description": "4242424242424242", "description": "", "amount": 1',
        b'{"amount": 1, "": [{"x": 1, "x": 1}]',
    ],
    ids=["an amount", "written otherwise", "further in", "a hidden card number", "in an unknown field"],
)
async def test_a_field_named_twice_is_refused_for_nobody_knows_which_is_meant(shop: ApiWorld, twice: bytes) -> None:
    rest = b', "currency": "USD", "account": "merchant", "payment_method": {"type": "card", "token": "tok_visa"}}'
    problem = _assert_problem(await _send(shop, twice + rest), 400, "malformed_request")
    assert "twice" in problem["detail"]
    assert "4242" not in str(problem)


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"1", b"null", b"true"])
async def test_json_that_is_no_object_is_refused(shop: ApiWorld, content: bytes) -> None:
    _assert_problem(await _send(shop, content), 422, "validation_failed")


async def _send(shop: ApiWorld, content: Any, **headers: str) -> httpx.Response:
    named = {"Idempotency-Key": new_key(), "Content-Type": "application/json"} | headers
    return await shop.http.post("/v1/payments", content=content, headers=named)


async def test_another_content_type_is_refused(shop: ApiWorld) -> None:
    for kind in ("text/plain", "application/xml", "application/json; charset=latin-1", "multipart/form-data", ""):
        _assert_problem(await _send(shop, b"{}", **{"Content-Type": kind}), 415, "unsupported_media_type")


async def test_a_body_of_two_megabytes_is_refused_when_it_is_announced(shop: ApiWorld) -> None:
    _assert_problem(await _send(shop, b" " * 2_000_000), 413, "body_too_large")


async def test_a_body_of_two_megabytes_is_refused_while_it_streams_and_the_connection_is_kept(shop: ApiWorld) -> None:
    answer = await _send(shop, _stream(2_000))
    _assert_problem(answer, 413, "body_too_large")
    assert "connection" not in answer.headers


async def test_a_body_without_end_is_read_up_to_a_bound_and_no_further(shop: ApiWorld) -> None:
    sent: list[int] = []
    answer = await _send(shop, _stream(1_000_000, sent))
    _assert_problem(answer, 413, "body_too_large")
    assert answer.headers["connection"] == "close"
    assert sum(sent) < DRAIN_MAX_BYTES + 100_000


async def test_a_client_that_asks_before_it_sends_too_much_is_told_at_once(shop: ApiWorld) -> None:
    sent: list[int] = []
    headers = {"Content-Length": "2000000", "Expect": "100-continue"}
    _assert_problem(await _send(shop, _stream(2_000, sent), **headers), 413, "body_too_large")
    assert sent == []


async def _stream(chunks: int, sent: list[int] | None = None) -> AsyncIterator[bytes]:
    for _ in range(chunks):
        if sent is not None:
            sent.append(1_000)
        yield b" " * 1_000


async def test_a_real_client_reads_the_refusal_of_a_body_it_is_still_sending(shop: ApiWorld, tmp_path: Path) -> None:
    """Over TCP: an answer that closes the connection too early is lost in a reset."""
    async with running_api(shop.settings, tmp_path) as api, httpx.AsyncClient(trust_env=False) as http:
        headers = {
            "Authorization": f"Bearer {shop.token}",
            "Idempotency-Key": "big",
            "Content-Type": "application/json",
        }
        for turn in range(20):
            content = _stream(2_000) if turn % 2 else b" " * 2_000_000
            answer = await http.post(f"{api.url}/v1/payments", content=content, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_body_that_does_not_arrive_in_time_is_refused(shop: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.body.READ_TIMEOUT_S", 0.05)

    async def stall() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    _assert_problem(await _send(shop, stall()), 408, "request_timeout")


async def test_an_unknown_payment_is_not_found_by_any_command(shop: ApiWorld) -> None:
    for path in ("pay_" + "a" * 26, "pay_%00", "..", "pay_A", "re_x", "pay_" + "a" * 500):
        for command in ("confirm", "capture", "cancel", "refunds"):
            answer = await shop.post(f"/v1/payments/{path}/{command}")
            _assert_problem(answer, 404, "not_found")


async def test_a_review_names_who_decides_and_what_was_found(shop: ApiWorld) -> None:
    path = "/v1/payments/pay_a/review"
    problem = _assert_problem(await shop.post(path, {"action": "retry"}), 422, "validation_failed")
    assert problem["errors"][0]["pointer"] == "/header/Clearhold-Actor"
    for body, pointer in (
        ({"action": "resolve", "outcome": "canceled"}, "/note"),
        ({"action": "resolve", "note": "seen"}, "/outcome"),
        ({"action": "resolve", "outcome": "processing", "note": "seen"}, "/outcome"),
        ({"action": "ignore"}, ""),
        ({}, ""),
    ):
        answer = await shop.post(path, body, headers={"Clearhold-Actor": "ops-1"})
        problem = _assert_problem(answer, 422, "validation_failed")
        assert problem["errors"][0]["pointer"] == pointer, body


async def test_unknown_paths_and_methods_are_problems_too(shop: ApiWorld) -> None:
    _assert_problem(await shop.get("/v1/nothing"), 404, "not_found")
    answer = await shop.http.delete("/v1/payments/pay_a")
    _assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"
    both = await shop.http.delete("/v1/payments")
    assert both.headers["allow"] == "GET, HEAD, POST"


async def test_a_method_that_is_not_allowed_is_told_those_that_are(shop: ApiWorld) -> None:
    """Every path of the document, and those that are not in it."""
    document = shop.app.openapi()["paths"]
    expected = {path: {method.upper() for method in item} for path, item in document.items()}
    expected |= {path: {"GET"} for path in ("/metrics", "/docs", "/docs/start.js", "/problems", "/problems/not_found")}
    for path, methods in expected.items():
        answer = await shop.http.request("PATCH", re.sub(r"\{\w+\}", "x", path))
        _assert_problem(answer, 405, "method_not_allowed")
        allowed = methods | {"HEAD"} if "GET" in methods else methods
        assert set(answer.headers["allow"].split(", ")) == allowed, path


async def test_a_query_parameter_that_a_path_does_not_know_is_refused(shop: ApiWorld) -> None:
    """Misspelt, a filter would silently mean everything; sent twice, nobody knows which is meant."""
    for path, item in shop.app.openapi()["paths"].items():
        if not path.startswith("/v1"):
            continue
        for method, operation in item.items():
            named = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
            target = re.sub(r"\{\w+\}", "x", path)
            for query in ("statsu=succeeded", *(f"{name}=1&{name}=1" for name in named)):
                answer = await shop.http.request(method.upper(), f"{target}?{query}")
                problem = _assert_problem(answer, 422, "validation_failed")
                assert problem["errors"][0]["pointer"] == f"/query/{query.partition('=')[0]}", (method, path)


async def test_an_error_names_no_value_that_was_sent(shop: ApiWorld) -> None:
    answer = await shop.post("/v1/payments", GOOD | {"customer": "secret value!", "metadata": {"x": ["hidden"]}})
    _assert_problem(answer, 422, "validation_failed")
    assert "secret" not in answer.text
    assert "hidden" not in answer.text
