"""One effect and one answer per idempotency key, however often and however concurrently it is used."""

import asyncio
from collections.abc import Callable

import httpx

from tests.integration.bank.cardholder import Cardholder

NewKey = Callable[[str], str]
CONCURRENT_CALLS = 50


async def test_fifty_equal_calls_at_once_authorize_once(cardholder: Cardholder, payment_id: str) -> None:
    token, key = await cardholder.token(), f"{payment_id}:authorize:1"
    answers = await asyncio.gather(
        *(cardholder.authorize(payment_id, key, token=token, capture="automatic") for _ in range(CONCURRENT_CALLS))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    replayed = [answer.headers.get("Idempotent-Replayed") for answer in answers]
    assert sorted(replayed, key=str) == [None, *["true"] * (CONCURRENT_CALLS - 1)]
    authorizations = (await cardholder.get(f"/authorizations?reference={payment_id}")).json()["authorizations"]
    assert [authorization["captured_minor"] for authorization in authorizations] == [1000]
    assert len(await cardholder.recorded(payment_id)) == 1


async def test_fifty_different_bodies_under_one_key_have_one_effect(cardholder: Cardholder, payment_id: str) -> None:
    token, key = await cardholder.token(), f"{payment_id}:authorize:1"
    answers = await asyncio.gather(
        *(cardholder.authorize(payment_id, key, token=token, amount_minor=n + 1) for n in range(CONCURRENT_CALLS))
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[422] * (CONCURRENT_CALLS - 1)]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 422} == {"key_reused"}
    assert len(await cardholder.recorded(payment_id)) == 1


async def test_captures_refunds_and_voids_are_repeated_by_their_keys(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold = await cardholder.hold(payment_id)
    for action, amount in (("captures", {"amount_minor": 600}), ("refunds", {"amount_minor": 500}), ("void", {})):
        key = new_key(action)
        first, *others = await asyncio.gather(
            *(cardholder.act(hold, action, payment_id, key, **amount) for _ in range(10))
        )
        assert first.status_code == 200
        assert {other.content for other in others} == {first.content}
    state = await cardholder.state(hold)
    assert (state["captured_minor"], state["refunded_minor"], state["released_minor"]) == (600, 500, 400)


async def test_a_decline_is_remembered_like_an_approval(cardholder: Cardholder, payment_id: str) -> None:
    token, key = await cardholder.token("4000000000009995"), f"{payment_id}:authorize:1"
    first = await cardholder.authorize(payment_id, key, token=token)
    second = await cardholder.authorize(payment_id, key, token=token)
    assert (first.status_code, second.status_code) == (402, 402)
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"


async def test_the_same_order_spelt_differently_is_the_same_request(
    http: httpx.AsyncClient, cardholder: Cardholder, payment_id: str
) -> None:
    token, key = await cardholder.token(), f"{payment_id}:authorize:1"
    first = await cardholder.authorize(payment_id, key, token=token)
    spelt = (
        f'{{ "capture": "manual","token":"{token}", "currency":"USD",\n'
        f'"amount_minor":1000, "challenge_id": null, "reference":"{payment_id}" }}'
    )
    second = await http.post("/authorizations", content=spelt, headers={"Idempotency-Key": key})
    assert second.content == first.content


async def test_one_key_on_two_routes_is_refused(cardholder: Cardholder, payment_id: str) -> None:
    hold, key = await cardholder.hold(payment_id), f"{payment_id}:step:1"
    assert (await cardholder.act(hold, "captures", payment_id, key, amount_minor=10)).status_code == 200
    answer = await cardholder.act(hold, "refunds", payment_id, key, amount_minor=10)
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")


async def test_a_money_operation_without_a_key_is_refused(cardholder: Cardholder, payment_id: str) -> None:
    order = {"reference": payment_id, "amount_minor": 5, "currency": "USD", "account": "acct_x", "mandate": "mdt_x"}
    body = {"reference": payment_id}
    answers = [
        await cardholder.post("/payouts", {k: v for k, v in order.items() if k != "mandate"}),
        await cardholder.post("/collections", {k: v for k, v in order.items() if k != "account"}),
        await cardholder.post("/authorizations/auth_x/void", body),
        await cardholder.post("/reversals", {**body, "original_key": "k"}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(400, "key_missing")] * 4


async def test_a_refused_order_may_be_corrected_under_its_key(cardholder: Cardholder, payment_id: str) -> None:
    key = f"{payment_id}:authorize:1"
    refused = await cardholder.authorize(payment_id, key, token="tok_unknown")
    assert (refused.status_code, refused.json()["code"]) == (404, "token_not_found")
    assert (await cardholder.get(f"/operations/{key}")).status_code == 404
    assert (await cardholder.authorize(payment_id, key)).status_code == 200


async def test_an_inquiry_finds_the_answer_by_its_key_or_says_it_never_came(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    key = new_key("authorize")
    never = await cardholder.get(f"/operations/{key}")
    assert (never.status_code, never.json()["code"]) == (404, "operation_not_found")
    first = (await cardholder.authorize(payment_id, key)).json()
    assert (await cardholder.get(f"/operations/{key}")).json() == first
    await cardholder.act(first["authorization_id"], "void", payment_id, new_key("void"))
    later = (await cardholder.get(f"/operations/{key}")).json()
    assert later == {**first, "authorization_status": "voided"}


async def test_a_key_may_hold_slashes_and_percent_signs(cardholder: Cardholder, payment_id: str) -> None:
    answer = await cardholder.authorize(payment_id, f"{payment_id}/a%2Fb?c")
    found = await cardholder.get(f"/operations/{payment_id}%2Fa%252Fb%3Fc")
    assert found.json()["id"] == answer.json()["id"]


async def test_the_trace_of_a_request_is_kept_with_its_operation(
    http: httpx.AsyncClient, cardholder: Cardholder, payment_id: str
) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    body = {
        "reference": payment_id, "amount_minor": 1000, "currency": "USD", "token": await cardholder.token(),
        "capture": "manual",
    }  # fmt: skip
    headers = {"Idempotency-Key": payment_id, "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    answer = await http.post("/authorizations", json=body, headers=headers)
    assert answer.json()["trace_id"] == trace_id
    assert [row["trace_id"] for row in await cardholder.recorded(payment_id)] == [trace_id]
    for broken in ("", "00-xyz-1-01", f"00-{'0' * 32}-00f067aa0ba902b7-01"):
        headers = {"Idempotency-Key": f"{payment_id}{len(broken)}", "traceparent": broken}
        assert (await http.post("/authorizations", json=body, headers=headers)).json()["trace_id"] is None
