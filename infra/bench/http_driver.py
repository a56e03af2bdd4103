"""`python -m infra.bench.http_driver`: the load generator, a process of its own that speaks HTTP at very little cost.

Invariant: an operation counts as done only when the answer says that the money moved (or the thing read is there); the sums of
what clients were told are kept, so that the books can be compared with them.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any

import orjson
import uvloop

from infra.bench.control import serve_commands
from infra.bench.http_wire import WireAnswer, WireClient, WireError, request_bytes
from infra.bench.loan_wire import LendOrder
from infra.bench.loops import DONE, Operation, Pace, run_load
from infra.local.readiness import LOOPBACK

OK, CREATED, TOO_MANY, UNAVAILABLE = 200, 201, 429, 503
OVERLOADED = "overloaded"
"""The API's problem code for a request that it did not begin."""

SHED, SHED_WITHOUT_ADVICE = "shed", "shed without Retry-After"
WAIT_S = 30
"""How long a client waits for the end of its payment: the longest the API allows, so that on a busy machine it is still told."""

AMOUNT_MIN_MINOR, AMOUNT_SPREAD_MINOR = 100, 900


@dataclass(slots=True)
class Told:
    """What clients were told of one kind of payment, over the life of this process: how many succeeded, and their sum."""

    payments: int = 0
    minor: int = 0
    unanswered: int = 0
    last_id: str = ""

    def note(self, outcome: str, payment: dict[str, Any]) -> None:
        """Remember an answer; what was neither paid nor shed may still be paid."""
        if outcome == DONE:
            self.payments += 1
            self.minor += payment["amount"]
            self.last_id = payment["id"]
        elif outcome not in (SHED, SHED_WITHOUT_ADVICE):
            self.unanswered += 1


@dataclass(frozen=True, slots=True)
class PayOrder:
    """Payments to make. `methods` and `accounts` (who is paid) are taken in turn."""

    port: int
    authorization: str
    kind: str
    key_prefix: str
    currency: str
    accounts: list[str]
    methods: list[dict[str, Any]]
    timeout_s: float = 60.0

    def operation(self, told: Told) -> Operation:
        """Return an operation that makes one payment and waits for its end."""
        client = WireClient(LOOPBACK, self.port, self.timeout_s)
        host = f"{LOOPBACK}:{self.port}"

        async def pay(number: int) -> str:
            order = {
                "amount": AMOUNT_MIN_MINOR + number % AMOUNT_SPREAD_MINOR,
                "currency": self.currency,
                "account": self.accounts[number % len(self.accounts)],
                "payment_method": self.methods[number % len(self.methods)],
                "capture_method": "automatic",
            }
            headers = {
                "Authorization": self.authorization,
                "Idempotency-Key": f"{self.key_prefix}-{number}",
                "Prefer": f"wait={WAIT_S}",
            }
            message = request_bytes("POST", "/v1/payments", host, headers, orjson.dumps(order))
            try:
                outcome, payment = _judge_payment(await client.send(message))
            except WireError as error:
                outcome, payment = str(error), {}
            told.note(outcome, payment)
            return outcome

        return pay


def _judge_payment(answer: WireAnswer) -> tuple[str, dict[str, Any]]:
    if answer.status not in (OK, CREATED):
        return _judge_refusal(answer), {}
    payment = orjson.loads(answer.body)
    return (DONE if payment["status"] == "succeeded" else str(payment["status"])), payment


def _judge_refusal(answer: WireAnswer) -> str:
    """Tell shedding (the request was not begun) from a failure after which nobody knows."""
    try:
        code = str(orjson.loads(answer.body).get("code", ""))
    except (orjson.JSONDecodeError, AttributeError):
        code = ""
    if answer.status == TOO_MANY or (answer.status == UNAVAILABLE and code == OVERLOADED):
        return SHED if answer.retry_after else SHED_WITHOUT_ADVICE
    return f"http {answer.status} {code}".rstrip()


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """Paths to GET in turn."""

    port: int
    authorization: str
    paths: list[str]
    timeout_s: float = 60.0

    def operation(self) -> Operation:
        """Return an operation that reads the next path."""
        client = WireClient(LOOPBACK, self.port, self.timeout_s)
        host = f"{LOOPBACK}:{self.port}"
        headers = {"Authorization": self.authorization}
        messages = cycle([request_bytes("GET", path, host, headers) for path in self.paths])

        async def read(number: int) -> str:
            del number
            try:
                answer = await client.send(next(messages))
            except WireError as error:
                return str(error)
            return DONE if answer.status == OK else f"http {answer.status}"

        return read


class LoadGenerator:
    """Carries out the commands `pay`, `read`, `lend` and `told`."""

    def __init__(self) -> None:
        self._told: dict[str, Told] = defaultdict(Told)

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command."""
        match command["do"]:
            case "pay":
                order = PayOrder(**command["order"])
                operation = order.operation(self._told[order.kind])
            case "read":
                operation = ReadOrder(**command["order"]).operation()
            case "lend":
                operation = LendOrder(**command["order"]).operation()
            case "told":
                return {kind: asdict(told) for kind, told in self._told.items()}
            case unknown:
                raise ValueError(f"unknown command {unknown!r}")
        return await run_load(operation, Pace(**command["pace"]), command["first"])


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench.http_driver")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_commands(port, LoadGenerator().handle))


if __name__ == "__main__":
    main()
