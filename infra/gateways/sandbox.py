"""The card gateway port, spoken to the sandbox bank.

Invariant: one HTTP request per call, never repeated here; what is known after a failure is in the exception's class.
"""

from typing import Any

from activities.gateway_port import (
    AuthorizeRequest,
    CaptureRequest,
    GatewayOperation,
    GatewayOutcome,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayResult,
    GatewayUnavailable,
    RefundRequest,
    ReverseRequest,
    VoidRequest,
)
from infra.gateways.bank_client import BankCallError, BankClient, BankReply, NoAnswer, NotSent, Refused


class SandboxGateway:
    """A `CardGateway` over a `BankClient`, which the caller opens and closes."""

    def __init__(self, client: BankClient) -> None:
        self._client = client

    async def authorize(self, request: AuthorizeRequest) -> GatewayResult:
        """Authorize, and capture at once when `request.capture` is automatic."""
        body = {
            "reference": request.payment_id,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "token": request.payment_method_token,
            "capture": request.capture,
            "challenge_id": request.challenge_id,
        }
        return await self._send("/authorizations", request.key, body)

    async def capture(self, request: CaptureRequest) -> GatewayResult:
        """Capture part or all of an authorization."""
        body = {
            "reference": request.payment_id,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "final": request.final,
        }
        return await self._send(f"/authorizations/{request.gateway_reference}/captures", request.key, body)

    async def void(self, request: VoidRequest) -> GatewayResult:
        """Release what is not captured."""
        body = {"reference": request.payment_id}
        return await self._send(f"/authorizations/{request.gateway_reference}/void", request.key, body)

    async def refund(self, request: RefundRequest) -> GatewayResult:
        """Refund part or all of what was captured."""
        body = {
            "reference": request.payment_id,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
        }
        return await self._send(f"/authorizations/{request.gateway_reference}/refunds", request.key, body)

    async def reverse(self, request: ReverseRequest) -> GatewayResult:
        """Undo or bar the authorization of another key."""
        body = {"reference": request.payment_id, "original_key": request.original_key}
        return await self._send("/reversals", request.key, body)

    async def inquire(self, key: str) -> GatewayResult | None:
        """Return the stored answer for `key`, or None; raises `GatewayOutcomeUnknown` for any failure to learn it."""
        try:
            reply = await self._client.find_operation(key)
        except BankCallError as error:
            raise GatewayOutcomeUnknown(f"inquiry failed: {error}") from error
        return None if reply is None else _read(BankReply(reply.body, replayed=True))

    async def _send(self, path: str, key: str, body: dict[str, Any]) -> GatewayResult:
        try:
            return _read(await self._client.post(path, body, key))
        except NotSent as error:
            raise GatewayUnavailable(str(error)) from error
        except NoAnswer as error:
            raise GatewayOutcomeUnknown(str(error)) from error
        except Refused as error:
            raise GatewayRejected(error.code, error.detail, error.status) from error


def _read(reply: BankReply) -> GatewayResult:
    """Read a decision; one we cannot read is an unknown outcome, for the bank may have acted."""
    body = reply.body
    try:
        return GatewayResult(
            operation=GatewayOperation(body["operation"]),
            outcome=GatewayOutcome(body["outcome"]),
            gateway_reference=body["authorization_id"],
            operation_reference=body["id"],
            amount_minor=body["amount_minor"],
            currency=body["currency"],
            response_code=body["response_code"],
            raw_status=body["authorization_status"],
            decline_code=body["decline_code"],
            challenge_id=body.get("challenge_id"),
            network_transaction_id=body.get("network_transaction_id"),
            approval_code=body.get("approval_code"),
            expires_at=body.get("expires_at"),
            replayed=reply.replayed,
        )
    except (KeyError, ValueError) as error:
        raise GatewayOutcomeUnknown(f"the bank's answer cannot be read: {error!r}") from error
