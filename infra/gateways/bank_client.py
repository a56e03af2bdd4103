"""The HTTP conversation with the sandbox bank, shared by its three adapters.

Invariant: every call ends within its timeouts, in a reply the bank decided or in one exception that says whether the
request can have reached it:

    BankCallError
    ├── NotSent      no connection was made, or the bank turned the request away unread (429): nothing happened
    ├── NoAnswer     the request may have arrived: timeout, dropped connection, 5xx, still in progress, unreadable reply
    └── Refused      the bank answered that it does not carry this request out, and why
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import orjson

from infra.gateways.http_transport import PooledTransport
from infra.telemetry import TracedTransport

# Declines and rejections are decided outcomes; the bank answers them so.
HTTP_DECIDED_NEGATIVE = 402
HTTP_NOT_FOUND = 404
HTTP_IN_PROGRESS = 409
HTTP_TOO_MANY = 429
HTTP_SERVER_ERROR = 500
HTTP_BAD_REQUEST = 400
MAX_CONNECTIONS = 256
# Shorter than the bank keeps idle connections, so that none is reused in the moment it closes.
KEEP_ALIVE_S = 30.0
_JSON = {"Content-Type": "application/json"}
_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds of one call, in seconds: to connect, for the whole answer, and to wait for a pooled connection."""

    connect_s: float = 1.0
    read_s: float = 10.0
    pool_s: float = 5.0


@dataclass(frozen=True, slots=True)
class BankReply:
    """What the bank decided, and whether it says so for the first time."""

    body: dict[str, Any]
    replayed: bool


class BankCallError(Exception):
    """A call brought no decision."""


class NotSent(BankCallError):
    """Nothing reached the bank."""


class NoAnswer(BankCallError):
    """The request may have reached the bank."""


class Refused(BankCallError):
    """The bank does not carry this request out: HTTP `status`, stable `code`, `detail` in words."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class BankClient:
    """Pooled connections to one bank. Open it once per process and share it; close it at the end.

    Requests go to the transport itself: redirects, cookies and logins, which httpx's client would look after, the bank has none.
    """

    def __init__(self, base_url: str, timeouts: Timeouts | None = None, max_connections: int = MAX_CONNECTIONS) -> None:
        bounds = timeouts or Timeouts()
        self._base_url = base_url.rstrip("/")
        self._transport = TracedTransport(PooledTransport(max_connections, KEEP_ALIVE_S))
        timeout = httpx.Timeout(None, connect=bounds.connect_s, read=bounds.read_s, pool=bounds.pool_s)
        self._extensions = {"timeout": timeout.as_dict()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def post(self, path: str, body: dict[str, Any], key: str | None = None) -> BankReply:
        """Send a request once. Raises NotSent, NoAnswer or Refused."""
        headers = _JSON if key is None else {**_JSON, "Idempotency-Key": key}
        return await self._call("POST", path, headers, orjson.dumps(body))

    async def get(self, path: str) -> BankReply:
        """Read something. Raises NotSent, NoAnswer or Refused."""
        return await self._call("GET", path, None, None)

    async def find_operation(self, key: str) -> BankReply | None:
        """Return the recorded answer of a key, or None when the bank says that it has none.

        Only the bank's own word for it counts as None: a 404 of something between us and the bank is NoAnswer.
        """
        try:
            return await self.get(f"/operations/{quote(key, safe='')}")
        except Refused as refused:
            if refused.status == HTTP_NOT_FOUND and refused.code == "operation_not_found":
                return None
            raise NoAnswer(f"the inquiry was refused: {refused}") from refused

    async def _call(self, method: str, path: str, headers: dict[str, str] | None, content: bytes | None) -> BankReply:
        try:
            request = httpx.Request(
                method, f"{self._base_url}{path}", headers=headers, content=content, extensions=self._extensions
            )
            response = await self._transport.handle_async_request(request)
        except _BEFORE_SENDING as error:
            raise NotSent(_describe(error)) from error
        except httpx.HTTPError as error:
            raise NoAnswer(_describe(error)) from error
        return _read(response)


def _read(response: httpx.Response) -> BankReply:
    status = response.status_code
    if status >= HTTP_SERVER_ERROR:
        raise NoAnswer(f"the bank answered {status}")
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise NoAnswer(f"the bank answered {status} with an unreadable body") from error
    if not isinstance(body, dict):
        raise NoAnswer(f"the bank answered {status} with a body that is no object")
    if status < HTTP_BAD_REQUEST or (status == HTTP_DECIDED_NEGATIVE and "outcome" in body):
        return BankReply(body, response.headers.get("Idempotent-Replayed") == "true")
    code, detail = str(body.get("code", f"http_{status}")), str(body.get("detail", ""))
    if status == HTTP_TOO_MANY:
        raise NotSent(f"{code}: {detail}")
    if status == HTTP_IN_PROGRESS and code == "in_progress":
        raise NoAnswer(f"{code}: {detail}")
    raise Refused(status, code, detail)


def _describe(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
