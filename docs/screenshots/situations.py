"""Payments in every situation that the operators' page speaks of, on a real stack.

Invariant: each situation is brought about as it would be in earnest, by calls to the API and faults of the sandbox bank; no
row and no workflow is touched by hand.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx
from temporalio.client import Client

from domain.ids import effect_key, payment_id
from infra.demo.purchases import (
    CHALLENGED_CARD,
    CURRENCY,
    GOOD_CARD,
    Plan,
    Purchase,
    Story,
    plan_payments,
    read_purchases,
)
from infra.demo.shop import Shop

MERCHANT = "cdnow"
TENANT = "default"
OTHERS = 12
"""Payments besides, so that lists look like lists."""

SITUATIONS = 6
"""Payments that `Play.play` brings into a situation, each with a purchase of its own."""

INQUIRIES = 4
"""How often the bank was asked in vain before the unknown payment is photographed."""

WAIT_S = 60.0
POLL_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Situations:
    """Workflow ids, by what they are in the middle of."""

    succeeded: str
    waiting: str
    unknown: str
    review: str
    challenged: str
    refund: str


class Play:
    """Brings the situations about, over one API and one bank."""

    def __init__(self, api: httpx.AsyncClient, bank: httpx.AsyncClient, temporal: Client) -> None:
        self._api, self._bank, self._temporal = api, bank, temporal
        self._shop = Shop(api, bank, MERCHANT)

    async def play(self) -> Situations:
        """Return when each situation stands."""
        await self._open_account()
        purchases = read_purchases()
        for plan in plan_payments(purchases, OTHERS):
            outcome = await self._shop.play(plan)
            if outcome.error:
                raise RuntimeError(f"{plan.key}: {outcome.error}")
        rest = iter(plan_payments(purchases, OTHERS + SITUATIONS)[OTHERS:])
        succeeded = await self._pay(next(rest).purchase)
        challenged = await self._pay(next(rest).purchase, card=CHALLENGED_CARD)
        refund = await self._refund(next(rest).purchase)
        waiting = await self._pay(next(rest).purchase, capture_method="manual")
        unknown = await self._lose_answer(next(rest).purchase)
        review = await self._refuse_reversal(next(rest).purchase)
        return Situations(succeeded["id"], waiting["id"], unknown, review, challenged["id"], refund)

    async def start_without_worker(self) -> str:
        """Start one more payment, for which the client does not wait. Returns its workflow's id."""
        last = plan_payments(read_purchases(), OTHERS + SITUATIONS + 1)[-1].purchase
        return str((await self._pay(last, wait_s=0))["id"])

    async def heal_bank(self) -> None:
        """Let the bank answer again."""
        (await self._bank.delete("/admin/faults")).raise_for_status()

    async def wait_for_status(self, payment: str, status: str) -> None:
        """Return once the payment has that status. Raises RuntimeError after the bound."""
        deadline = time.monotonic() + WAIT_S
        while (found := (await self._get(f"/v1/payments/{payment}"))["status"]) != status:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{payment} is {found}, not {status}, after {WAIT_S:g} s")
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _open_account(self) -> None:
        account = {"id": MERCHANT, "currency": CURRENCY, "purpose": "merchant"}
        (await self._api.post("/v1/accounts", json=account)).raise_for_status()

    async def _pay(
        self, purchase: Purchase, *, card: str = GOOD_CARD, wait_s: int = 30, **changes: Any
    ) -> dict[str, Any]:
        fields = {"number": card, "exp_month": 12, "exp_year": 2030, "cvc": "123"}
        token = (await self._bank.post("/tokens", json=fields)).json()["id"]
        order = {
            "amount": purchase.amount_minor,
            "currency": CURRENCY,
            "account": MERCHANT,
            "payment_method": {"type": "card", "token": token},
            "customer": f"customer-{purchase.customer}",
            "description": f"{purchase.items} item(s) on {purchase.purchased_on}",
        }
        return await self._post("/v1/payments", {**order, **changes}, _key(purchase), wait_s)

    async def _refund(self, purchase: Purchase) -> str:
        payment = await self._pay(purchase)
        refund = await self._post(f"/v1/payments/{payment['id']}/refunds", {}, f"{_key(purchase)}-refund")
        return str(refund["id"])

    async def _lose_answer(self, purchase: Purchase) -> str:
        """The bank charges the card, its answer is lost, and its inquiries are out of order."""
        payment = payment_id(TENANT, _key(purchase))
        for operation, kind, times in (("authorize", "timeout_after", 1), ("inquiry", "error_5xx_before", None)):
            fault = {"operation": operation, "kind": kind, "times": times, "match": payment}
            (await self._bank.post("/admin/faults", json=fault)).raise_for_status()
        await self._pay(purchase, wait_s=1)
        deadline = time.monotonic() + WAIT_S
        while await self._attempts(payment) < INQUIRIES:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{payment} was not inquired about {INQUIRIES} times within {WAIT_S:g} s")
            await asyncio.sleep(POLL_INTERVAL_S)
        return payment

    async def _attempts(self, workflow_id: str) -> int:
        described = await self._temporal.get_workflow_handle(workflow_id).describe()
        return max((each.attempt for each in described.raw_description.pending_activities), default=0)

    async def _refuse_reversal(self, purchase: Purchase) -> str:
        """The client cancels, and the bank refuses the reversal: its key was used there for something else."""
        payment = await self._pay(purchase, capture_method="manual")
        other = {"reference": payment["id"], "original_key": f"{payment['id']}:typed-by-hand"}
        key = effect_key(payment["id"], "reverse", 1)
        (await self._bank.post("/reversals", json=other, headers={"Idempotency-Key": key})).raise_for_status()
        await self._post(f"/v1/payments/{payment['id']}/cancel", {}, f"{_key(purchase)}-cancel")
        await self.wait_for_status(payment["id"], "needs_review")
        return str(payment["id"])

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self._api.get(path)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def _post(self, path: str, body: dict[str, Any], key: str, wait_s: int = 30) -> dict[str, Any]:
        headers = {"Idempotency-Key": key, "Prefer": f"wait={wait_s}"}
        answer = await self._api.post(path, json=body, headers=headers)
        answer.raise_for_status()
        made: dict[str, Any] = answer.json()
        return made


def _key(purchase: Purchase) -> str:
    return Plan(purchase, Story.PAID).key
