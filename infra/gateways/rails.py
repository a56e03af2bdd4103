"""The bank rail port, spoken to the sandbox bank.

Invariant: one HTTP request per call, never repeated here; what is known after a failure is in the exception's class.
"""

from typing import Any

from activities.rail_port import (
    CollectionRequest,
    PayoutRequest,
    RailOperation,
    RailOutcome,
    RailOutcomeUnknown,
    RailRejected,
    RailResult,
    RailUnavailable,
)
from infra.gateways.bank_client import BankCallError, BankClient, BankReply, NoAnswer, NotSent, Refused


class SandboxRail:
    """A `BankRail` over a `BankClient`, which the caller opens and closes."""

    def __init__(self, client: BankClient) -> None:
        self._client = client

    async def pay_out(self, request: PayoutRequest) -> RailResult:
        """Send money to an account."""
        body = {
            "reference": request.reference,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "account": request.account,
        }
        return await self._send("/payouts", request.key, body)

    async def collect(self, request: CollectionRequest) -> RailResult:
        """Pull money under a mandate."""
        body = {
            "reference": request.reference,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "mandate": request.mandate,
        }
        return await self._send("/collections", request.key, body)

    async def inquire(self, key: str) -> RailResult | None:
        """Return the stored answer for `key`, or None; raises `RailOutcomeUnknown` for any failure to learn it."""
        try:
            reply = await self._client.find_operation(key)
        except BankCallError as error:
            raise RailOutcomeUnknown(f"inquiry failed: {error}") from error
        return None if reply is None else _read(BankReply(reply.body, replayed=True))

    async def _send(self, path: str, key: str, body: dict[str, Any]) -> RailResult:
        try:
            return _read(await self._client.post(path, body, key))
        except NotSent as error:
            raise RailUnavailable(str(error)) from error
        except NoAnswer as error:
            raise RailOutcomeUnknown(str(error)) from error
        except Refused as error:
            raise RailRejected(error.code, error.detail, error.status) from error


def _read(reply: BankReply) -> RailResult:
    """Read a decision; one we cannot read is an unknown outcome, for the bank may have acted."""
    body = reply.body
    try:
        return RailResult(
            operation=RailOperation(body["operation"]),
            outcome=RailOutcome(body["outcome"]),
            rail_reference=body["id"],
            amount_minor=body["amount_minor"],
            currency=body["currency"],
            status=body["status"],
            reason=body["reason"],
            reason_code=body["reason_code"],
            return_code=body["return_code"],
            replayed=reply.replayed,
        )
    except (KeyError, ValueError) as error:
        raise RailOutcomeUnknown(f"the bank's answer cannot be read: {error!r}") from error
