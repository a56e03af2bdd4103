"""The life of an authorization: captured, voided, refunded, reversed, expired, and never beyond its amount."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.integration.bank.cardholder import Cardholder
from tests.support.bank_process import running_bank

NewKey = Callable[[str], str]


async def test_a_sale_is_captured_in_the_call_that_authorizes_it(cardholder: Cardholder, payment_id: str) -> None:
    answer = await cardholder.authorize(payment_id, f"{payment_id}:authorize:1", capture="automatic")
    assert (answer.json()["operation"], answer.json()["authorization_status"]) == ("sale", "captured")
    assert (await cardholder.state(answer.json()["authorization_id"]))["captured_minor"] == 1000


async def test_a_hold_is_captured_in_parts_up_to_its_amount_and_no_further(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold = await cardholder.hold(payment_id)
    for amount_minor, status in ((300, "partially_captured"), (500, "partially_captured")):
        answer = await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=amount_minor)
        assert (answer.status_code, answer.json()["authorization_status"]) == (200, status)
    too_much = await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=201)
    assert (too_much.status_code, too_much.json()["decline_code"]) == (402, "amount_exceeds_authorized")
    rest = await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=200)
    assert rest.json()["authorization_status"] == "captured"
    again = await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=1)
    assert (again.status_code, again.json()["decline_code"]) == (402, "already_captured")
    assert (await cardholder.state(hold))["captured_minor"] == 1000


async def test_a_final_capture_releases_the_rest(cardholder: Cardholder, payment_id: str, new_key: NewKey) -> None:
    hold = await cardholder.hold(payment_id)
    await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=400, final=True)
    state = await cardholder.state(hold)
    assert (state["status"], state["held_minor"], state["captured_minor"], state["released_minor"]) == (
        "captured", 0, 400, 600,
    )  # fmt: skip
    more = await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=1)
    assert more.json()["decline_code"] == "already_captured"


async def test_concurrent_captures_never_take_more_than_is_held(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold = await cardholder.hold(payment_id)
    answers = await asyncio.gather(
        *(cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=150) for _ in range(20))
    )
    assert sum(answer.status_code == 200 for answer in answers) == 6
    assert (await cardholder.state(hold))["captured_minor"] == 900


async def test_a_void_releases_what_is_held_once(cardholder: Cardholder, payment_id: str, new_key: NewKey) -> None:
    hold = await cardholder.hold(payment_id)
    voided = await cardholder.act(hold, "void", payment_id, new_key("void"))
    assert (voided.json()["amount_minor"], voided.json()["authorization_status"]) == (1000, "voided")
    again = await cardholder.act(hold, "void", payment_id, new_key("void"))
    capture = await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=1)
    assert [answer.json()["decline_code"] for answer in (again, capture)] == ["authorization_voided"] * 2


async def test_a_void_after_a_partial_capture_keeps_what_was_captured(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold = await cardholder.hold(payment_id)
    await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=400)
    voided = await cardholder.act(hold, "void", payment_id, new_key("void"))
    assert (voided.json()["amount_minor"], voided.json()["authorization_status"]) == (600, "captured")


async def test_refunds_add_up_to_what_was_captured_and_no_further(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold = await cardholder.hold(payment_id)
    early = await cardholder.act(hold, "refunds", payment_id, new_key("refund"), amount_minor=1)
    assert (early.status_code, early.json()["decline_code"]) == (402, "not_captured")
    await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=700)
    for amount_minor in (300, 300):
        answer = await cardholder.act(hold, "refunds", payment_id, new_key("refund"), amount_minor=amount_minor)
        assert answer.status_code == 200
    too_much = await cardholder.act(hold, "refunds", payment_id, new_key("refund"), amount_minor=101)
    assert (too_much.status_code, too_much.json()["decline_code"]) == (402, "amount_exceeds_captured")
    assert (await cardholder.act(hold, "refunds", payment_id, new_key("refund"), amount_minor=100)).status_code == 200
    assert (await cardholder.state(hold))["refunded_minor"] == 700


async def test_an_expired_hold_cannot_be_captured_or_voided(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold = await cardholder.hold(payment_id)
    expired = await cardholder.post(f"/admin/authorizations/{hold}/expire", {})
    assert (expired.json()["status"], expired.json()["held_minor"]) == ("expired", 0)
    capture = await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=1000)
    void = await cardholder.act(hold, "void", payment_id, new_key("void"))
    assert [answer.json()["decline_code"] for answer in (capture, void)] == ["authorization_expired"] * 2


async def test_the_lifetime_of_an_authorization_is_set_when_the_bank_starts(tmp_path: Path) -> None:
    async with (
        running_bank(tmp_path, "--authorization-valid-for-s", "0") as bank,
        httpx.AsyncClient(base_url=bank.url, trust_env=False) as http,
    ):
        cardholder = Cardholder(http)
        hold = await cardholder.hold("pay_brief")
        assert (await cardholder.state(hold))["status"] == "expired"
        sale = (await cardholder.authorize("pay_sale", "pay_sale:1", capture="automatic")).json()
        assert sale["authorization_status"] == "captured"


async def test_a_reversal_undoes_an_authorization_by_its_key(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    key = new_key("authorize")
    hold = (await cardholder.authorize(payment_id, key)).json()["authorization_id"]
    await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=400)
    await cardholder.act(hold, "refunds", payment_id, new_key("refund"), amount_minor=100)
    order = {"reference": payment_id, "original_key": key}
    reversal = (await cardholder.post("/reversals", order, new_key("reverse"))).json()
    assert (reversal["outcome"], reversal["amount_minor"], reversal["authorization_id"]) == ("approved", 900, hold)
    again = (await cardholder.post("/reversals", order, new_key("reverse"))).json()
    assert (again["outcome"], again["amount_minor"]) == ("approved", 0)
    assert (await cardholder.state(hold))["status"] == "reversed"
    assert sum(row["settled_minor"] for row in await cardholder.recorded(payment_id)) == 0
    for action in ("captures", "refunds"):
        late = await cardholder.act(hold, action, payment_id, new_key(action), amount_minor=1)
        assert late.json()["decline_code"] == "authorization_reversed"


async def test_one_capture_is_reversed_once_and_the_others_stand(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold = await cardholder.hold(payment_id)
    first, second = new_key("capture"), new_key("capture")
    for key in (first, second):
        await cardholder.act(hold, "captures", payment_id, key, amount_minor=300)
    order = {"reference": payment_id, "original_key": second}
    given_back = [
        (await cardholder.post("/reversals", order, new_key("reverse_capture"))).json()["amount_minor"]
        for _ in range(2)
    ]
    assert given_back == [300, 0]
    state = await cardholder.state(hold)
    assert (state["captured_minor"], state["reversed_minor"], state["held_minor"]) == (600, 300, 400)


async def test_a_reversal_that_comes_first_bars_the_capture(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold, key = await cardholder.hold(payment_id), new_key("capture")
    await cardholder.post("/reversals", {"reference": payment_id, "original_key": key}, new_key("reverse_capture"))
    late = await cardholder.act(hold, "captures", payment_id, key, amount_minor=300)
    assert (late.status_code, late.json()["decline_code"]) == (402, "reversed")
    assert (await cardholder.state(hold))["captured_minor"] == 0


async def test_a_reversal_that_comes_first_bars_the_authorization(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    key = new_key("authorize")
    order = {"reference": payment_id, "original_key": key}
    reversal = (await cardholder.post("/reversals", order, new_key("reverse"))).json()
    assert (reversal["outcome"], reversal["amount_minor"], reversal["currency"]) == ("approved", 0, "XXX")
    late = await cardholder.authorize(payment_id, key)
    assert (late.status_code, late.json()["decline_code"]) == (402, "reversed")
    assert (await cardholder.get("/authorizations?reference=" + payment_id)).json() == {"authorizations": []}


async def test_only_an_authorization_or_capture_of_the_same_reference_is_reversed(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    key, capture_key, refund_key = new_key("authorize"), new_key("capture"), new_key("refund")
    hold = (await cardholder.authorize(payment_id, key)).json()["authorization_id"]
    await cardholder.act(hold, "captures", payment_id, capture_key, amount_minor=400)
    await cardholder.act(hold, "refunds", payment_id, refund_key, amount_minor=100)
    for order in (
        {"reference": "pay_other", "original_key": key},
        {"reference": payment_id, "original_key": refund_key},
    ):
        refused = await cardholder.post("/reversals", order, new_key("reverse"))
        assert (refused.status_code, refused.json()["code"]) == (422, "not_reversible")
    assert (await cardholder.state(hold))["status"] == "partially_captured"


@pytest.mark.parametrize("action", ["captures", "refunds", "void"])
async def test_an_unknown_authorization_is_refused_and_nothing_is_recorded(
    cardholder: Cardholder, payment_id: str, new_key: NewKey, action: str
) -> None:
    amount = {} if action == "void" else {"amount_minor": 1}
    answer = await cardholder.act("auth_none", action, payment_id, new_key(action), **amount)
    assert (answer.status_code, answer.json()["code"]) == (404, "authorization_not_found")
    assert await cardholder.recorded(payment_id) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"amount_minor": 1.5},
        {"amount_minor": "10"},
        {"amount_minor": 10**12},
        {"amount_minor": True},
        {"currency": "usd"},
        {"currency": "EURO"},
        {"capture": "later"},
        {"surprise": 1},
        {"reference": ""},
        {"reference": "with space"},
    ],
)
async def test_a_malformed_order_is_refused_and_nothing_is_recorded(
    cardholder: Cardholder, payment_id: str, new_key: NewKey, fields: dict[str, object]
) -> None:
    body = {
        "reference": payment_id, "amount_minor": 1, "currency": "USD", "token": "tok_x", "capture": "manual", **fields,
    }  # fmt: skip
    answer = await cardholder.post("/authorizations", body, new_key("authorize"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await cardholder.recorded(payment_id) == []


async def test_a_capture_in_another_currency_is_refused(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold = await cardholder.hold(payment_id, currency="EUR")
    answer = await cardholder.act(hold, "captures", payment_id, new_key("capture"), amount_minor=1, currency="USD")
    assert (answer.status_code, answer.json()["code"]) == (422, "currency_mismatch")


async def test_a_huge_body_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/authorizations", content=b" " * 2_000_000, headers={"Idempotency-Key": "huge"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
