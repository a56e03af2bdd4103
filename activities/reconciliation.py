"""Finding payments and refunds that nothing carries any more, and giving them a workflow again.

Invariant: only a saga whose row is open and whose workflow has ended is touched; a running workflow owns its payment. What no
code inside a workflow can catch, its termination, is caught here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from temporalio import activity

from domain.payments.payment import Payment
from domain.payments.refund import Refund

RECOVERED = "clearhold_sagas_recovered_total"
RECOVERED_COUNTS = "Payments, refunds and loans whose workflow was gone."


@dataclass(frozen=True, slots=True)
class OpenSaga:
    """An open payment (`refund` None) or an open refund of `payment`, unchanged for longer than the grace."""

    payment: Payment
    refund: Refund | None = None

    @property
    def workflow_id(self) -> str:
        """The id of the workflow that should carry it."""
        return self.payment.id if self.refund is None else self.refund.id


@dataclass(frozen=True, slots=True)
class Page:
    """Open sagas unchanged for at least `grace_s` seconds, `limit` of them, whose id comes after `after`."""

    grace_s: float
    limit: int
    after: str = ""


@dataclass(frozen=True, slots=True)
class PageReport:
    """What one page held: how many sagas were looked at, which were recovered, and where the next page starts."""

    looked_at: int
    recovered: list[str] = field(default_factory=list)
    after: str | None = None


class OpenSagas(Protocol):
    """The rows of payments and refunds that have not ended."""

    async def page(self, page: Page) -> list[OpenSaga]:
        """Return a page in the order of workflow ids."""
        ...


class WorkflowControl(Protocol):
    """What is asked of Temporal itself."""

    async def is_running(self, workflow_id: str) -> bool:
        """Tell whether a workflow of that id runs."""
        ...

    async def recover(self, saga: OpenSaga) -> None:
        """Start a workflow that undoes the payment, or carries on the refund; one that runs already stays."""
        ...


class ReconciliationActivities:
    """Compares open rows with running workflows."""

    def __init__(self, sagas: OpenSagas, control: WorkflowControl) -> None:
        self._sagas = sagas
        self._control = control

    @activity.defn
    async def reconcile_page(self, page: Page) -> PageReport:
        """Give every abandoned saga of a page a workflow again. Safe to repeat."""
        found = await self._sagas.page(page)
        recovered: list[str] = []
        abandoned = {"payment": 0, "refund": 0}
        for saga in found:
            activity.heartbeat(saga.workflow_id)
            if not await self._control.is_running(saga.workflow_id):
                await self._control.recover(saga)
                recovered.append(saga.workflow_id)
                abandoned["payment" if saga.refund is None else "refund"] += 1
        counter = activity.metric_meter().create_counter(RECOVERED, RECOVERED_COUNTS)
        for kind, number in abandoned.items():
            counter.add(number, {"kind": kind})  # also 0: a rate is only seen of a counter that was there before
        after = found[-1].workflow_id if len(found) == page.limit else None
        return PageReport(len(found), recovered, after)
