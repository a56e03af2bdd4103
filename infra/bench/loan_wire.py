"""Loans through HTTP for the load generator: apply, then accept, which pays out.

Invariant: a loan counts as done only when the answer says that it is active, so its money is with the borrower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from infra.bench.http_wire import WireClient, WireError, request_bytes
from infra.bench.loops import DONE, Operation
from infra.local.readiness import LOOPBACK

OK, CREATED = 200, 201
WAIT_S = 30
PRINCIPAL = "1200.00"


@dataclass(frozen=True, slots=True)
class LendOrder:
    """Loans to make. `lenders` and `borrowers` are wallets taken in turn; each loan has a customer of its own."""

    port: int
    authorization: str
    key_prefix: str
    currency: str
    lenders: list[str]
    borrowers: list[str]
    timeout_s: float = 60.0

    def operation(self) -> Operation:
        """Return an operation that originates one loan and pays it out."""
        client = WireClient(LOOPBACK, self.port, self.timeout_s)

        async def lend(number: int) -> str:
            try:
                offered = await self._post(client, "/v1/loans", f"{number}-apply", self._application(number))
                if offered.get("status") != "offered":
                    return _outcome(offered)
                active = await self._post(client, f"/v1/loans/{offered['id']}/accept", f"{number}-accept", {})
            except WireError as error:
                return str(error)
            return DONE if active.get("status") == "active" else _outcome(active)

        return lend

    async def _post(self, client: WireClient, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {
            "Authorization": self.authorization,
            "Idempotency-Key": f"{self.key_prefix}-{key}",
            "Prefer": f"wait={WAIT_S}",
        }
        host = f"{LOOPBACK}:{self.port}"
        answer = await client.send(request_bytes("POST", path, host, headers, orjson.dumps(body)))
        if answer.status not in (OK, CREATED):
            return {"status": f"http {answer.status}"}
        loan: dict[str, Any] = orjson.loads(answer.body)
        return loan

    def _application(self, number: int) -> dict[str, Any]:
        return {
            "applicant": {"customer": f"{self.key_prefix}-{number}", "name": "Sample Borrower"},
            "terms": {
                "principal": PRINCIPAL,
                "currency": self.currency,
                "annual_rate_percent": "12",
                "instalments": 12,
                "every": "1 month",
            },
            "funding_account": self.lenders[number % len(self.lenders)],
            "payout_account": self.borrowers[number % len(self.borrowers)],
            "income": {"monthly_income": 500_000, "monthly_debt": 50_000},
            "credit": {"bureau_score": 720},
            "mandate": {"type": "wallet", "account": self.borrowers[number % len(self.borrowers)]},
        }


def _outcome(loan: dict[str, Any]) -> str:
    failure = loan.get("failure") or {}
    return f"{loan.get('status')} {failure.get('code', '')}".rstrip()
