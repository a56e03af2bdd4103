"""Upkeep of the ledger that no payment waits for.

Invariant: it changes nothing that readers could see before: an expired hold counts no more from its moment on, released or not.
"""

from __future__ import annotations

from typing import Protocol

from temporalio import activity

EXPIRE_AT_ONCE = 1_000
"""Holds released by one statement."""

EXPIRE_ROUNDS_MAX = 100
"""Statements of one sweep; the next sweep goes on."""


class ExpiringHolds(Protocol):
    """The holds of a ledger."""

    async def expire_due(self, limit: int) -> int:
        """Release at most `limit` holds past their time and return how many it were."""
        ...


class LedgerUpkeepActivities:
    """Sweeps expired holds."""

    def __init__(self, holds: ExpiringHolds) -> None:
        self._holds = holds

    @activity.defn
    async def expire_holds(self) -> int:
        """Release holds past their time; return how many."""
        released = 0
        for _ in range(EXPIRE_ROUNDS_MAX):
            swept = await self._holds.expire_due(EXPIRE_AT_ONCE)
            released += swept
            activity.heartbeat(released)
            if swept < EXPIRE_AT_ONCE:
                break
        return released
