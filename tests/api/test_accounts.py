"""Accounts through the API."""

from __future__ import annotations

import asyncio

from tests.support.api_world import ApiWorld, new_key, wallet


async def test_opening_an_account_opens_what_the_gateway_owes_in_its_currency(idle_world: ApiWorld) -> None:
    answer = await idle_world.http.post("/v1/accounts", json={"id": "kiosk", "currency": "KWD", "purpose": "merchant"})
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/accounts/kiosk"
    account = answer.json()
    assert (account["normal_side"], account["may_go_negative"], account["exponent"]) == ("credit", False, 3)
    clearing = (await idle_world.get("/v1/accounts/clearing:sandbox:KWD")).json()
    assert (clearing["normal_side"], clearing["may_go_negative"], clearing["purpose"]) == ("debit", True, "gateway")


async def test_opening_an_account_again_answers_the_same_and_another_under_its_id_is_a_conflict(
    idle_world: ApiWorld,
) -> None:
    body = {"id": "kiosk", "currency": "USD"}
    answers = await asyncio.gather(*(idle_world.http.post("/v1/accounts", json=body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    for change in ({"currency": "EUR"}, {"purpose": "fees"}, {"may_go_negative": True}):
        answer = await idle_world.http.post("/v1/accounts", json=body | change)
        assert (answer.status_code, answer.json()["code"]) == (409, "account_exists")


async def test_an_account_without_an_id_gets_one_from_its_key(idle_world: ApiWorld) -> None:
    key, body = new_key(), {"currency": "USD"}
    named = [(await idle_world.post("/v1/accounts", body, key=key)).json()["id"] for _ in range(2)]
    assert named[0] == named[1]
    assert named[0].startswith("acct_")
    unnamed = [(await idle_world.http.post("/v1/accounts", json=body)).json()["id"] for _ in range(2)]
    assert unnamed[0] != unnamed[1]


async def test_accounts_are_listed_page_by_page_in_the_order_they_were_opened(idle_world: ApiWorld) -> None:
    for n in range(5):
        await idle_world.open_account(f"acct{n}")
    seen: list[str] = []
    query = {"limit": "3"}
    for _ in range(10):
        page = (await idle_world.get("/v1/accounts", params=query)).json()
        seen += [account["id"] for account in page["data"]]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert [account for account in seen if account.startswith("acct")] == [f"acct{n}" for n in range(5)]
    assert "clearing:sandbox:USD" in seen
    assert len(seen) == len(set(seen)) == 8


async def test_balances_tell_booked_held_and_available_apart(world: ApiWorld) -> None:
    await world.fund("guest", 5000)
    await world.paid(payment_method={"type": "wallet", "account": "guest"}, amount=1200, capture_method="manual")
    balances = (await world.get("/v1/accounts/guest/balances")).json()
    assert (balances["posted"], balances["available"], balances["debits_pending"]) == (5000, 3800, 1200)


async def test_entries_are_listed_newest_first_page_by_page_with_their_payments(world: ApiWorld) -> None:
    payments = [await world.paid(amount=100 + n) for n in range(3)]
    page = (await world.get("/v1/accounts/merchant/entries", params={"limit": 4})).json()
    rest = (await world.get("/v1/accounts/merchant/entries", params={"limit": 4, "cursor": page["next_cursor"]})).json()
    entries = page["data"] + rest["data"]
    assert page["has_more"]
    assert not rest["has_more"]
    assert [entry["kind"] for entry in entries] == ["capture", "hold"] * 3
    assert [entry["payment"] for entry in entries[::2]] == [payment["id"] for payment in reversed(payments)]
    assert {entry["direction"] for entry in entries} == {"credit"}


async def test_a_closed_account_is_read_but_not_paid(world: ApiWorld) -> None:
    paid = await world.paid(account="guest", amount=5)
    assert (await world.post(f"/v1/payments/{paid['id']}/refunds")).status_code == 201
    closed = [await world.post("/v1/accounts/guest/close") for _ in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in closed] == [(200, "closed")] * 2
    assert closed[0].json()["closed_at"] == closed[1].json()["closed_at"]
    assert (await world.pay(account="guest")).json()["code"] == "account_closed"
    assert await world.balance("guest") == 0


async def test_an_account_with_money_stays_open_and_says_what_it_has(world: ApiWorld) -> None:
    payment = await world.authorized(account="guest", amount=700)
    await world.fund("guest", 10)
    refused = await world.post("/v1/accounts/guest/close")
    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_empty")
    for said in ("a balance of 10", "holds of 700 coming in and 0 going out"):
        assert said in refused.json()["detail"]
    assert "refund" in refused.json()["advice"]
    assert (await world.get("/v1/accounts/guest")).json()["status"] == "open"
    await world.paid(amount=10, account="merchant", payment_method=wallet("guest"))
    still_held = await world.post("/v1/accounts/guest/close")
    assert still_held.json()["code"] == "account_not_empty"
    assert (await world.post(f"/v1/payments/{payment['id']}/cancel")).status_code == 200
    assert (await world.post("/v1/accounts/guest/close")).json()["status"] == "closed"


async def test_a_gateways_account_can_neither_be_opened_nor_closed_by_a_client(idle_world: ApiWorld) -> None:
    answer = await idle_world.http.post("/v1/accounts", json={"id": "mine", "currency": "USD", "purpose": "gateway"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/purpose")
    answer = await idle_world.http.post("/v1/accounts", json={"id": "clearing:sandbox:USD", "currency": "USD"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/id")
    answer = await idle_world.post("/v1/accounts/clearing:sandbox:USD/close")
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
