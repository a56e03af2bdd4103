"""What the routes work with: one set per process, made when it starts and let go when it ends.

Invariant: nothing connects before the process serves (never before a fork), and routes reach the outside only through this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request

from api.accounts.directory import AccountDirectory
from api.authentication import Authenticator
from api.in_flight import InFlight
from api.loans.engine import LoanEngine
from api.loans.presenter import LoanPresenter
from api.payments.engine import PaymentEngine
from api.payments.presenter import PaymentPresenter
from api.readiness import Readiness
from api.resident import Resident, keep_serving
from api.temporal_link import TemporalLink
from infra.postgres.account_reads import AccountReads
from infra.postgres.idempotency import PRUNE_LIMIT, IdempotencyKeys
from infra.postgres.ledger import PostgresLedger
from infra.postgres.loan_reads import LoanReads
from infra.postgres.payment_reads import PaymentReads
from infra.postgres.pool import Pool, open_pool
from infra.settings import Settings

PRUNE_INTERVAL_S = 3600.0
"""How often keys that are too old are forgotten."""


@dataclass(slots=True)
class Services:
    """Everything behind the routes."""

    settings: Settings
    pool: Pool
    engine: PaymentEngine
    keys: IdempotencyKeys
    payments: PaymentReads
    accounts: AccountReads
    directory: AccountDirectory
    ledger: PostgresLedger
    authenticator: Authenticator
    presenter: PaymentPresenter
    readiness: Readiness
    loan_engine: LoanEngine
    loans: LoanReads
    loan_presenter: LoanPresenter
    in_flight: InFlight
    _mending: asyncio.Task[None] | None = field(default=None, init=False)

    def mend_connections(self) -> None:
        """Look at every idle connection, so that after a restart of the database not each of them fails a request first."""
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(self.pool.check())

    async def close(self) -> None:
        """Stop what runs in the background."""
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait({self._mending})


@asynccontextmanager
async def open_services(
    settings: Settings, in_flight: InFlight, resident: Resident | None = None
) -> AsyncIterator[Services]:
    """Open the pool and the link to Temporal; either may be away for now."""
    link = TemporalLink(settings)
    pool = open_pool(settings, "api")
    await pool.open(wait=False)
    try:
        await link.open()
        accounts, keys = AccountReads(pool), IdempotencyKeys(pool)
        engine = PaymentEngine(link, settings, resident)
        ui = f"{settings.temporal_ui_url.rstrip('/')}/namespaces/{settings.temporal_namespace}/workflows"
        background = {asyncio.create_task(_prune(keys))}
        if resident is not None:
            background.add(asyncio.create_task(keep_serving(resident, link)))
        try:
            services = Services(
                settings=settings,
                pool=pool,
                engine=engine,
                keys=keys,
                payments=PaymentReads(pool),
                accounts=accounts,
                directory=AccountDirectory(accounts),
                ledger=PostgresLedger(pool),
                authenticator=Authenticator(pool),
                presenter=PaymentPresenter(ui),
                readiness=Readiness(settings, engine),
                loan_engine=LoanEngine(link, settings),
                loans=LoanReads(pool),
                loan_presenter=LoanPresenter(ui),
                in_flight=in_flight,
            )
            yield services
            await services.close()
        finally:
            for task in background:
                task.cancel()
            await asyncio.wait(background)
    finally:
        await link.close()
        await pool.close()


async def _prune(keys: IdempotencyKeys) -> None:
    """Forget old keys now and then; a failure is only a delay."""
    while True:
        with suppress(psycopg.Error, PoolTimeout):
            forgotten = PRUNE_LIMIT
            while forgotten == PRUNE_LIMIT:
                forgotten = await keys.prune()
        await asyncio.sleep(PRUNE_INTERVAL_S)


def services_of(request: Request) -> Services:
    """Return the services of the process that handles the request."""
    return cast(Services, request.app.state.services)
