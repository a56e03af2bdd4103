"""Plays payments as their clients would, through whatever is dead at the moment.

Invariant: a story stops at the first answer that is not what it waits for; what became of the payment is judged afterwards, by
what is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from domain.ids import payment_id, refund_id
from infra.drill.caller import Answer, NoStandingAnswer, PatientCaller
from infra.drill.keys import TENANT
from infra.drill.plan import CURRENCIES, GOOD_CARD, WALLET_FILL_MINOR, WALLETS, Errand, Story


@dataclass
class Outcome:
    """What became of one errand: ids of what it made, and why its story stopped early, if it did."""

    errand: Errand
    payment_id: str
    refund_ids: list[str] = field(default_factory=list)
    stopped: str = ""
    error: str = ""


class _StoryStopped(Exception):
    """An answer was not what the story waits for."""


def merchant(currency: str) -> str:
    """Return the account that is paid in a currency."""
    return f"merchant-{currency.lower()}"


def wallet(currency: str, number: int) -> str:
    """Return an account that pays in a currency."""
    return f"wallet-{currency.lower()}-{number}"


async def prepare(caller: PatientCaller, fills: int) -> list[str]:
    """Open the accounts, fill each wallet by card that many times, and return the ids of the payments that did."""
    made = []
    for currency in CURRENCIES:
        await caller.open_account(merchant(currency), currency)
        for account in (wallet(currency, number) for number in range(WALLETS)):
            await caller.open_account(account, currency)
            made += [await _fill(caller, account, currency, number) for number in range(fills)]
    return made


async def _fill(caller: PatientCaller, account: str, currency: str, number: int) -> str:
    order = {
        "amount": WALLET_FILL_MINOR,
        "currency": currency,
        "account": account,
        "payment_method": {"type": "card", "token": await caller.token(GOOD_CARD)},
    }
    answer = await caller.post("/v1/payments", order, f"fill-{account}-{number}")
    if answer.body.get("status") != "succeeded":
        raise NoStandingAnswer(f"{account} was not filled: {answer}")
    return str(answer.body["id"])


class Player:
    """Plays errands through one caller."""

    def __init__(self, caller: PatientCaller) -> None:
        self._caller = caller

    async def play(self, errand: Errand) -> Outcome:
        """Play one errand to its end, or to where its story stops."""
        outcome = Outcome(errand, payment_id(TENANT, errand.key))
        try:
            await self._play(errand, outcome)
        except _StoryStopped as stop:
            outcome.stopped = str(stop)
        except NoStandingAnswer as error:
            outcome.error = str(error)
        return outcome

    async def _play(self, errand: Errand, outcome: Outcome) -> None:
        created = await self._caller.post("/v1/payments", await self._order(errand), errand.key)
        match errand.story:
            case Story.OTHER_CARD:
                _require(created, "requires_payment_method")
                method = {"type": "card", "token": await self._caller.token(GOOD_CARD)}
                await self._command(errand, outcome, "confirm", {"payment_method": method}, "succeeded")
            case Story.CHALLENGED:
                _require(created, "requires_action")
                await self._answer_challenge(created)
                await self._command(errand, outcome, "confirm", {}, "succeeded")
            case Story.DECLINED:
                _require(created, "failed")
            case _ if errand.by_hand:
                _require(created, "requires_capture")
                await self._follow_up(errand, outcome)
            case _:
                _require(created, "succeeded")
                await self._refund(errand, outcome)

    async def _follow_up(self, errand: Errand, outcome: Outcome) -> None:
        part = errand.part_minor
        match errand.story:
            case Story.CAPTURED:
                await self._command(errand, outcome, "capture", {}, "succeeded")
            case Story.CAPTURED_PARTLY | Story.WALLET_CAPTURED:
                await self._command(errand, outcome, "capture", {"amount": part}, "partially_captured")
            case Story.CAPTURED_TWICE:
                body = {"amount": part, "final": False}
                await self._command(errand, outcome, "capture", body, "requires_capture", number=1)
                await self._command(errand, outcome, "capture", {}, "succeeded", number=2)
            case Story.CANCELED_LATE:
                body = {"amount": part, "final": False}
                await self._command(errand, outcome, "capture", body, "requires_capture")
                await self._command(errand, outcome, "cancel", {}, "partially_captured")
            case _:
                await self._command(errand, outcome, "cancel", {}, "canceled")

    async def _refund(self, errand: Errand, outcome: Outcome) -> None:
        bodies: list[dict[str, Any]] = []
        if errand.story in (Story.REFUNDED, Story.WALLET_REFUNDED):
            bodies = [{}]
        elif errand.story is Story.REFUNDED_PARTLY:
            bodies = [{"amount": errand.part_minor}] * 2
        for number, body in enumerate(bodies, start=1):
            key = f"{errand.key}-refund-{number}"
            outcome.refund_ids.append(refund_id(TENANT, key))
            answer = await self._caller.post(f"/v1/payments/{outcome.payment_id}/refunds", body, key)
            _require(answer, "succeeded")

    async def _command(
        self, errand: Errand, outcome: Outcome, command: str, body: dict[str, Any], then: str, number: int = 1
    ) -> None:
        path = f"/v1/payments/{outcome.payment_id}/{command}"
        _require(await self._caller.post(path, body, f"{errand.key}-{command}-{number}"), then)

    async def _order(self, errand: Errand) -> dict[str, Any]:
        method = (
            {"type": "wallet", "account": wallet(errand.currency, errand.wallet)}
            if errand.from_wallet
            else {"type": "card", "token": await self._caller.token(errand.card)}
        )
        return {
            "amount": errand.amount_minor,
            "currency": errand.currency,
            "account": merchant(errand.currency),
            "payment_method": method,
            "capture_method": "manual" if errand.by_hand else "automatic",
            "attempts_allowed": 2 if errand.story is Story.OTHER_CARD else 1,
            "description": str(errand.story),
        }

    async def _answer_challenge(self, created: Answer) -> None:
        challenge = created.body["next_action"]["challenge_id"]
        if (await self._caller.bank_get(f"/challenges/{challenge}"))["status"] == "pending":
            await self._caller.bank_post(f"/challenges/{challenge}/complete", {"outcome": "authenticated"})


def _require(answer: Answer, status: str) -> None:
    found = answer.body.get("status") if answer.is_success else answer.code
    if found != status:
        raise _StoryStopped(f"{answer.status} {found} instead of {status}: {answer.body.get('failure') or answer.body}")
