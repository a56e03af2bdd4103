"""Each test card does what is published for it, and no card number stays behind."""

import json
import secrets
from pathlib import Path

import httpx
import pytest

from infra.bank.cards import TEST_CARDS, brand_of, luhn_valid
from infra.bank.response_codes import DECLINES
from tests.integration.bank.cardholder import APPROVED_CARD, Cardholder
from tests.support.bank_process import BankProcess, running_bank

PUBLISHED: dict[str, str] = json.loads((Path(__file__).parents[2] / "vectors" / "test_cards.json").read_text())
VALID_BUT_NO_TEST_CARD = "4539578763621486"
SUCCEEDS = {"succeeds", "succeeds, then disputed"}
FAILS_LUHN = "fails the Luhn check"


@pytest.mark.parametrize(("number", "outcome"), PUBLISHED.items())
async def test_each_published_card_has_its_published_outcome(
    cardholder: Cardholder, payment_id: str, number: str, outcome: str
) -> None:
    exchanged = await cardholder.exchange(number)
    if outcome == FAILS_LUHN:
        assert (exchanged.status_code, exchanged.json()["code"]) == (402, "incorrect_number")
        return
    assert exchanged.status_code == 201
    assert exchanged.json()["last4"] == number[-4:]
    answer = await cardholder.authorize(payment_id, f"{payment_id}:authorize:1", token=exchanged.json()["id"])
    if outcome in SUCCEEDS:
        assert (answer.status_code, answer.json()["outcome"]) == (200, "approved")
        assert answer.json()["response_code"] == "00"
        assert len(answer.json()["network_transaction_id"]) == 15
    else:
        assert (answer.status_code, answer.json()["decline_code"]) == (402, outcome)
        assert answer.json()["response_code"] == DECLINES[outcome]
        assert answer.json()["authorization_id"] is None


@pytest.mark.parametrize(("number", "code"), [("4000000000009987", "41"), ("4000000000009979", "43")])
async def test_a_lost_or_stolen_card_is_declined_with_its_response_code(
    cardholder: Cardholder, payment_id: str, number: str, code: str
) -> None:
    answer = await cardholder.authorize(payment_id, f"{payment_id}:a:1", token=await cardholder.token(number))
    assert (answer.status_code, answer.json()["response_code"]) == (402, code)


def test_every_test_card_passes_the_luhn_check_and_has_a_known_brand() -> None:
    assert [number for number in TEST_CARDS if not luhn_valid(number)] == []
    assert {brand_of(number) for number in TEST_CARDS} == {
        "visa", "mastercard", "amex", "discover", "diners", "jcb", "unionpay",
    }  # fmt: skip


def test_every_decline_of_a_test_card_has_a_response_code() -> None:
    codes = {behaviour.decline_code for behaviour in TEST_CARDS.values()} - {None}
    assert codes <= DECLINES.keys()


def test_every_change_of_one_digit_breaks_the_luhn_check() -> None:
    for position, digit in enumerate(APPROVED_CARD):
        for other in set("0123456789") - {digit}:
            assert not luhn_valid(APPROVED_CARD[:position] + other + APPROVED_CARD[position + 1 :])


async def test_a_valid_number_that_is_no_test_card_is_refused_with_its_own_code(cardholder: Cardholder) -> None:
    answer = await cardholder.exchange(VALID_BUT_NO_TEST_CARD)
    assert (answer.status_code, answer.json()["code"]) == (402, "test_cards_only")
    assert VALID_BUT_NO_TEST_CARD not in answer.text


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 2020}, "invalid_expiry_year"),
        ({"exp_year": 9999}, "invalid_expiry_year"),
        ({"cvc": "12"}, "invalid_cvc"),
        ({"cvc": "1234"}, "invalid_cvc"),
        ({"cvc": "12a"}, "invalid_cvc"),
    ],
)
async def test_wrong_card_fields_are_refused_by_name(
    cardholder: Cardholder, fields: dict[str, object], code: str
) -> None:
    answer = await cardholder.exchange(APPROVED_CARD, **fields)
    assert (answer.status_code, answer.json()["code"]) == (402, code)


async def test_an_amex_card_has_a_cvc_of_four_digits(cardholder: Cardholder) -> None:
    assert (await cardholder.exchange("378282246310005", cvc="123")).json()["code"] == "invalid_cvc"
    assert (await cardholder.exchange("378282246310005", cvc="1234")).json()["brand"] == "amex"


async def test_a_token_shows_the_card_without_its_number_and_equal_cards_share_a_fingerprint(
    cardholder: Cardholder,
) -> None:
    first, second = (await cardholder.exchange(APPROVED_CARD)).json(), (await cardholder.exchange(APPROVED_CARD)).json()
    other = (await cardholder.exchange("5555555555554444")).json()
    assert first["id"] != second["id"]
    assert first["fingerprint"] == second["fingerprint"] != other["fingerprint"]
    assert (await cardholder.get(f"/tokens/{first['id']}")).json() == first


async def test_a_card_number_outside_the_card_form_is_refused_and_not_repeated(
    cardholder: Cardholder, payment_id: str
) -> None:
    token = await cardholder.token()
    answers = [
        await cardholder.authorize(APPROVED_CARD, f"{payment_id}:1", token=token),
        await cardholder.authorize(payment_id, f"{payment_id}:2", token=APPROVED_CARD),
        await cardholder.authorize(payment_id, APPROVED_CARD, token=token),
        await cardholder.authorize(payment_id, f"{payment_id}:3", token=token, number=APPROVED_CARD),
        await cardholder.post("/tokens", {"number": APPROVED_CARD, APPROVED_CARD: 1}),
    ]
    assert [answer.status_code for answer in answers] == [422] * len(answers)
    assert not any(APPROVED_CARD in answer.text for answer in answers)


async def test_no_card_number_is_in_the_data_file_or_the_log(tmp_path: Path) -> None:
    refused = [VALID_BUT_NO_TEST_CARD, "4242424242424241"]
    async with running_bank(tmp_path) as bank, httpx.AsyncClient(base_url=bank.url, trust_env=False) as http:
        cardholder = Cardholder(http)
        for number in (*TEST_CARDS, *refused):
            await _use_everywhere(cardholder, number)
        while_running = _contents(bank)
        await bank.stop()
        for content in (*while_running, *_contents(bank)):
            assert content, "a file that holds nothing proves nothing"
            for number in (*TEST_CARDS, *refused):
                assert number.encode() not in content
                assert int(number).to_bytes(8, "big")[1:] not in content


async def _use_everywhere(cardholder: Cardholder, number: str) -> None:
    """Exchange a card, pay with it, and send its number where it does not belong."""
    reference = f"pay_{secrets.token_hex(8)}"
    exchanged = await cardholder.exchange(number)
    if exchanged.status_code == 201:
        await cardholder.authorize(reference, f"{reference}:1", token=exchanged.json()["id"])
    await cardholder.exchange(f"{number[:4]} {number[4:]}", cvc="x")
    await cardholder.authorize(number, f"{reference}:2", token="tok_none")
    await cardholder.authorize(reference, number, token=number)
    await cardholder.get(f"/tokens/{number}")
    await cardholder.get(f"/operations/{number}")


def _contents(bank: BankProcess) -> list[bytes]:
    return [file.read_bytes() for file in bank.directory.iterdir() if file.stat().st_size]
