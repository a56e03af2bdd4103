"""Where requests meet the bank's memory: reads the key and the trace, applies faults, commits, answers, logs.

Invariant: an answer leaves only after what it says is on disk; a log line names ids and outcomes, never a body.
"""

import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from infra.bank import accounts, operations
from infra.bank.cards import looks_like_card_number
from infra.bank.commit_group import CommitGroup
from infra.bank.errors import Refusal
from infra.bank.faults import JSON, Faults, FaultyOperation
from infra.bank.messages import MAX_KEY, Message, Order, parse
from infra.bank.operations import Answer, Decision, Instruction

MAX_BODY_BYTES = 16 * 1024
_REPLAYED = {"Idempotent-Replayed": "true"}
_KEY = re.compile(rf"[!-~]{{1,{MAX_KEY}}}")
# W3C Trace Context: version, trace id, parent id, flags.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")

log = logging.getLogger("bank")
M = TypeVar("M", bound=Message)
O = TypeVar("O", bound=Order)  # noqa: E741 - a type variable
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a route needs; one per process."""

    group: CommitGroup
    reader: sqlite3.Connection
    faults: Faults
    fingerprint_key: bytes
    authorization_valid_for_ms: int

    async def carry_out(
        self,
        request: Request,
        operation: FaultyOperation,
        order: O,
        decide: Callable[[sqlite3.Connection, O], Decision],
    ) -> Response:
        """Answer a money request: once per key, faults included."""
        key = read_key(request)
        digest = operations.digest_of(request.url.path, order.model_dump())
        instruction = Instruction(key, order.reference, digest, read_trace_id(request))

        def command(connection: sqlite3.Connection) -> Answer:
            return operations.perform(connection, instruction, lambda: decide(connection, order))

        async def work() -> Response:
            answer = await self.group.run(command)
            _log_operation(operation, instruction, answer)
            return Response(answer.body, answer.status, _REPLAYED if answer.replayed else None, JSON)

        return await self.faults.apply(operation, order.reference, request, work)

    async def write(self, command: Callable[[sqlite3.Connection], T]) -> T:
        """Run a command that is no money operation and return its result once it is committed."""
        return await self.group.run(command)

    async def answer(
        self, request: Request, operation: FaultyOperation, reference: str, work: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Answer any other request, faults included."""
        return await self.faults.apply(operation, reference, request, work)

    def inquire(self, key: str) -> dict[str, Any]:
        """Return the recorded answer of a key, with the authorization's status as it is now.

        Raises Refusal 404 `operation_not_found` when no request with this key was carried out.
        """
        row = operations.find(self.reader, key)
        if row is None:
            raise Refusal(404, "operation_not_found", "No request with this key was carried out.")
        body: dict[str, Any] = orjson.loads(row["body"])
        if body.get("authorization_id") is not None:
            authorization = accounts.load_authorization(self.reader, body["authorization_id"])
            body["authorization_status"] = authorization.status(operations.now_ms())
        return body


def desk_of(request: Request) -> Desk:
    """Return the desk of the running bank."""
    desk: Desk = request.app.state.desk
    return desk


async def read_body(request: Request, model: type[M]) -> M:
    """Read and check a request body; raises Refusal 413 or 422."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(413, "body_too_large", f"A body has at most {MAX_BODY_BYTES} bytes.")
    return parse(model, bytes(body))


def read_key(request: Request) -> str:
    """Return the Idempotency-Key header; raises Refusal 400 `key_missing` or 422 `key_invalid`."""
    key = request.headers.get("idempotency-key")
    if key is None:
        raise Refusal(400, "key_missing", "An Idempotency-Key header is required.")
    if _KEY.fullmatch(key) is None or looks_like_card_number(key):
        raise Refusal(422, "key_invalid", f"A key is 1 to {MAX_KEY} visible ASCII characters and no card number.")
    return key


def read_trace_id(request: Request) -> str | None:
    """Return the trace id of a W3C traceparent header, or None without a valid one."""
    match = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    return match[1] if match is not None and match[1].strip("0") else None


def reply(value: Any, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(value), status, media_type=JSON)


def _log_operation(operation: FaultyOperation, instruction: Instruction, answer: Answer) -> None:
    log.info(
        "%s key=%s reference=%s status=%d replayed=%s trace_id=%s",
        operation.value,
        instruction.key,
        instruction.reference,
        answer.status,
        answer.replayed,
        instruction.trace_id,
    )
