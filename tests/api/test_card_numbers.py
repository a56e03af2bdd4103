"""A card number never gets in: refused wherever it stands, and neither repeated, logged nor stored."""

from __future__ import annotations

import json
import logging
import unicodedata
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.card_numbers import holds_card_number
from tests.support.api_world import ApiWorld, card, new_key

NUMBER = "4242424242424242"
WRITTEN = [
    NUMBER,
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "4242\u00a04242\u20114242\u20134242",
    "3782 822463 10005",
    "6011000990139424",
    "4222222222222",
    "6304000000000000000",
    "card:4242424242424242, 12/26",
    "4242424242424242 1226 123",
    "tok_4242424242424242",
    "\uff14\uff12" * 8,
    "4242\u30004242\uff0d4242\ufe634242",
    "4242\u200b\u200b\u200b\u200b4242\u00ad42424242",
    "\u2463\u2461" * 8,
    "\u2074\u00b2" * 8,
    "4\ufe0f\u20e32\ufe0f\u20e3" * 8,
]
HARMLESS = [
    "4242424242424241",
    "2026-11-23 10:35:12.123456",
    "1764000000000",
    "1764000000000000",
    "20261123103512",
    "+49 30 901820",
    str(uuid.uuid5(uuid.NAMESPACE_URL, "x")),
    "45566370-8924-4916-8042-331265781236",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "424242424242425",
    "42424242424242424242",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_card_number_is_found_however_it_is_written(text: str) -> None:
    assert holds_card_number(text)
    assert holds_card_number(f"see {text} please")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_a_card_number_passes(text: str) -> None:
    assert not holds_card_number(text)


def _with_check_digit(payload: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(payload)):
        doubled = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += doubled - 9 if doubled > 9 else doubled
    return payload + str(-total % 10)


@given(st.sampled_from("345689"), st.text("0123456789", min_size=11, max_size=17), st.text("abc,;:\n", max_size=5))
def test_every_number_with_a_valid_check_digit_is_found_and_no_other(first: str, rest: str, around: str) -> None:
    number = _with_check_digit(first + rest)
    assert holds_card_number(f"{around}{number}{around}")
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not holds_card_number(wrong)


BETWEEN = st.characters(categories=["Zs", "Zl", "Zp", "Pd", "Pc", "Cc", "Cf", "Mn", "Me"])
ZEROS = [chr(code) for code in range(0x20000) if unicodedata.decimal(chr(code), None) == 0]


@given(st.lists(BETWEEN, min_size=3, max_size=3))
def test_no_blank_dash_or_invisible_sign_hides_a_number(signs: list[str]) -> None:
    assert holds_card_number("4242" + "".join(f"{sign}4242" for sign in signs))


@pytest.mark.parametrize("zero", ZEROS)
def test_digits_of_every_script_are_read(zero: str) -> None:
    assert holds_card_number("".join(chr(ord(zero) + int(digit)) for digit in NUMBER))


@given(st.uuids(version=4))
def test_a_uuid_is_never_taken_for_a_card_number(value: uuid.UUID) -> None:
    assert not holds_card_number(str(value))
    assert not holds_card_number(f'{{"order":"{value}"}}')


def _bodies() -> list[Any]:
    good: dict[str, Any] = {"amount": 2933, "currency": "USD", "account": "merchant", "payment_method": card()}
    return [
        good | {"payment_method": card(NUMBER)},
        good | {"payment_method": {"type": "card", "number": NUMBER}},
        good | {"description": f"paid with {NUMBER}"},
        good | {"metadata": {"pan": "4242 4242 4242 4242"}},
        *(good | {"description": sign.join(["4242"] * 4)} for sign in map(chr, (*range(1, 0x20), 0x7F, 0x85))),
        good | {"metadata": {f"n{NUMBER}": "x"}},
        good | {"customer": NUMBER},
        good | {"amount": int(NUMBER)},
        good | {"anything": [{"deep": [NUMBER]}]},
        good | {"account": NUMBER},
    ]


async def test_a_request_with_a_card_number_is_refused_and_leaves_no_trace(
    idle_world: ApiWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = idle_world
    answers = [await world.post("/v1/payments", body) for body in _bodies()]
    escaped = json.dumps(_bodies()[2]).replace(NUMBER, "".join(f"\\u{ord(sign):04x}" for sign in NUMBER))
    json_headers = {"Idempotency-Key": new_key(), "Content-Type": "application/json"}
    answers += [
        await world.http.post("/v1/payments", content=escaped, headers=json_headers),
        await world.pay(key=NUMBER),
        await world.pay(key="4242-4242-4242-4242"),
        await world.get(f"/v1/payments/{NUMBER}"),
        await world.get("/v1/payments", params={"customer": "4242 4242 4242 4242"}),
        await world.get(f"/v1/payments?customer=4242%20{NUMBER[4:]}"),
        await world.post("/v1/payments/pay_a/review", {"action": "retry"}, headers={"Clearhold-Actor": NUMBER}),
        await world.post("/v1/accounts", {"id": NUMBER, "currency": "USD"}),
        await world.post("/v1/payments/pay_a/cancel", {"reason": NUMBER}),
        await world.get(f"/{NUMBER}"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "card_number_refused"), answer.text
        for written in (NUMBER, "4242 4242", "4242-4242"):
            assert written not in answer.text
            assert written not in str(answer.headers)
    said = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    assert NUMBER not in said
    assert await world.count("payments") == await world.count("idempotency_keys") == 0
    assert await world.count("ledger_accounts") == 3  # merchant, guest, and what the gateway owes
