"""What a payment asks of a card gateway: requests, the one result shape, and how an answer can be missing.

Invariant: a definite answer is a `GatewayResult`, a decline included. Everything else is an exception, and its class
alone says what may be done next:

    GatewayError
    ├── GatewayRejected         refused for good, nothing happened: our request is wrong
    ├── GatewayUnavailable      never left this process: nothing happened, safe to send
    └── GatewayOutcomeUnknown   may or may not have happened: inquire first

A request whose outcome is unknown is never resent blindly: `inquire` with its key comes first. An inquiry may answer
`None` ("never arrived") while the request is still travelling or waiting inside the gateway, so `None` is evidence, not
proof. Two rules make that race harmless. A resend always carries the same idempotency key, so a late first copy and
the resend are one operation. And whoever gives up instead of resending calls `reverse` with that key: it undoes the
operation if it happened and bars it from happening later.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class CaptureMode(StrEnum):
    """When the money moves: with the authorization (a sale in one message) or by later captures."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class GatewayOperation(StrEnum):
    """The kind of one operation at the gateway; `sale` is an authorization captured in the same message."""

    AUTHORIZE = "authorize"
    SALE = "sale"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    REVERSAL = "reversal"


class GatewayOutcome(StrEnum):
    """How the gateway decided. An unknown outcome is no member: it is `GatewayOutcomeUnknown`."""

    APPROVED = "approved"
    DECLINED = "declined"
    REQUIRES_ACTION = "requires_action"


@dataclass(frozen=True, slots=True)
class AuthorizeRequest:
    """Ask the issuer to approve `amount_minor` (minor units of `currency`) on a tokenized payment method.

    After `REQUIRES_ACTION`, send it again under a new key with the `challenge_id` of that answer.
    """

    key: str
    payment_id: str
    amount_minor: int
    currency: str
    payment_method_token: str
    capture: CaptureMode
    challenge_id: str | None = None


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Take `amount_minor` of what is still authorized; `final` releases the rest."""

    key: str
    payment_id: str
    gateway_reference: str
    amount_minor: int
    currency: str
    final: bool


@dataclass(frozen=True, slots=True)
class VoidRequest:
    """Release everything that is authorized and not captured."""

    key: str
    payment_id: str
    gateway_reference: str


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Give back `amount_minor` of what was captured and not refunded yet."""

    key: str
    payment_id: str
    gateway_reference: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class ReverseRequest:
    """Undo the authorization, sale or capture sent under `original_key`, whether or not it ever arrived (ISO 8583 0420).

    Meant for a compensation that holds no gateway reference because the outcome stayed unknown. If the original
    arrived, an authorization's hold is released and all that was captured of it is given back, a capture alone is given
    back; if not, its key is barred, and a late copy of it is declined with `reversed`.
    """

    key: str
    payment_id: str
    original_key: str


@dataclass(frozen=True, slots=True)
class GatewayResult:
    """One definite answer of the gateway, first given or repeated for the same key.

    `gateway_reference` names the authorization, which captures, voids and refunds refer to; it is None when none came
    into being. `operation_reference` names this operation. `amount_minor` is what this operation moved or held: for a
    void what it released, for a reversal what it released and gave back. `response_code` is the ISO 8583 field 39
    value, `decline_code` its name in words; `raw_status` is the gateway's own word for the state of the authorization.
    `expires_at` is the ISO 8601 moment (UTC) from which the authorization can no longer be captured.
    """

    operation: GatewayOperation
    outcome: GatewayOutcome
    gateway_reference: str | None
    operation_reference: str
    amount_minor: int
    currency: str
    response_code: str
    raw_status: str
    decline_code: str | None = None
    challenge_id: str | None = None
    network_transaction_id: str | None = None
    approval_code: str | None = None
    expires_at: str | None = None
    replayed: bool = False


class GatewayError(Exception):
    """No definite answer came of a request; the subclass says what is known."""


class GatewayRejected(GatewayError):
    """The gateway refused the request itself and did nothing. Repeating it unchanged cannot succeed.

    `status` is the HTTP status (or 0), `code` the gateway's stable word for the reason.
    """

    def __init__(self, code: str, detail: str, status: int = 0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status


class GatewayUnavailable(GatewayError):
    """The request was not sent (no connection, circuit open) or was turned away unread: nothing happened."""


class GatewayOutcomeUnknown(GatewayError):
    """The request left and no usable answer came back (timeout, dropped connection, 5xx): inquire with its key."""


class CardGateway(Protocol):
    """A card gateway. Each method returns a definite `GatewayResult` or raises one of the `GatewayError` family."""

    async def authorize(self, request: AuthorizeRequest) -> GatewayResult:
        """Authorize, and capture at once when `request.capture` is automatic."""
        ...

    async def capture(self, request: CaptureRequest) -> GatewayResult:
        """Capture part or all of an authorization; declined once it expired, was voided or is used up."""
        ...

    async def void(self, request: VoidRequest) -> GatewayResult:
        """Release what is not captured; declined when there is nothing left to release."""
        ...

    async def refund(self, request: RefundRequest) -> GatewayResult:
        """Refund part or all of what was captured; declined beyond that."""
        ...

    async def reverse(self, request: ReverseRequest) -> GatewayResult:
        """Undo or bar the operation of another key; approved also when it never arrived (amount 0)."""
        ...

    async def inquire(self, key: str) -> GatewayResult | None:
        """Return the stored answer for `key`, or None when the gateway has not seen it (so far).

        Raises `GatewayOutcomeUnknown` for every failure to get an answer, an unreachable gateway included: an inquiry
        that failed leaves the outcome as unknown as it was.
        """
        ...
