"""Payments through the API, from the call to the ledger."""

from __future__ import annotations

import re

from tests.support.api_world import ApiWorld, card, new_key, wallet
from tests.support.fake_gateway import Fault


async def test_a_card_payment_is_answered_with_its_outcome_in_the_same_call(world: ApiWorld) -> None:
    answer = await world.pay(description="Order A-1001", metadata={"order": "A-1001"}, customer="cus_1")
    payment = answer.json()
    assert answer.status_code == 201, payment
    assert payment["status"] == "succeeded"
    assert payment["amount_captured"] == 2933
    assert payment["metadata"] == {"order": "A-1001"}
    assert payment["trace_id"] == answer.headers["trace-id"]
    assert answer.headers["location"] == f"/v1/payments/{payment['id']}" == payment["links"]["self"]
    assert payment["links"]["temporal_ui"].endswith(f"/namespaces/default/workflows/{payment['id']}")
    assert await world.balance("merchant") == 2933
    assert world.gateway.net_captured == 2933


async def test_what_is_read_is_what_was_answered(world: ApiWorld) -> None:
    payment = await world.paid()
    assert (await world.get(f"/v1/payments/{payment['id']}")).json() == payment


async def test_a_decline_is_an_answer_about_a_payment_that_exists(world: ApiWorld) -> None:
    world.gateway.declines["tok_poor"] = "insufficient_funds"
    payment = await world.paid(payment_method=card("tok_poor"))
    assert payment["status"] == "failed"
    assert payment["failure"]["code"] == "insufficient_funds"
    assert payment["failure"]["message"]
    assert payment["failure"]["advice"]
    assert await world.balance("merchant") == 0


async def test_a_declined_payment_with_attempts_left_takes_another_card(world: ApiWorld) -> None:
    world.gateway.declines["tok_poor"] = "insufficient_funds"
    payment = await world.paid(payment_method=card("tok_poor"), attempts_allowed=2)
    assert payment["status"] == "requires_payment_method"
    assert payment["payment_method"] is None
    answer = await world.post(f"/v1/payments/{payment['id']}/confirm", {"payment_method": card()})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "succeeded"
    assert answer.json()["attempts"] == 2


async def test_a_payment_without_a_method_waits_for_one(world: ApiWorld) -> None:
    payment = await world.paid(payment_method=None)
    assert payment["status"] == "requires_payment_method"
    path = f"/v1/payments/{payment['id']}/confirm"
    early = await world.post(path)
    assert early.status_code == 409
    assert early.json()["code"] == "illegal_transition"
    answer = await world.post(path, {"payment_method": card()})
    assert answer.json()["status"] == "succeeded"


async def test_a_payment_that_is_not_to_be_confirmed_waits_for_the_confirm(world: ApiWorld) -> None:
    payment = await world.paid(confirm=False)
    assert payment["status"] == "requires_confirmation"
    assert world.gateway.calls == []
    answer = await world.post(f"/v1/payments/{payment['id']}/confirm")
    assert answer.json()["status"] == "succeeded"


async def test_a_card_payment_is_not_confirmed_with_a_wallet(world: ApiWorld) -> None:
    payment = await world.paid(payment_method=None)
    answer = await world.post(f"/v1/payments/{payment['id']}/confirm", {"payment_method": wallet("guest")})
    assert answer.status_code == 422
    assert answer.json()["code"] == "payment_method_mismatch"


async def test_a_challenge_is_named_and_the_confirm_after_it_pays(world: ApiWorld) -> None:
    payment = await world.paid(payment_method=card("challenge"))
    assert payment["status"] == "requires_action"
    assert payment["next_action"] == {"type": "answer_challenge", "challenge_id": "ch_1"}
    answer = await world.post(f"/v1/payments/{payment['id']}/confirm")
    assert answer.json()["status"] == "succeeded"
    assert answer.json()["next_action"] is None


async def test_an_authorization_is_captured_in_parts_and_the_rest_released(world: ApiWorld) -> None:
    payment = await world.authorized()
    assert payment["amount_capturable"] == 2933
    assert payment["expires_at"] is not None
    path = f"/v1/payments/{payment['id']}/capture"
    first = (await world.post(path, {"amount": 1000, "final": False})).json()
    assert (first["status"], first["amount_captured"], first["amount_capturable"]) == ("requires_capture", 1000, 1933)
    last = (await world.post(path, {"amount": 500})).json()
    assert (last["status"], last["amount_captured"], last["amount_capturable"]) == ("partially_captured", 1500, 0)
    assert await world.balance("merchant") == 1500
    assert world.gateway.still_authorized == 0


async def test_more_than_is_authorized_is_not_captured(world: ApiWorld) -> None:
    payment = await world.authorized()
    answer = await world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 2934})
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_amount"
    assert "29.33 USD is left" in answer.json()["detail"]
    assert (await world.get(f"/v1/payments/{payment['id']}")).json()["amount_captured"] == 0


async def test_a_canceled_payment_releases_what_it_held_and_takes_no_capture(world: ApiWorld) -> None:
    payment = await world.authorized()
    path = f"/v1/payments/{payment['id']}"
    canceled = await world.post(f"{path}/cancel", {"reason": "out of stock"})
    assert canceled.status_code == 200, canceled.text
    assert canceled.json()["status"] == "canceled"
    assert canceled.json()["failure"]["message"] == "out of stock"
    refused = await world.post(f"{path}/capture")
    assert refused.status_code == 409
    assert refused.json()["code"] == "illegal_transition"
    assert "canceled" in refused.json()["detail"]
    assert world.gateway.still_authorized == 0


