"""Finding loans and test clocks that no workflow carries any more, and letting them go on.

Invariant: only one whose last run was ended by force is touched. One that runs or has come to its end is left alone; one that
cannot go on by itself is reported again by every run until a person has seen to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from temporalio import activity

from activities.reconciliation import RECOVERED, RECOVERED_COUNTS, Page

LOST = "clearhold_loans_lost_total"


@dataclass(frozen=True, slots=True)
class OpenLoan:
    """A loan or a test clock that a workflow of its id may have to carry.

    `must_be_known`: its workflow has not ended, so Temporal must know it. Without, only a run that was ended by force tells.
    """

    id: str
    must_be_known: bool


class Carrier(Enum):
    """What was found out about the workflow of a loan that did not seem to run."""

    WELL = auto()
    """It runs after all, or it has come to its end."""
    RECOVERED = auto()
    """Its last run was ended by force; it goes on."""
    UNKNOWN = auto()
    """Temporal does not know it."""
    BROKEN = auto()
    """It ended in a way from which it cannot go on by itself."""


@dataclass(frozen=True, slots=True)
class LoanPageReport:
    """What one page held: how many were looked at, which go on, which need a person, and where the next page starts."""

    looked_at: int
    recovered: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    after: str | None = None


class OpenLoans(Protocol):
    """The rows of loans and test clocks that a workflow may have to carry."""

    async def page(self, page: Page) -> list[OpenLoan]:
        """Return a page in the order of ids."""
        ...


class LoanControl(Protocol):
    """What is asked of Temporal itself."""

    async def not_seen_running(self, ids: Sequence[str]) -> Collection[str]:
        """Return those of which no running workflow is seen; one just begun may be among them."""
        ...

    async def carry_on(self, workflow_id: str) -> Carrier:
        """Let a workflow that was ended by force go on from where it stood, once."""
        ...


class LoanReconciliationActivities:
    """Compares rows of loans with running workflows."""

    def __init__(self, loans: OpenLoans, control: LoanControl) -> None:
        self._loans = loans
        self._control = control

    @activity.defn
    async def reconcile_loans(self, page: Page) -> LoanPageReport:
        """Let every loan of a page go on that was ended by force. Safe to repeat."""
        found = await self._loans.page(page)
        idle = await self._control.not_seen_running([loan.id for loan in found]) if found else ()
        recovered: list[str] = []
        lost: list[str] = []
        for loan in found:
            if loan.id not in idle:
                continue
            activity.heartbeat(loan.id)
            carrier = await self._control.carry_on(loan.id)
            if carrier is Carrier.RECOVERED:
                recovered.append(loan.id)
            elif carrier is Carrier.BROKEN or (carrier is Carrier.UNKNOWN and loan.must_be_known):
                lost.append(loan.id)
        meter = activity.metric_meter()  # 0 is counted too: a rate is only seen of a counter that was there before
        meter.create_counter(RECOVERED, RECOVERED_COUNTS).add(len(recovered), {"kind": "loan"})
        meter.create_counter(LOST, "Loans that no workflow carries and that cannot go on.").add(len(lost))
        return LoanPageReport(len(found), recovered, lost, found[-1].id if len(found) == page.limit else None)
