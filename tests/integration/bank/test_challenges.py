"""Cards that ask their holder: the authorization stops, the holder answers, a new authorization goes on."""

from collections.abc import Callable

import pytest

from tests.integration.bank.cardholder import Cardholder

NewKey = Callable[[str], str]
CHALLENGED_CARDS = ["4000002500003155", "4000002760003184", "4000000000003220"]


async def _challenge(cardholder: Cardholder, payment_id: str, new_key: NewKey, token: str) -> str:
    answer = await cardholder.authorize(payment_id, new_key("authorize"), token=token)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "requires_action")
    assert answer.json()["authorization_id"] is None
    challenge_id: str = answer.json()["challenge_id"]
    return challenge_id


@pytest.mark.parametrize("number", CHALLENGED_CARDS)
async def test_an_authenticated_cardholder_gets_the_authorization(
    cardholder: Cardholder, payment_id: str, new_key: NewKey, number: str
) -> None:
    token = await cardholder.token(number)
    challenge_id = await _challenge(cardholder, payment_id, new_key, token)
    done = await cardholder.post(f"/challenges/{challenge_id}/complete", {"outcome": "authenticated"})
    assert done.json() == {"id": challenge_id, "status": "authenticated"}
    answer = await cardholder.authorize(payment_id, new_key("authorize"), token=token, challenge_id=challenge_id)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "approved")


async def test_a_failed_challenge_declines(cardholder: Cardholder, payment_id: str, new_key: NewKey) -> None:
    token = await cardholder.token(CHALLENGED_CARDS[0])
    challenge_id = await _challenge(cardholder, payment_id, new_key, token)
    await cardholder.post(f"/challenges/{challenge_id}/complete", {"outcome": "failed"})
    answer = await cardholder.authorize(payment_id, new_key("authorize"), token=token, challenge_id=challenge_id)
    assert (answer.status_code, answer.json()["decline_code"]) == (402, "authentication_failed")


@pytest.mark.parametrize(
    ("number", "code"), [("4000008400001629", "card_declined"), ("4000008260003178", "insufficient_funds")]
)
async def test_some_cards_decline_after_authentication(
    cardholder: Cardholder, payment_id: str, new_key: NewKey, number: str, code: str
) -> None:
    token = await cardholder.token(number)
    challenge_id = await _challenge(cardholder, payment_id, new_key, token)
    await cardholder.post(f"/challenges/{challenge_id}/complete", {"outcome": "authenticated"})
    answer = await cardholder.authorize(payment_id, new_key("authorize"), token=token, challenge_id=challenge_id)
    assert (answer.status_code, answer.json()["decline_code"]) == (402, code)


async def test_an_unanswered_challenge_is_asked_for_again(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    token = await cardholder.token(CHALLENGED_CARDS[0])
    challenge_id = await _challenge(cardholder, payment_id, new_key, token)
    answer = await cardholder.authorize(payment_id, new_key("authorize"), token=token, challenge_id=challenge_id)
    assert (answer.json()["outcome"], answer.json()["challenge_id"]) == ("requires_action", challenge_id)


async def test_a_challenge_vouches_for_one_authorization_only(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    token = await cardholder.token(CHALLENGED_CARDS[0])
    challenge_id = await _challenge(cardholder, payment_id, new_key, token)
    await cardholder.post(f"/challenges/{challenge_id}/complete", {"outcome": "authenticated"})
    for changed in ({"amount_minor": 1001}, {"currency": "EUR"}, {"token": await cardholder.token()}):
        fields = {"token": token, "challenge_id": challenge_id, **changed}
        answer = await cardholder.authorize(payment_id, new_key("authorize"), **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, "challenge_mismatch")
    spent = {"token": token, "challenge_id": challenge_id}
    assert (await cardholder.authorize(payment_id, new_key("authorize"), **spent)).status_code == 200
    again = await cardholder.authorize(payment_id, new_key("authorize"), **spent)
    assert (again.status_code, again.json()["decline_code"]) == (402, "challenge_already_used")


async def test_a_completed_challenge_keeps_its_outcome(
    cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    challenge_id = await _challenge(cardholder, payment_id, new_key, await cardholder.token(CHALLENGED_CARDS[0]))
    path = f"/challenges/{challenge_id}/complete"
    assert [(await cardholder.post(path, {"outcome": "failed"})).status_code for _ in range(2)] == [200, 200]
    changed = await cardholder.post(path, {"outcome": "authenticated"})
    assert (changed.status_code, changed.json()["code"]) == (409, "challenge_completed")
    assert (await cardholder.get(f"/challenges/{challenge_id}")).json()["status"] == "failed"


async def test_an_unknown_challenge_is_refused(cardholder: Cardholder, payment_id: str, new_key: NewKey) -> None:
    completed = await cardholder.post("/challenges/chl_none/complete", {"outcome": "failed"})
    authorized = await cardholder.authorize(payment_id, new_key("authorize"), challenge_id="chl_none")
    for answer in (completed, authorized):
        assert (answer.status_code, answer.json()["code"]) == (404, "challenge_not_found")
