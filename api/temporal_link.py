"""The connection to Temporal of one API process.

Invariant: it is made in the event loop that serves, and in the background if need be, so that reads work while Temporal is away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from temporalio.client import Client

from api import problems
from api.problems import RETRY_AFTER, Problem
from infra.settings import Settings
from infra.temporal_client import connect, runtime_with_metrics

HEALTH_TIMEOUT_S = 2.0
"""How long Temporal may take to say that it is there."""

RECONNECT_INTERVAL_S = 1.0
"""Between two tries to reach it."""

Result = TypeVar("Result")
log = logging.getLogger(__name__)


class TemporalLink:
    """The connection to Temporal. Made in the background, so that reads work while Temporal is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runtime = runtime_with_metrics(settings.api_host, settings.api_worker_metrics_port)
        self._client: Client | None = None
        self._reached = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None

    @property
    def client(self) -> Client:
        """The client. Raises Problem 503 before the first connection."""
        if self._client is None:
            raise Problem(problems.ENGINE_UNAVAILABLE, "Temporal was not reached yet.", headers=RETRY_AFTER)
        return self._client

    async def open(self) -> None:
        """Connect, or keep trying in the background."""
        with suppress(RuntimeError, TimeoutError):
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await self._connect_once()
                return
        log.warning("Temporal at %s does not answer; trying on", self._settings.temporal_address)
        self._connecting = asyncio.create_task(self._connect())

    async def connected(self) -> Client:
        """Return the client, once there is one."""
        await self._reached.wait()
        return self.client

    async def close(self) -> None:
        """Stop trying, and let the client go."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        self._client = None

    async def _connect(self) -> None:
        while self._client is None:
            await asyncio.sleep(RECONNECT_INTERVAL_S)
            with suppress(RuntimeError):
                await self._connect_once()

    async def _connect_once(self) -> None:
        self._client = await connect(self._settings, self._runtime)
        self._reached.set()


async def within(seconds: float, call: Coroutine[Any, Any, Result]) -> Result:
    """Return the call's result, or raise TimeoutError after `seconds` and end the call.

    Unlike `asyncio.timeout` it is not misled by the SDK, which turns a cancellation into an error of its own.
    """
    task = asyncio.ensure_future(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
    if done:
        return task.result()
    with suppress(asyncio.CancelledError, Exception):  # it was given up
        await task
    raise TimeoutError
