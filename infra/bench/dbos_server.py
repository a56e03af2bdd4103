"""`python -m infra.bench.dbos_server`: the card payment saga on DBOS behind the HTTP server that our API runs on.

Invariant: configured as well as ours. Async steps, no connection test before each statement, no listener it does not need,
no console log, a thread for each connection to its system database; durability as the server has it. It is spared what our
API does besides: no API key, no idempotency table (the workflow id does that), no trace.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import uvicorn
from dbos import DBOS, DBOSConfig, SetWorkflowID
from fastapi import FastAPI, Header, Response
from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.ids import clearing_account, payment_id
from domain.payments.payment import CaptureMethod, Payment, PaymentKind
from domain.payments.status import PaymentStatus
from infra import garbage
from infra.bench.dbos_saga import Adapters, pay
from infra.gateways.bank_client import BankClient, Timeouts
from infra.gateways.sandbox import SandboxGateway
from infra.local.readiness import LOOPBACK
from infra.postgres.payment_book import PostgresPaymentBook
from infra.postgres.pool import open_pool
from infra.settings import Settings, get_settings

GATEWAY = "sandbox"
SYSTEM_POOL_SIZE = 32
KEEP_ALIVE_S = 60


class Method(BaseModel):
    """A card by its token."""

    type: str
    token: str


class Order(BaseModel):
    """The same body as `POST /v1/payments` takes."""

    amount: int = Field(gt=0)
    currency: str = Field(pattern="^[A-Z]{3}$")
    account: str
    payment_method: Method
    capture_method: CaptureMethod


class Options(BaseSettings):
    """The system database of DBOS, and whose payments these are; from `BENCH_DBOS_*`, as every process of the server reads it."""

    model_config = SettingsConfigDict(env_prefix="BENCH_DBOS_")

    system_database_url: str
    tenant_id: str
    port: int
    processes: int = 1
    pool_size: int = SYSTEM_POOL_SIZE


def _payment(order: Order, tenant_id: str, key: str) -> Payment:
    payment = Payment(
        tenant_id=tenant_id,
        id=payment_id(tenant_id, key),
        kind=PaymentKind.CARD,
        amount_minor=order.amount,
        currency=order.currency,
        capture_method=order.capture_method,
        debit_account=clearing_account(GATEWAY, order.currency),
        credit_account=order.account,
        created_at=datetime.now(UTC),
        status=PaymentStatus.REQUIRES_CONFIRMATION,
        gateway=GATEWAY,
        payment_method=order.payment_method.token,
    )
    return payment.confirm()


def _config(options: Options) -> DBOSConfig:
    return DBOSConfig(
        name="clearhold-bench",
        system_database_url=options.system_database_url,
        sys_db_pool_size=options.pool_size,
        db_engine_kwargs={"pool_pre_ping": False},
        use_listen_notify=False,
        enable_otlp=False,
        log_level="ERROR",
        executor_id=f"process-{os.getpid()}",
    )


def create_app(settings: Settings, options: Options) -> FastAPI:
    """Return the application; DBOS runs while it does."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(options.pool_size))
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(open_pool(settings, "dbos"))
            timeouts = Timeouts(connect_s=settings.gateway_connect_timeout_s, read_s=settings.gateway_read_timeout_s)
            bank = await stack.enter_async_context(
                BankClient(settings.bank_url, timeouts, settings.gateway_connections_max)
            )
            Adapters.book = await stack.enter_async_context(PostgresPaymentBook(pool))
            Adapters.gateway = SandboxGateway(bank)
            DBOS(config=_config(options))
            await asyncio.to_thread(DBOS.launch)
            yield
            await asyncio.to_thread(DBOS.destroy)

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/v1/payments")
    async def create(order: Order, idempotency_key: Annotated[str, Header()]) -> Response:
        payment = _payment(order, options.tenant_id, idempotency_key)
        with SetWorkflowID(payment.id):
            handle = await DBOS.start_workflow_async(pay, payment)
        paid = await handle.get_result()
        return Response(orjson.dumps(_view(paid)), 201, media_type="application/json")

    return app


def _view(payment: Payment) -> dict[str, Any]:
    return {
        "id": payment.id,
        "status": payment.status,
        "amount": payment.amount_minor,
        "currency": payment.currency,
        "account": payment.credit_account,
        "amount_captured": payment.amount_captured_minor,
        "created_at": payment.created_at,
    }


def application() -> FastAPI:
    """Return the application of one process, as the environment says."""
    made = create_app(get_settings(), Options())
    garbage.settle()  # as our own processes do
    return made


def main() -> None:
    """Serve until SIGTERM."""
    options = Options()
    uvicorn.run(
        "infra.bench.dbos_server:application",
        factory=True,
        workers=options.processes,
        host=LOOPBACK,
        port=options.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
    )


if __name__ == "__main__":
    main()
