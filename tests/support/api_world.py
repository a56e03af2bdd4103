"""The real application on a real database and a real Temporal server, with a worker in this process and a gateway in memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.worker import Worker

from api.app import create_app
from api.resident import Resident
from api.services import Services
from domain.ledger.entries import JournalEntry, post
from infra.local.temporal import LocalTemporal
from infra.postgres import api_keys
from infra.postgres.payment_book import PostgresPaymentBook
from infra.postgres.pool import open_pool
from infra.settings import Settings
from tests.support.database import Database
from tests.support.fake_gateway import FakeGateway
from workers.registry import WORKFLOWS, payment_activities, sandbox

BASE_URL = "http://api.test"
TENANT = "default"
OTHER_TENANT = "other"
PATIENCE_S = 30.0


def new_key() -> str:
    """Return an Idempotency-Key that was never used."""
    return str(uuid.uuid4())


def card(source: str = "tok_good") -> dict[str, str]:
    """A card that the gateway accepts, unless told otherwise."""
    return {"type": "card", "token": source}


def wallet(account: str) -> dict[str, str]:
    """An account that pays."""
    return {"type": "wallet", "account": account}


async def make_key(database: Database, tenant_id: str) -> str:
    """Make an API key, and its tenant if need be, as `clearhold keys create` does."""
    async with await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as connection:
        await api_keys.create_tenant(connection, tenant_id, tenant_id)
        _, token = await api_keys.create_key(connection, tenant_id, "test", "tests")
    return token


@dataclass
class ApiWorld:
    """The application, who calls it, and what stands behind it."""

    app: FastAPI
    http: httpx.AsyncClient
    settings: Settings
    database: Database
    temporal: Client
    gateway: FakeGateway
    token: str
    other_token: str
    _worker: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    # Calls

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(path, **options)

    async def post(
        self, path: str, body: Any = None, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """POST JSON with an Idempotency-Key (a new one unless given)."""
        sent = {"Idempotency-Key": key or new_key(), **(headers or {})}
        return await self.http.post(path, json={} if body is None else body, headers=sent)

    async def pay(
        self, *, key: str | None = None, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Create a payment of 29.33 USD by card, unless told otherwise."""
        wanted = {"amount": 2933, "currency": "USD", "account": "merchant", "payment_method": card()} | body
        return await self.post("/v1/payments", wanted, key=key, headers=headers)

    async def paid(self, **body: Any) -> dict[str, Any]:
        """Create a payment that must be answered 201, and return it."""
        answer = await self.pay(**body)
        assert answer.status_code == 201, answer.text
        payment: dict[str, Any] = answer.json()
        return payment

    async def authorized(self, **body: Any) -> dict[str, Any]:
        """Create a payment that waits for its capture."""
        payment = await self.paid(capture_method="manual", **body)
        assert payment["status"] == "requires_capture", payment
        return payment

    async def open_account(self, account_id: str, currency: str = "USD", **body: Any) -> None:
        answer = await self.http.post("/v1/accounts", json={"id": account_id, "currency": currency} | body)
        assert answer.status_code == 201, answer.text

    async def fund(self, account_id: str, minor: int, currency: str = "USD") -> None:
        """Give an account money, as if a card had paid it."""
        key = f"fund:{uuid.uuid4()}"
        transfer = post(key, f"clearing:sandbox:{currency}", account_id, minor, currency)
        (outcome,) = await self.services.ledger.apply([JournalEntry(TENANT, key, (transfer,))])
        assert outcome.result.booked

    async def until_status(self, path: str, status: str) -> None:
        """Return when the payment at the path has the status; raises TimeoutError after PATIENCE_S."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.get(path)).json()["status"] != status:
                await asyncio.sleep(0.05)

    async def balance(self, account_id: str) -> int:
        answer = await self.get(f"/v1/accounts/{account_id}/balances")
        available: int = answer.json()["available"]
        return available

    # What stands behind it

    async def start_worker(self) -> None:
        """Serve payments in this process."""
        pool = await self._worker.enter_async_context(open_pool(self.settings, "worker"))
        book = await self._worker.enter_async_context(PostgresPaymentBook(pool))
        await self._worker.enter_async_context(
            Worker(
                self.temporal,
                task_queue=self.settings.payment_task_queue,
                workflows=WORKFLOWS,
                activities=payment_activities(book, {"sandbox": self.gateway}),
                workflow_runner=sandbox(),
            )
        )

    async def stop_worker(self) -> None:
        """Let nobody serve payments."""
        await self._worker.aclose()

    async def count(self, table: str) -> int:
        """Count the rows of a table."""
        async with await psycopg.AsyncConnection.connect(self.database.owner_url) as connection:
            row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()  # noqa: S608
        assert row is not None
        return int(row[0])

    async def execute(self, statement: str, *values: Any) -> None:
        """Run a statement as the superuser."""
        async with await psycopg.AsyncConnection.connect(self.database.superuser_url, autocommit=True) as connection:
            await connection.execute(statement, values)


@asynccontextmanager
async def serving(settings: Settings, resident: Resident | None = None) -> AsyncIterator[FastAPI]:
    """Run the application's lifespan."""
    app = create_app(settings, resident)
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def calling(app: FastAPI, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """Call the application in this process with an API key."""
    headers = {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=headers, timeout=60) as http:
        yield http


@asynccontextmanager
async def api_world(
    database: Database,
    server: LocalTemporal,
    temporal: Client,
    *,
    worker: bool = True,
    resident: Callable[[Settings, FakeGateway], Resident] | None = None,
    **changes: Any,
) -> AsyncIterator[ApiWorld]:
    """Serve the API over a database; `changes` are settings. There is a merchant and a guest with a wallet, both in USD.

    `worker` serves payments beside the API; `resident` makes the worker that lives within it.
    """
    settings = Settings(
        database_url=database.app_url,
        database_pool_min=0,
        temporal_address=server.address,
        temporal_ui_url=server.ui_url,
        payment_task_queue=f"api-{uuid.uuid4().hex}",
        loan_task_queue=f"api-loans-{uuid.uuid4().hex}",
        **changes,
    )
    token, other = await make_key(database, TENANT), await make_key(database, OTHER_TENANT)
    gateway = FakeGateway()
    lodger = resident(settings, gateway) if resident else None
    async with serving(settings, lodger) as app, calling(app, token) as http:
        world = ApiWorld(app, http, settings, database, temporal, gateway, token, other)
        await world.open_account("merchant")
        await world.open_account("guest")
        if worker:
            await world.start_worker()
        try:
            yield world
        finally:
            await world.stop_worker()
