"""A client of the bank's HTTP interface who writes every header himself, for tests of that interface."""

import secrets
from typing import Any

import httpx

APPROVED_CARD = "4242424242424242"


class Cardholder:
    """Sends raw requests; answers are `httpx.Response`, unchecked."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self._http.post(path, json=body, headers=headers)

    async def get(self, path: str) -> httpx.Response:
        return await self._http.get(path)

    async def exchange(self, number: str, **fields: Any) -> httpx.Response:
        cvc = "1234" if number.startswith(("34", "37")) else "123"
        return await self.post("/tokens", {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": cvc, **fields})

    async def token(self, number: str = APPROVED_CARD) -> str:
        answer = await self.exchange(number)
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["id"]
        return token

    async def authorize(self, reference: str, key: str, **fields: Any) -> httpx.Response:
        token = fields.pop("token", None) or await self.token()
        body = {"reference": reference, "amount_minor": 1000, "currency": "USD", "token": token, "capture": "manual"}
        return await self.post("/authorizations", {**body, **fields}, key)

    async def hold(self, reference: str, amount_minor: int = 1000, currency: str = "USD") -> str:
        """Authorize for later capture and return the authorization id."""
        answer = await self.authorize(
            reference, f"{reference}:authorize:{secrets.token_hex(4)}", amount_minor=amount_minor, currency=currency
        )
        assert answer.status_code == 200, answer.text
        authorization_id: str = answer.json()["authorization_id"]
        return authorization_id

    async def act(self, authorization_id: str, action: str, reference: str, key: str, **fields: Any) -> httpx.Response:
        body = {"reference": reference, **fields}
        if "amount_minor" in fields:
            body.setdefault("currency", "USD")
        return await self.post(f"/authorizations/{authorization_id}/{action}", body, key)

    async def arm(self, operation: str, kind: str, match: str, **fields: Any) -> None:
        body = {"operation": operation, "kind": kind, "match": match, **fields}
        assert (await self.post("/admin/faults", body)).status_code == 201

    async def state(self, authorization_id: str) -> dict[str, Any]:
        answer = await self.get(f"/authorizations/{authorization_id}")
        assert answer.status_code == 200
        state: dict[str, Any] = answer.json()
        return state

    async def recorded(self, reference: str) -> list[dict[str, Any]]:
        answer = await self._http.get("/statement", params={"reference": reference})
        operations: list[dict[str, Any]] = answer.json()["operations"]
        return operations

    async def clear_faults(self) -> None:
        assert (await self._http.delete("/admin/faults")).status_code == 200
