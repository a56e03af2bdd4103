"""The bank's books: complete, in order, and equal to what the operations say one by one."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.integration.bank.cardholder import Cardholder
from tests.support.bank_process import running_bank


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A bank nobody else uses, so that its totals can be told."""
    async with running_bank(tmp_path) as bank, httpx.AsyncClient(base_url=bank.url, trust_env=False) as http:
        yield http


async def _play(cardholder: Cardholder) -> None:
    await cardholder.authorize("pay_1", "pay_1:a", capture="automatic", amount_minor=5000)
    hold = await cardholder.hold("pay_2", 3000)
    await cardholder.act(hold, "captures", "pay_2", "pay_2:c", amount_minor=2000)
    await cardholder.act(hold, "void", "pay_2", "pay_2:v")
    await cardholder.act(hold, "refunds", "pay_2", "pay_2:r", amount_minor=500)
    await cardholder.authorize("pay_3", "pay_3:a", token=await cardholder.token("4000000000000002"))
    await cardholder.hold("pay_4", 700)
    expired = await cardholder.hold("pay_5", 900)
    await cardholder.post(f"/admin/authorizations/{expired}/expire", {})
    await cardholder.authorize("pay_6", "pay_6:a", capture="automatic", amount_minor=400)
    await cardholder.post("/reversals", {"reference": "pay_6", "original_key": "pay_6:a"}, "pay_6:rev")
    order = {"amount_minor": 10_000, "currency": "USD"}
    await cardholder.post("/payouts", {"reference": "loan_1", "account": "acct_a", **order}, "loan_1:p")
    await cardholder.post("/collections", {"reference": "loan_1", "mandate": "mdt_a", **order}, "loan_1:c1")
    await cardholder.post(
        "/collections", {"reference": "loan_1", "mandate": "mdt_account_closed", **order}, "loan_1:c2"
    )
    await cardholder.authorize("pay_7", "pay_7:a", capture="automatic", amount_minor=9, currency="JPY")


async def test_totals_agree_with_the_operations_one_by_one(alone: httpx.AsyncClient) -> None:
    await _play(Cardholder(alone))
    totals = (await alone.get("/statement/totals")).json()["totals"]
    assert totals["JPY"]["net_settled_minor"] == 9
    assert totals["USD"] == {
        "authorizations": 5,
        "authorized_minor": 10_000,
        "captured_minor": 7400,
        "released_minor": 1000,
        "refunded_minor": 500,
        "reversed_minor": 400,
        "held_minor": 700,
        "expired_minor": 900,
        "collected_minor": 10_000,
        "paid_out_minor": 10_000,
        "net_settled_minor": 7400 - 500 - 400,
        "declined_operations": 2,
        "operations": 13,
    }
    rows = (await alone.get("/statement", params={"currency": "USD"})).json()["operations"]
    assert sum(row["settled_minor"] for row in rows) == totals["USD"]["net_settled_minor"]
    by_payment = {row["reference"]: 0 for row in rows}
    for row in rows:
        by_payment[row["reference"]] += row["settled_minor"]
    assert by_payment == {
        "pay_1": 5000, "pay_2": 1500, "pay_3": 0, "pay_4": 0, "pay_5": 0, "pay_6": 0, "loan_1": 0,
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 3, 14, 1000])
async def test_pages_hold_every_operation_once_and_in_order(alone: httpx.AsyncClient, limit: int) -> None:
    await _play(Cardholder(alone))
    seen: list[int] = []
    cursor: int | None = 0
    while cursor is not None:
        page = (await alone.get("/statement", params={"cursor": cursor, "limit": limit})).json()
        assert len(page["operations"]) <= limit
        seen += [row["seq"] for row in page["operations"]]
        cursor = page["next_cursor"]
    assert seen == list(range(1, 15))


async def test_a_statement_is_narrowed_by_currency_and_reference(alone: httpx.AsyncClient) -> None:
    await _play(Cardholder(alone))

    async def references(**narrow: str) -> set[str]:
        rows = (await alone.get("/statement", params=narrow)).json()["operations"]
        return {row["reference"] for row in rows}

    assert await references(currency="JPY") == {"pay_7"}
    assert await references(reference="loan_1") == {"loan_1"}
    assert await references(reference="loan_1", currency="JPY") == set()


@pytest.mark.parametrize("query", ["cursor=-1", "cursor=x", "limit=0", "limit=1001", "currency=usd"])
async def test_a_malformed_query_is_refused(alone: httpx.AsyncClient, query: str) -> None:
    answer = await alone.get(f"/statement?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_an_empty_bank_has_empty_books(alone: httpx.AsyncClient) -> None:
    assert (await alone.get("/statement/totals")).json() == {"totals": {}}
    assert (await alone.get("/statement")).json() == {"operations": [], "next_cursor": None}