async def test_every_command_to_a_payment_that_has_ended_is_refused_for_its_state(world: ApiWorld) -> None:
    path = f"/v1/payments/{(await world.paid())['id']}"
    operator = {"Clearhold-Actor": "ops-1"}
    answers = [
        await world.post(f"{path}/confirm"),
        await world.post(f"{path}/capture"),
        await world.post(f"{path}/capture", {"amount": 5}),
        await world.post(f"{path}/cancel"),
        await world.post(f"{path}/review", {"action": "retry"}, headers=operator),
        await world.post(
            f"{path}/review", {"action": "resolve", "outcome": "failed", "note": "seen"}, headers=operator
        ),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "illegal_transition")] * 6
    for answer in answers:
        assert re.fullmatch(r"A payment that is .+ cannot [a-z ]+\.", answer.json()["detail"]), answer.text


async def test_a_challenged_payment_takes_no_other_payment_method(world: ApiWorld) -> None:
    payment = await world.paid(payment_method=card("challenge"))
    refused = await world.post(f"/v1/payments/{payment['id']}/confirm", {"payment_method": card()})
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_transition")
    assert refused.json()["detail"] == "A payment that is requires_action cannot take another payment method."


async def test_a_wallet_pays_another_inside_the_ledger(world: ApiWorld) -> None:
    await world.fund("guest", 5000)
    payment = await world.paid(payment_method=wallet("guest"), amount=1200)
    assert payment["status"] == "succeeded"
    assert payment["kind"] == "wallet"
    assert payment["gateway"] is None
    assert payment["payment_method"] == wallet("guest")
    assert (await world.balance("guest"), await world.balance("merchant")) == (3800, 1200)


async def test_a_wallet_without_enough_money_is_declined(world: ApiWorld) -> None:
    await world.fund("guest", 100)
    payment = await world.paid(payment_method=wallet("guest"), amount=101)
    assert payment["status"] == "failed"
    assert payment["failure"]["code"] == "insufficient_funds"
    assert await world.balance("guest") == 100


async def test_a_payment_over_the_limit_fails_and_says_so(world: ApiWorld) -> None:
    await world.execute(
        "INSERT INTO payment_limits VALUES ('default', 'USD', 5000, 5000) ON CONFLICT (tenant_id, currency) "
        "DO UPDATE SET max_payment_minor = 5000"
    )
    payment = await world.paid(amount=5001)
    assert (payment["status"], payment["failure"]["code"]) == ("failed", "limit_exceeded")
    assert world.gateway.calls == []


async def test_an_answer_that_the_gateway_lost_is_asked_for_and_the_payment_succeeds_once(world: ApiWorld) -> None:
    world.gateway.faults["authorize"].append(Fault.LOST_AFTER)
    payment = await world.paid()
    assert payment["status"] == "succeeded"
    assert world.gateway.net_captured == 2933


async def test_payments_are_listed_newest_first_page_by_page(world: ApiWorld) -> None:
    made = [(await world.paid(amount=100 + n))["id"] for n in range(5)]
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        page = (await world.get("/v1/payments", params=query)).json()
        seen += [payment["id"] for payment in page["data"]]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == list(reversed(made))


async def test_a_list_is_narrowed_by_each_filter(world: ApiWorld) -> None:
    await world.open_account("shop", "JPY")
    await world.fund("guest", 5000)
    plain = await world.paid()
    yen = await world.paid(amount=500, currency="JPY", account="shop")
    manual = await world.authorized(customer="cus_7")
    expected = {
        "status=requires_capture": [manual],
        "status=succeeded": [yen, plain],
        "account=shop": [yen],
        "customer=cus_7": [manual],
        "currency=JPY": [yen],
        f"created_after={yen['created_at']}": [manual, yen],
        f"created_before={yen['created_at']}": [plain],
        "currency=USD&status=succeeded": [plain],
        "account=nobody": [],
    }
    for query, payments in expected.items():
        found = (await world.get(f"/v1/payments?{query}")).json()["data"]
        assert [payment["id"] for payment in found] == [payment["id"] for payment in payments], query


async def test_a_cursor_that_is_not_ours_is_refused(world: ApiWorld) -> None:
    for cursor in ("x", "%00", "AAAA", "ZZZZ" * 20, "é"):
        answer = await world.get("/v1/payments", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor"), cursor


async def test_a_filter_that_cannot_be_is_named(world: ApiWorld) -> None:
    for query in ("status=paid", "limit=0", "limit=101", "created_after=yesterday", "currency=usd"):
        answer = await world.get(f"/v1/payments?{query}")
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["pointer"] == f"/query/{query.split('=')[0]}"


async def test_two_currencies_live_side_by_side_with_their_own_exponents(world: ApiWorld) -> None:
    for account, currency, exponent in (("shop_jp", "JPY", 0), ("shop_kw", "KWD", 3)):
        await world.open_account(account, currency)
        await world.paid(amount=1500, currency=currency, account=account)
        assert (await world.get(f"/v1/accounts/{account}")).json()["exponent"] == exponent
        assert await world.balance(account) == 1500


async def test_the_same_key_on_two_tenants_makes_two_payments(world: ApiWorld) -> None:
    key = new_key()
    mine = (await world.pay(key=key)).json()
    theirs = {"Authorization": f"Bearer {world.other_token}"}
    opened = await world.http.post("/v1/accounts", json={"id": "merchant", "currency": "USD"}, headers=theirs)
    assert opened.status_code == 201
    other = await world.pay(key=key, headers=theirs)
    assert other.status_code == 201
    assert other.json()["id"] != mine["id"]
