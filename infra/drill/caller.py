"""A client that does not give up: it makes a call until an answer stands, whoever is dead meanwhile.

Invariant: a call is repeated word for word under the same key, so whatever it asks for happens once. Every answer that stands
is remembered, so that it can be asked for again later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

PATIENCE_S = 120.0
PAUSE_S = 0.2
WAIT_S = 3
"""What `Prefer: wait=N` asks for. Short: the lease of a call whose API process died ends so much sooner."""

CALL_TIMEOUT_S = 30.0
CONNECTIONS_MAX = 200
CVC, EXP_MONTH, EXP_YEAR = "123", 12, 2040

ACCEPTED = 202
REQUEST_TIMEOUT = 408
TOO_MANY = 429
SERVER_ERROR = 500
IN_FLIGHT = "idempotency_key_in_flight"
INTERRUPTED = "payment_interrupted"


class NoStandingAnswer(Exception):
    """No answer came that stands, however often the call was made; the message says what came last."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that moves money: what is repeated."""

    path: str
    body: dict[str, Any]
    key: str
    wait_s: int = WAIT_S


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that stands: an HTTP status other than 202, 408, 429 and 5xx, its body, and whether it was a stored one."""

    status: int
    body: dict[str, Any]
    replayed: bool
    attempts: int

    @property
    def is_success(self) -> bool:
        """Whether the call did what it asked for, a decline included."""
        return self.status < httpx.codes.BAD_REQUEST

    @property
    def code(self) -> str:
        """The stable code of a problem; empty for a success."""
        return "" if self.is_success else str(self.body.get("code", ""))


class PatientCaller:
    """Calls one API and one bank; `base_url` and authentication are those of the clients given."""

    def __init__(self, api: httpx.AsyncClient, bank: httpx.AsyncClient, patience_s: float = PATIENCE_S) -> None:
        self._api = api
        self._bank = bank
        self._patience_s = patience_s
        self.repeated = 0
        self.answered: dict[str, tuple[Call, Answer]] = {}

    async def post(self, path: str, body: dict[str, Any], key: str, wait_s: int = WAIT_S) -> Answer:
        """Make a call that moves money until its answer stands. Raises NoStandingAnswer."""
        call = Call(path, body, key, wait_s)
        answer = await self._until_it_stands(call)
        self.answered[key] = (call, answer)
        return answer

    async def try_once(self, call: Call, attempt: int = 1) -> Answer:
        """Make a call once. Raises httpx.TransportError, or ValueError when the answer is no JSON."""
        headers = {"Idempotency-Key": call.key, "Prefer": f"wait={call.wait_s}"}
        response = await self._api.post(call.path, json=call.body, headers=headers)
        return Answer(response.status_code, response.json(), _is_replayed(response), attempt)

    async def ask_again(self, key: str) -> Answer:
        """Repeat a call that was answered before."""
        return await self._until_it_stands(self.answered[key][0])

    async def open_account(self, account_id: str, currency: str) -> None:
        """Open an account that may not go negative."""
        body = {"id": account_id, "currency": currency, "purpose": "merchant"}
        answer = await self._until_it_stands(Call("/v1/accounts", body, f"open-{account_id}"))
        if not answer.is_success:
            raise NoStandingAnswer(f"account {account_id} was not opened: {answer}")

    async def get(self, path: str) -> dict[str, Any]:
        """Read from the API until it answers 200. Raises NoStandingAnswer."""
        return await self._read(self._api, "GET", path, None)

    async def bank_get(self, path: str, **params: str | int) -> dict[str, Any]:
        """Read from the bank until it answers. Raises NoStandingAnswer."""
        return await self._read(self._bank, "GET", str(httpx.URL(path, params=params)), None)

    async def bank_post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post to the bank until it answers: for what is safe to repeat. Raises NoStandingAnswer."""
        return await self._read(self._bank, "POST", path, body)

    async def clear_faults(self) -> None:
        """Let the bank forget all faults that were armed. Raises NoStandingAnswer."""
        await self._read(self._bank, "DELETE", "/admin/faults", None)

    async def token(self, number: str) -> str:
        """Exchange a test card for a token, as hosted card fields do."""
        fields = {"number": number, "exp_month": EXP_MONTH, "exp_year": EXP_YEAR, "cvc": CVC}
        return str((await self.bank_post("/tokens", fields))["id"])

    async def _until_it_stands(self, call: Call) -> Answer:
        deadline, attempts, last = time.monotonic() + self._patience_s, 0, ""
        while time.monotonic() < deadline:
            attempts += 1
            try:
                answer = await self.try_once(call, attempts)
            except (httpx.TransportError, ValueError) as error:
                last = repr(error)
            else:
                if _stands(answer):
                    return answer
                last = f"{answer.status}: {answer.body}"
            self.repeated += 1
            await asyncio.sleep(PAUSE_S)
        raise NoStandingAnswer(
            f"{call.key} on {call.path}: {attempts} calls in {self._patience_s:g} s, last {last:.400}"
        )

    async def _read(
        self, client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None
    ) -> dict[str, Any]:
        deadline, last = time.monotonic() + self._patience_s, ""
        while time.monotonic() < deadline:
            try:
                response = await client.request(method, path, json=body)
                if response.is_success:
                    found: dict[str, Any] = response.json()
                    return found
                last = f"{response.status_code}: {response.text}"
            except (httpx.TransportError, ValueError) as error:
                last = repr(error)
            await asyncio.sleep(PAUSE_S)
        raise NoStandingAnswer(f"{method} {path}: no answer in {self._patience_s:g} s, last {last:.400}")


@asynccontextmanager
async def open_caller(
    api_url: str, bank_url: str, api_key: str, patience_s: float = PATIENCE_S
) -> AsyncIterator[PatientCaller]:
    """Connect a caller to an API and a bank for the length of the block."""
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX)
    headers = {"Authorization": f"Bearer {api_key}"}
    async with (
        httpx.AsyncClient(
            base_url=api_url, headers=headers, timeout=CALL_TIMEOUT_S, limits=limits, trust_env=False
        ) as api,
        httpx.AsyncClient(base_url=bank_url, timeout=CALL_TIMEOUT_S, limits=limits, trust_env=False) as bank,
    ):
        yield PatientCaller(api, bank, patience_s)


def _stands(answer: Answer) -> bool:
    return not (
        answer.status in (ACCEPTED, REQUEST_TIMEOUT, TOO_MANY)
        or answer.status >= SERVER_ERROR
        or answer.code in (IN_FLIGHT, INTERRUPTED)
    )


def _is_replayed(response: httpx.Response) -> bool:
    return str(response.headers.get("Idempotent-Replayed")) == "true"
