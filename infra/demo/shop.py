"""A shop's side of the demonstration: it exchanges cards for tokens at the bank and pays through the API.

Invariant: it repeats a call only under the same idempotency key, so whatever it repeats happens once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx

from infra.demo.answers import Answer, UnexpectedAnswer, expect_success, read
from infra.demo.purchases import CURRENCY, GOOD_CARD, Plan, Purchase, Story

RETRY_LIMIT = 60
RETRY_PAUSE_S = 0.5
CALL_TIMEOUT_S = 45.0
PREFER = "wait=5"
"""How long a call waits for its outcome; the key of a call whose API process died is free so much sooner."""

_AGAIN = frozenset({202, 409, 429, 500, 502, 503, 504})
"""Answers after which the same call is made again: not done yet, in flight, shed, or a broken server."""

FINAL = frozenset({"succeeded", "partially_captured", "canceled", "expired", "failed"})


@dataclass
class Outcome:
    """What became of one planned payment: the API's last answer, and how many calls had to be repeated."""

    plan: Plan
    payment: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


class Shop:
    """Plays payments against one API and one bank, into one merchant account."""

    def __init__(self, api: httpx.AsyncClient, bank: httpx.AsyncClient, account: str) -> None:
        self._api = api
        self._bank = bank
        self._account = account
        self.repeated = 0

    async def play(self, plan: Plan) -> Outcome:
        """Play one payment to its end; an unexpected answer is kept in the outcome."""
        outcome = Outcome(plan)
        try:
            outcome.payment = await self._play(plan)
        except (UnexpectedAnswer, httpx.HTTPError) as error:
            outcome.error = f"{type(error).__name__}: {error}"
        return outcome

    async def pay_nothing(self, purchase: Purchase) -> dict[str, Any]:
        """Try to pay a purchase of zero and return the problem that must come back."""
        token = await self._token(GOOD_CARD)
        response = await self._api.post(
            "/v1/payments",
            json=self._order(purchase, token, by_hand=False, attempts=1),
            headers={"Idempotency-Key": f"purchase-{purchase.number}"},
        )
        return {"status_code": response.status_code, **read(response)}

    async def _play(self, plan: Plan) -> Answer:
        token = await self._token(plan.card)
        attempts = 2 if plan.story is Story.OTHER_CARD else 1
        order = self._order(plan.purchase, token, by_hand=plan.by_hand, attempts=attempts)
        payment = await self._post("/v1/payments", order, plan.key)
        path = f"/v1/payments/{payment['id']}"
        match plan.story:
            case Story.OTHER_CARD:
                method = {"type": "card", "token": await self._token(GOOD_CARD)}
                payment = await self._post(f"{path}/confirm", {"payment_method": method}, f"{plan.key}-confirm")
            case Story.CHALLENGED:
                await self._answer_challenge(payment)
                payment = await self._post(f"{path}/confirm", {}, f"{plan.key}-confirm")
            case Story.CAPTURED:
                payment = await self._post(f"{path}/capture", {}, f"{plan.key}-capture")
            case Story.CAPTURED_PARTLY:
                payment = await self._post(f"{path}/capture", {"amount": plan.part_minor}, f"{plan.key}-capture")
            case Story.CAPTURED_TWICE:
                part = {"amount": plan.part_minor, "final": False}
                await self._post(f"{path}/capture", part, f"{plan.key}-capture-1")
                payment = await self._post(f"{path}/capture", {}, f"{plan.key}-capture-2")
            case Story.CANCELED:
                payment = await self._post(f"{path}/cancel", {}, f"{plan.key}-cancel")
            case Story.REFUNDED:
                await self._post(f"{path}/refunds", {}, f"{plan.key}-refund")
            case Story.REFUNDED_PARTLY:
                for number in (1, 2):
                    await self._post(f"{path}/refunds", {"amount": plan.part_minor}, f"{plan.key}-refund-{number}")
        return payment

    def _order(self, purchase: Purchase, token: str, *, by_hand: bool, attempts: int) -> dict[str, Any]:
        return {
            "amount": purchase.amount_minor,
            "currency": CURRENCY,
            "account": self._account,
            "payment_method": {"type": "card", "token": token},
            "capture_method": "manual" if by_hand else "automatic",
            "attempts_allowed": attempts,
            "customer": f"customer-{purchase.customer}",
            "description": f"{purchase.items} item(s) on {purchase.purchased_on}",
        }

    async def _token(self, card: str) -> str:
        fields = {"number": card, "exp_month": 12, "exp_year": 2030, "cvc": "123"}
        response = await self._bank.post("/tokens", json=fields)
        token: str = expect_success(response)["id"]
        return token

    async def _answer_challenge(self, payment: Answer) -> None:
        challenge = payment.within("next_action")["challenge_id"]
        response = await self._bank.post(f"/challenges/{challenge}/complete", json={"outcome": "authenticated"})
        expect_success(response)

    async def _post(self, path: str, body: dict[str, Any], key: str) -> Answer:
        """Call until there is an answer that stands, always under the same key."""
        last = ""
        for _ in range(RETRY_LIMIT):
            try:
                response = await self._api.post(
                    path, json=body, headers={"Idempotency-Key": key, "Prefer": PREFER}, timeout=CALL_TIMEOUT_S
                )
            except httpx.TransportError as error:
                last = repr(error)
            else:
                if response.status_code not in _AGAIN:
                    return expect_success(response)
                last = f"{response.status_code}: {response.text[:200]}"
            self.repeated += 1
            await asyncio.sleep(RETRY_PAUSE_S)
        raise UnexpectedAnswer(f"POST {path}", f"an answer that stands after {RETRY_LIMIT} calls", last)
