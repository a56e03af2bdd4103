"""`python -m workers`: one worker process. It serves until SIGTERM or SIGINT, then finishes what it holds.

Invariant: a worker may be killed at any moment; it keeps nothing that Temporal or the database does not have.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
import uvloop
from temporalio.worker import Worker

from activities.ledger_upkeep import LedgerUpkeepActivities
from activities.loan_reconciliation import LoanReconciliationActivities
from activities.reconciliation import ReconciliationActivities
from infra import garbage
from infra.gateways.credit_bureau import SandboxBureau
from infra.gateways.screening import SandboxScreening
from infra.postgres.ledger import PostgresLedger
from infra.postgres.loan_accrual import PostgresLoanAccrual
from infra.postgres.loan_book import PostgresLoanBook
from infra.postgres.loan_clock import PostgresLoanClock
from infra.postgres.open_loans import PostgresOpenLoans
from infra.postgres.open_sagas import PostgresOpenSagas
from infra.postgres.payment_book import PostgresPaymentBook
from infra.postgres.pool import open_pool
from infra.postgres.review_counts import count_reviews
from infra.settings import Settings, get_settings
from infra.telemetry import configure_logging, configure_tracing
from infra.temporal_client import connect, runtime_with_metrics
from infra.temporal_visits import skip_idle_visits
from workers.adapters import gateways_at, open_bank, worker_options
from workers.control import TemporalWorkflowControl, count_loans_needing_a_person
from workers.health import health_server
from workers.loan_control import TemporalLoanControl
from workers.registry import LOAN_WORKFLOWS, WORKFLOWS, loan_activities, payment_activities
from workers.review_watch import watching_reviews
from workers.schedules import ensure_schedules

SERVICE = "clearhold-worker"
log = structlog.get_logger(__name__)


@asynccontextmanager
async def running_worker(settings: Settings) -> AsyncIterator[None]:
    """Serve, over the real adapters, while the block runs."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings, "worker"))
        book = await stack.enter_async_context(PostgresPaymentBook(pool))
        bank = await stack.enter_async_context(open_bank(settings))
        runtime = runtime_with_metrics(settings.worker_host, settings.worker_metrics_port)
        client = await connect(settings, runtime)
        control = TemporalWorkflowControl(client, settings.payment_task_queue)
        reconciliation = ReconciliationActivities(PostgresOpenSagas(pool), control)
        loan_reconciliation = LoanReconciliationActivities(PostgresOpenLoans(pool), TemporalLoanControl(client))
        options = worker_options(settings)
        payments = Worker(
            client,
            task_queue=settings.payment_task_queue,
            workflows=WORKFLOWS,
            activities=[
                *payment_activities(book, gateways_at(bank)),
                reconciliation.reconcile_page,
                LedgerUpkeepActivities(PostgresLedger(pool)).expire_holds,
            ],
            **options,
        )
        loans = Worker(
            client,
            task_queue=settings.loan_task_queue,
            workflows=LOAN_WORKFLOWS,
            activities=[
                *loan_activities(
                    PostgresLoanBook(pool),
                    SandboxScreening(bank),
                    SandboxBureau(),
                    PostgresLoanAccrual(pool),
                    PostgresLoanClock(pool, client),
                ),
                loan_reconciliation.reconcile_loans,
            ],
            **options,
        )
        await stack.enter_async_context(
            health_server(
                settings.worker_host, settings.worker_health_port, lambda: payments.is_running and loans.is_running
            )
        )
        if runtime is not None:
            await stack.enter_async_context(
                watching_reviews(
                    runtime.metric_meter, partial(count_reviews, pool), partial(count_loans_needing_a_person, client)
                )
            )
        await ensure_schedules(client, settings)
        async with payments, loans:
            yield


async def serve(settings: Settings) -> None:
    """Run a worker until the process is told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_worker(settings):
        log.info("worker serves", task_queues=[settings.payment_task_queue, settings.loan_task_queue])
        await stop.wait()
        log.info("worker stops")


def main() -> None:
    """Configure this process and serve."""
    settings = get_settings()
    configure_logging(settings, SERVICE)
    provider = configure_tracing(settings, SERVICE)
    skip_idle_visits()
    garbage.settle()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    finally:
        provider.shutdown()


if __name__ == "__main__":
    main()
