"""A worker that lives in the API's process and takes the first step of the payments that this process starts.

Temporal hands the first workflow task back with the answer to the start when a worker of the same connection has a place for it
(eager start): neither a queue nor a poll lies between, and what the step wrote is known here without asking Temporal for it.

Invariant: it is a worker like any other. Killed with its process it leaves its tasks to the others; activities that may take
long (calls to a gateway that is slow, reconciliation) are left to them from the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager, AsyncExitStack

import structlog
from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker

from activities.gateway_port import CardGateway
from domain.payments.payment import Payment
from infra.postgres.payment_book import PostgresPaymentBook
from infra.postgres.pool import open_pool
from infra.settings import Settings
from workers.adapters import gateways_at, open_bank, worker_options
from workers.registry import WORKFLOWS, payment_activities
from workers.rest_watch import RestWatch, WatchedBook

PLACES = 2
"""Places for each start that may be under way: a client is answered, and the next let in, before Temporal has the task back."""

POLLS = 5
"""Polls for workflow tasks at once. Each holds a place; what was not started here is not looked for eagerly."""

NEW_SHARE = 0.2
"""The share of polls for workflows that live nowhere yet; the others are for those in this worker's cache."""

log = structlog.get_logger(__name__)


class ResidentWorker:
    """The payments' worker of an API process. `serve` runs it; the rest may be asked at any time."""

    def __init__(self, settings: Settings, gateways: Mapping[str, CardGateway] | None = None) -> None:
        """`gateways` None: those that the settings name."""
        self._settings = settings
        self._gateways = gateways
        self._watch = RestWatch()
        self._worker: Worker | None = None

    @property
    def takes_starts(self) -> bool:
        """Whether it serves now."""
        return self._worker is not None and self._worker.is_running

    def expect(self, payment_id: str) -> AbstractContextManager[asyncio.Future[Payment]]:
        """Give out a future that gets the payment once this process has written it at rest, while the block runs."""
        return self._watch.expect(payment_id)

    async def serve(self, client: Client) -> None:
        """Serve until cancelled; then finish what is held. Raises what ended the worker otherwise."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(open_pool(settings, "api worker"))
            book = await stack.enter_async_context(PostgresPaymentBook(pool))
            gateways = self._gateways or gateways_at(await stack.enter_async_context(open_bank(settings)))
            options = worker_options(settings) | {
                "max_concurrent_workflow_tasks": settings.worker_max_workflow_tasks + PLACES * settings.api_starts_max,
                "workflow_task_poller_behavior": PollerBehaviorSimpleMaximum(POLLS),
                "nonsticky_to_sticky_poll_ratio": NEW_SHARE,
            }
            worker = Worker(
                client,
                task_queue=settings.payment_task_queue,
                workflows=WORKFLOWS,
                activities=payment_activities(WatchedBook(book, self._watch), gateways),
                no_remote_activities=True,
                **options,
            )
            self._worker = worker
            log.info("a worker serves within the API", task_queue=settings.payment_task_queue)
            try:
                await worker.run()  # cancelled, it finishes what it holds
            finally:
                self._worker = None
