"""What a payment asks of its gateway on the way forward, and what operators see meanwhile.

Invariant: an answer that was lost is written down before the gateway is asked what became of the request.
"""

from __future__ import annotations

from typing import Any

from activities.gateway_port import GatewayResult
from domain.payments.record import Operation
from workflows.payments.gateway_call import GatewayCall, GatewayMethod
from workflows.payments.journal import PaymentJournal
from workflows.saga import Saga


class PaymentGateway:
    """The gateway of one payment."""

    def __init__(self, journal: PaymentJournal, saga: Saga) -> None:
        self._journal = journal
        self._saga = saga

    def show(self, step: str) -> None:
        """Tell operators what is being done, and what would be undone if it failed."""
        self._journal.step = step
        self._journal.show("", None, self._saga.names)

    async def send(
        self, method: GatewayMethod, request: Any, summary: str, operation: Operation, *, first: bool
    ) -> GatewayResult:
        """Send the request of an operation and return its definite answer. `first` and errors: see `GatewayCall.send`."""

        async def note_unknown(reason: str) -> None:
            await self._journal.write_unknown(operation, reason)
            self.show(self._journal.step)

        gateway = self._journal.payment.gateway
        call = GatewayCall(method, gateway, request, summary, on_unknown=note_unknown, on_wait=self._journal.publish)
        return await call.send(first=first)
