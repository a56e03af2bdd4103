"""The worker that may live in this process, as the API sees it.

Invariant: the API never needs it. Without one, or while it does not serve, starts go to the workers elsewhere.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol

import structlog
from temporalio.client import Client

from api.temporal_link import TemporalLink
from domain.payments.payment import Payment

RESTART_INTERVAL_S = 5.0
"""How long after it failed a worker within this process is started again."""

log = structlog.get_logger(__name__)


class Resident(Protocol):
    """A worker of payments in this process."""

    @property
    def takes_starts(self) -> bool:
        """Whether it serves now."""
        ...

    def expect(self, payment_id: str) -> AbstractContextManager[asyncio.Future[Payment]]:
        """Give out a future that gets the payment once this process has written it at rest, while the block runs."""
        ...

    async def serve(self, client: Client) -> None:
        """Serve until cancelled; raises what ended it otherwise."""
        ...


async def keep_serving(resident: Resident, link: TemporalLink) -> None:
    """Let it serve once Temporal is reached, and again when it failed, until cancelled."""
    client = await link.connected()
    while True:
        try:
            await resident.serve(client)
        except Exception:
            log.exception("the worker within the API failed; starts go to the others", again_in_s=RESTART_INTERVAL_S)
        await asyncio.sleep(RESTART_INTERVAL_S)
