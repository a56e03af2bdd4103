"""The scheduled search for payments whose workflow is gone."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.worker import Worker

from activities.ledger_upkeep import LedgerUpkeepActivities
from activities.reconciliation import OpenSaga, Page, ReconciliationActivities
from tests.replay.paths_card import authorized
from tests.replay.scene import Scene, path
from tests.support.fake_book import FakePaymentBook
from tests.support.payment_world import card_payment
from workers.control import TemporalWorkflowControl
from workers.registry import sandbox
from workflows.payments.messages import CancelPayment
from workflows.payments.payment import PaymentWorkflow
from workflows.payments.reconciliation import ReconciliationOrder, ReconciliationWorkflow


@dataclass
class BookOfOpenSagas:
    """The open payments of a fake book, in pages."""

    book: FakePaymentBook

    async def page(self, page: Page) -> list[OpenSaga]:
        rows = sorted(self.book.payments.items())
        left = [OpenSaga(row) for key, row in rows if key > page.after and not row.status.is_final]
        return left[: page.limit]


class TwoExpiredHolds:
    """A ledger in which two holds are past their time."""

    async def expire_due(self, limit: int) -> int:
        return min(2, limit)


@path
async def reconciled(scene: Scene) -> None:
    """Two pages: a payment that runs, and one whose run was terminated, which is recovered. Then expired holds are released."""
    running = await scene.world.pay(card_payment(id=f"pay_{scene.name}_running"), confirm=False)
    lost = await authorized(scene)
    await lost.terminate("by hand")
    queue = f"{scene.world.task_queue}-reconciliation"
    control = TemporalWorkflowControl(scene.world.client, scene.world.task_queue)
    activities = ReconciliationActivities(BookOfOpenSagas(scene.world.book), control)
    async with Worker(
        scene.world.client,
        task_queue=queue,
        workflows=[ReconciliationWorkflow],
        activities=[activities.reconcile_page, LedgerUpkeepActivities(TwoExpiredHolds()).expire_holds],
        workflow_runner=sandbox(),
    ):
        started = await scene.world.client.start_workflow(
            ReconciliationWorkflow.run,
            ReconciliationOrder(page_size=1),
            id=f"reconciliation_{scene.name}",
            task_queue=queue,
        )
        scene.kept = {scene.name: started}
        report = await started.result()
    assert report.recovered == [lost.id]
    assert report.holds_expired == 2
    await scene.world.handle(lost.id).result()
    await scene.world.handle(running.id).execute_update(PaymentWorkflow.cancel, CancelPayment())
