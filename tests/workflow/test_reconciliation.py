"""Reconciliation over more rows than one run may look at, and more recoveries than a report names."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from temporalio.client import Client
from temporalio.worker import Worker

from activities.ledger_upkeep import LedgerUpkeepActivities
from activities.reconciliation import OpenSaga, Page, ReconciliationActivities
from tests.support.payment_world import card_payment
from workers.registry import sandbox
from workflows.payments import reconciliation
from workflows.payments.reconciliation import NAMED_MAX, ReconciliationOrder, ReconciliationWorkflow


@dataclass
class Rows:
    """So many open rows; nothing carries those whose number divides by `every`."""

    count: int
    every: int
    recovered: list[str] = field(default_factory=list)

    async def page(self, page: Page) -> list[OpenSaga]:
        sagas = (OpenSaga(card_payment(id=f"pay_{number:06}")) for number in range(self.count))
        return [saga for saga in sagas if saga.workflow_id > page.after][: page.limit]

    async def is_running(self, workflow_id: str) -> bool:
        return int(workflow_id.removeprefix("pay_")) % self.every != 0

    async def recover(self, saga: OpenSaga) -> None:
        self.recovered.append(saga.workflow_id)

    async def expire_due(self, limit: int) -> int:
        return min(3, limit)


async def reconcile(
    client: Client, rows: Rows, order: ReconciliationOrder
) -> tuple[reconciliation.ReconciliationReport, int]:
    """Run it to its end; return the report and how many runs it took."""
    queue = f"reconciliation-{uuid.uuid4().hex}"
    activities = ReconciliationActivities(rows, rows)
    async with Worker(
        client,
        task_queue=queue,
        workflows=[ReconciliationWorkflow],
        activities=[activities.reconcile_page, LedgerUpkeepActivities(rows).expire_holds],
        workflow_runner=sandbox(),
    ):
        handle = await client.start_workflow(ReconciliationWorkflow.run, order, id=queue, task_queue=queue)
        report = await handle.result()
    runs, run_id = 0, handle.first_execution_run_id
    while run_id:
        runs += 1
        *_, last = (await client.get_workflow_handle(queue, run_id=run_id).fetch_history()).events
        run_id = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return report, runs


async def test_what_one_run_does_not_reach_the_next_goes_on_with(client: Client) -> None:
    rows = Rows(count=23, every=5)
    report, runs = await reconcile(client, rows, ReconciliationOrder(grace_s=0, page_size=5, max_pages=2))
    assert runs == 3
    assert report.looked_at == 23
    assert report.recovered == rows.recovered == [f"pay_{number:06}" for number in (0, 5, 10, 15, 20)]
    assert (report.recovered_count, report.holds_expired) == (5, 3)


async def test_a_report_names_a_bounded_number_and_counts_the_others(client: Client) -> None:
    rows = Rows(count=NAMED_MAX + 50, every=1)
    report, _ = await reconcile(client, rows, ReconciliationOrder(grace_s=0, page_size=500))
    assert len(report.recovered) == NAMED_MAX
    assert report.recovered_count == len(rows.recovered) == NAMED_MAX + 50
