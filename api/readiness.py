"""Whether this process can do its work, and if not, which dependency is missing.

Invariant: a probe costs at most one look per PROBE_INTERVAL_S however often it is asked, uses none of the connections that
requests need, and always answers within its bound.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

import psycopg
from pydantic import BaseModel, Field

from api.payments.engine import PaymentEngine
from infra.settings import Settings

PROBE_INTERVAL_S = 1.0
DATABASE_TIMEOUT_S = 2.0


class DependencyView(BaseModel):
    """One dependency."""

    status: Literal["up", "down", "unknown"]
    detail: str = Field(description="What was found.")


class ReadinessView(BaseModel):
    """Whether the API can serve.

    Workers in processes of their own are told for information. Without them loans wait, and payments whose gateway is slow, or
    all of them where none run within the API; but they are taken.
    """

    status: Literal["ready", "not_ready"]
    database: DependencyView
    temporal: DependencyView
    workers: DependencyView


@dataclass(frozen=True, slots=True)
class _Probed:
    view: ReadinessView
    at: float


class Readiness:
    """Looks at the dependencies."""

    def __init__(self, settings: Settings, engine: PaymentEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._last: _Probed | None = None
        self._lock = asyncio.Lock()

    async def look(self) -> ReadinessView:
        """Return what was found within the last PROBE_INTERVAL_S."""
        async with self._lock:
            if self._last is None or time.monotonic() - self._last.at > PROBE_INTERVAL_S:
                self._last = _Probed(await self._probe(), time.monotonic())
            return self._last.view

    async def _probe(self) -> ReadinessView:
        database, temporal = await asyncio.gather(self._database(), self._engine.is_healthy())
        pollers = await self._engine.count_pollers() if temporal else None
        if pollers is None:
            workers = DependencyView(status="unknown", detail="Temporal did not say")
        else:
            workers = DependencyView(
                status="up" if pollers else "down",
                detail=f"{pollers} poll {self._settings.payment_task_queue}",
            )
        return ReadinessView(
            status="ready" if temporal and database.status == "up" else "not_ready",
            database=database,
            temporal=DependencyView(
                status="up" if temporal else "down", detail="answers" if temporal else "does not answer"
            ),
            workers=workers,
        )

    async def _database(self) -> DependencyView:
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S):
                connection = await psycopg.AsyncConnection.connect(
                    self._settings.database_url, autocommit=True, application_name="clearhold api probe"
                )
                async with connection:
                    await connection.execute("SELECT 1 FROM api_keys LIMIT 1")
        except TimeoutError:
            return DependencyView(status="down", detail=f"no answer within {DATABASE_TIMEOUT_S:g} s")
        except psycopg.errors.UndefinedTable:
            return DependencyView(status="down", detail="it is not migrated to this version")
        except psycopg.Error as error:
            return DependencyView(status="down", detail=f"does not answer ({type(error).__name__})")
        return DependencyView(status="up", detail="answers")
