"""A lender's side of the demonstration, over HTTP alone: applications, one loan's whole life, one that is declined.

Invariant: a call is repeated only under its own idempotency key, so whatever is repeated happens once; money comes in and goes
out through payments, as it would for a client.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from infra.demo.answers import Answer, UnexpectedAnswer, expect_success
from infra.demo.applications import POLICY, RealApplication
from infra.demo.purchases import CURRENCY, GOOD_CARD
from infra.demo.shop import CALL_TIMEOUT_S, RETRY_LIMIT, RETRY_PAUSE_S

LENDER, BORROWER, DEALER = "lender", "borrower", "car-dealer"
CAPITAL_MINOR = 500_000
"""What the lender lends from: 5,000.00 USD."""
START = "2026-01-15"
LATE_FEE_MINOR = 1_500
_AGAIN = frozenset({202, 409, 429, 500, 502, 503, 504})
Json = dict[str, Any]


@dataclass
class Life:
    """What became of the loan that lives: its last state, its story, and the states on the way."""

    loan: Answer
    schedule: Answer
    timeline: list[Answer]
    late: Answer
    prepaid_minor: int


class Lender:
    """Lends through one API; one card at one bank brings the money in."""

    def __init__(self, api: httpx.AsyncClient, bank: httpx.AsyncClient) -> None:
        self._api = api
        self._bank = bank
        self.decided = 0

    async def prepare(self) -> None:
        """Open the accounts, and give the lender something to lend."""
        for account, purpose in ((LENDER, "lender"), (BORROWER, "wallet"), (DEALER, "merchant")):
            opened = await self._api.post(
                "/v1/accounts", json={"id": account, "currency": CURRENCY, "purpose": purpose}
            )
            expect_success(opened)
        await self._pay_in(LENDER, CAPITAL_MINOR, "capital")

    async def originate(self, application: RealApplication) -> Answer:
        """Put one real application through origination, and return the loan as decided."""
        number = application.number
        body = {
            "applicant": {"customer": f"hmda-{number}", "name": f"Applicant {number}"},
            "terms": {
                "principal": "100000.00",
                "annual_rate_percent": "9.5",
                "instalments": 360,
                "every": "1 month",
                "day_count": "30/360",
            },
            "funding_account": LENDER,
            "payout_account": BORROWER,
            "policy": POLICY.version,
            "credit": application.facts(),
            "metadata": {"application": str(number)},
        }
        loan = await self._post("/v1/loans", body, f"application-{number}")
        self.decided += 1
        return loan

    async def live(self) -> Life:
        """Carry one loan from application to closing: a missed instalment, a late fee, a prepayment, a restructure."""
        clock = await self._post("/v1/test_clocks", {"on": START, "name": "demonstration"}, "loan-clock")
        loan = await self._post("/v1/loans", _application(clock["id"]), "loan-life")
        path, ticking = f"/v1/loans/{loan['id']}", f"/v1/test_clocks/{clock['id']}"
        await self._post(f"{path}/accept", {}, "loan-accept")
        await self._post(f"{ticking}/advance", {"to": "2026-02-20"}, "loan-until-february")
        await self._spend_all()
        await self._post(f"{ticking}/advance", {"to": "2026-03-25"}, "loan-until-march")
        late = await self._get(path)
        await self._pay_in(BORROWER, 200_000, "salary")
        await self._post(f"{ticking}/advance", {"to": "2026-03-26"}, "loan-until-salary")
        due = await self._due(path)
        if due:
            await self._post(f"{path}/repay", {"amount": due}, "loan-catch-up")
        prepaid_minor = 30_000
        prepayment = {"amount": prepaid_minor, "effect": "reduce_instalment"}
        await self._post(f"{path}/repay", prepayment, "loan-prepayment")
        change = {"kind": "change_rate", "effective_on": "2026-05-01", "annual_rate_percent": "9", "note": "pays again"}
        proposal = await self._post(f"{path}/restructure", change, "loan-restructure", actor="account manager")
        decision = f"{path}/proposals/{proposal['number']}/approve"
        await self._post(decision, {"note": "agreed"}, "loan-restructure-approve", actor="credit committee")
        await self._post(f"{ticking}/advance", {"to": "2026-06-20"}, "loan-until-june")
        closed = await self._post(f"{path}/payoff", {}, "loan-payoff")
        schedule = await self._get(f"{path}/schedule")
        timeline = (await self._get(f"{path}/timeline")).each("events")
        return Life(closed, schedule, timeline, late, prepaid_minor)

    async def be_declined(self) -> Answer:
        """Apply with too little income, and return the loan with its reasons."""
        body = _application(None) | {"income": {"monthly_income": 90_000, "monthly_debt": 60_000}}
        body["applicant"] = {"customer": "borrower-2", "name": "Stretched Borrower SCORE 540"}
        return await self._post("/v1/loans", body, "loan-declined")

    async def _due(self, path: str) -> int:
        schedule = await self._get(f"{path}/schedule")
        return sum(row.number("unpaid") for row in schedule.each("instalments") if row["status"] in ("due", "overdue"))

    async def _pay_in(self, account: str, minor: int, key: str) -> None:
        answer = await self._bank.post(
            "/tokens", json={"number": GOOD_CARD, "exp_month": 12, "exp_year": 2030, "cvc": "123"}
        )
        body = {
            "amount": minor,
            "currency": CURRENCY,
            "account": account,
            "payment_method": {"type": "card", "token": expect_success(answer)["id"]},
        }
        await self._post("/v1/payments", body, f"loan-{key}")

    async def _spend_all(self) -> None:
        balance = await self._get(f"/v1/accounts/{BORROWER}/balances")
        body = {
            "amount": balance["available"],
            "currency": CURRENCY,
            "account": DEALER,
            "payment_method": {"type": "wallet", "account": BORROWER},
        }
        await self._post("/v1/payments", body, "loan-spent")

    async def _get(self, path: str) -> Answer:
        return expect_success(await self._api.get(path))

    async def _post(self, path: str, body: Json, key: str, actor: str | None = None) -> Answer:
        """Call until there is an answer that stands, always under the same key."""
        headers = {"Idempotency-Key": key} | ({} if actor is None else {"Clearhold-Actor": actor})
        last = ""
        for _ in range(RETRY_LIMIT):
            try:
                answer = await self._api.post(path, json=body, headers=headers, timeout=CALL_TIMEOUT_S)
            except httpx.TransportError as error:
                last = repr(error)
            else:
                if answer.status_code not in _AGAIN or answer.headers.get("Retry-After") is None:
                    return expect_success(answer)
                last = f"{answer.status_code}: {answer.text[:200]}"
            await asyncio.sleep(RETRY_PAUSE_S)
        raise UnexpectedAnswer(f"POST {path}", f"an answer that stands after {RETRY_LIMIT} calls", last)


def _application(clock_id: str | None) -> Json:
    return {
        "applicant": {"customer": "borrower-1", "name": "Sample Borrower SCORE 720"},
        "terms": {
            "principal": "1200.00",
            "currency": CURRENCY,
            "annual_rate_percent": "12",
            "instalments": 12,
            "every": "1 month",
        },
        "funding_account": LENDER,
        "payout_account": BORROWER,
        "income": {"monthly_income": 500_000, "monthly_debt": 50_000},
        "mandate": {"type": "wallet", "account": BORROWER},
        "servicing": {
            "late_fee": {"amount": LATE_FEE_MINOR, "grace_days": 5},
            "penalty": {"annual_rate_percent": "10", "grace_days": 5},
            "retry_days": [3, 11],
        },
        "test_clock": clock_id,
    }
