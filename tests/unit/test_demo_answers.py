"""Whatever the demonstration is answered with, it says what it expected of which call."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import typer

from infra.cli.failures import reported
from infra.demo import lending, shop
from infra.demo.answers import Answer, UnexpectedAnswer, expect_success
from infra.demo.applications import read_applications
from infra.demo.lending import Lender
from infra.demo.loans import _reasons
from infra.demo.proof import bank_net_by_reference, prove_payments, prove_totals
from infra.demo.purchases import plan_payments, read_purchases
from infra.demo.shop import Outcome, Shop

GOOD: dict[str, Any] = {
    "id": "x_1",
    "status": "succeeded",
    "number": 1,
    "available": 100,
    "posted": 0,
    "credits_pending": 0,
    "debits_pending": 0,
    "amount_captured": 0,
    "amount_refunded": 0,
    "failure": None,
    "links": {"temporal_ui": "http://ui"},
    "next_action": {"challenge_id": "ch_1"},
    "decision": {"outcome": "approve", "reasons": [{"code": "meets_policy", "statement": "s"}]},
    "instalments": [{"status": "due", "unpaid": 5}],
    "events": [],
    "operations": [],
    "next_cursor": None,
    "totals": {"USD": {"net_settled_minor": 0, "held_minor": 0}},
}
"""What every call of the demonstration can be answered with, each reading its own part."""

ODD = {
    "refused": (418, json.dumps({"code": "teapot"})),
    "no JSON": (200, "<html>"),
    "a list": (200, "[]"),
    "nothing in it": (200, "{}"),
    "nulls": (200, json.dumps(dict.fromkeys(GOOD))),
    "texts": (200, json.dumps(dict.fromkeys(GOOD, "text"))),
}


class Side:
    """The API or the bank, which gives one call an odd answer."""

    def __init__(self, odd_call: int, odd: tuple[int, str]) -> None:
        self.calls: list[str] = []
        self.odd_call, self.odd = odd_call, odd

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(f"{request.method} {request.url.path}")
        status, text = self.odd if len(self.calls) == self.odd_call else (200, json.dumps(GOOD))
        return httpx.Response(status, text=text)


async def _lend(client: httpx.AsyncClient) -> None:
    lender = Lender(client, client)
    await lender.prepare()
    _reasons(await lender.originate(read_applications()[0]))
    await lender.live()
    _reasons(await lender.be_declined())


async def _prove(client: httpx.AsyncClient) -> None:
    await bank_net_by_reference(client)
    await prove_totals([], client, client, "merchant")


async def _pay_nothing(client: httpx.AsyncClient) -> None:
    await Shop(client, client, "merchant").pay_nothing(read_purchases()[0])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lending, shop):
        monkeypatch.setattr(module, "RETRY_PAUSE_S", 0)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("course", [_lend, _prove, _pay_nothing])
async def test_an_odd_answer_to_any_call_is_said_with_its_call(
    course: Callable[[httpx.AsyncClient], Awaitable[None]], odd: tuple[int, str]
) -> None:
    """A body that the course does not read may be odd; a refusal never is, but for the call that must be refused."""
    whole = Side(0, odd)
    async with httpx.AsyncClient(base_url="http://side", transport=httpx.MockTransport(whole)) as client:
        await course(client)
    assert whole.calls
    said = 0
    for number, call in enumerate(whole.calls, start=1):
        side = Side(number, odd)
        async with httpx.AsyncClient(base_url="http://side", transport=httpx.MockTransport(side)) as client:
            try:
                await course(client)
            except UnexpectedAnswer as unexpected:
                said += 1
                assert str(unexpected).startswith(f"{call}: expected "), unexpected  # noqa: PT017
                assert ", saw " in str(unexpected)  # noqa: PT017
            else:
                assert odd[0] == 200 or course is _pay_nothing, call
    assert said or course is _pay_nothing


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_every_story_of_a_purchase_keeps_an_odd_answer_in_its_outcome(odd: tuple[int, str]) -> None:
    for plan in plan_payments(read_purchases(), 20):
        for number in range(1, 6):
            side = Side(number, odd)
            async with httpx.AsyncClient(base_url="http://side", transport=httpx.MockTransport(side)) as client:
                outcome = await Shop(client, client, "merchant").play(plan)
            assert outcome.error is None or ": expected " in outcome.error


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_a_payment_that_cannot_be_read_fails_its_own_check(
    odd: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_url: str, _account: str) -> Counter[str]:
        return Counter()

    monkeypatch.setattr("infra.demo.proof.ledger_net_by_payment", nothing)
    (plan,) = plan_payments(read_purchases(), 1)
    side = Side(2, odd)
    async with httpx.AsyncClient(base_url="http://side", transport=httpx.MockTransport(side)) as client:
        (proof,) = await prove_payments([Outcome(plan, {"id": "pay_1"})], client, client, "", "merchant")
    assert proof.error is not None
    assert proof.error.startswith("GET /v1/payments/pay_1: expected ")
    assert not proof.checks[0].holds


def test_an_unexpected_answer_ends_a_command_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    refused = httpx.Response(503, text="down", request=httpx.Request("POST", "http://side/v1/accounts"))
    with pytest.raises(typer.Exit) as ended, reported():
        expect_success(refused)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "error: POST /v1/accounts: expected a success, saw 503: down\n"


def test_a_value_that_is_none_of_the_known_is_unexpected() -> None:
    loan = Answer(
        "POST /v1/loans",
        {"decision": Answer("POST /v1/loans", {"reasons": [Answer("POST /v1/loans", {"code": "mood"})]})},
    )
    with pytest.raises(
        UnexpectedAnswer, match=r"^POST /v1/loans: expected `code` as one of meets_policy, .*, saw mood$"
    ):
        _reasons(loan)
