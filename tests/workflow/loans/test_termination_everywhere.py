"""A loan terminated at any step of its life goes on once reconciliation has looked, and its story is that of one left alone."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from domain.loans.application import Mandate
from domain.loans.loan import Loan
from domain.loans.record import LoanRecord
from domain.loans.status import LoanStatus
from domain.payments.payment import PaymentKind
from domain.payments.record import RecordOutcome
from tests.support.loan_world import PATIENCE_S, LoanHandle, LoanWorld, application, strict_servicing
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import AcceptOffer, LoanCommand, PauseLoan, PayOff, Repay, ResumeLoan

STEP_PAUSE_S = 0.05
DAYS = (date(2026, 2, 20), date(2026, 3, 20))


class Holds:
    """Holds one step of each loan that has one to be held, before it is written or after; only the first of that name."""

    def __init__(self, world: LoanWorld, *, written: bool) -> None:
        self._record, self._written = world.book.record, written
        self._step: dict[str, str] = {}
        self._reached: dict[str, asyncio.Event] = {}
        self._released = asyncio.Event()

    def add(self, loan_id: str, step: str) -> None:
        self._step[loan_id], self._reached[loan_id] = step, asyncio.Event()

    async def record(self, record: LoanRecord) -> RecordOutcome:
        """Write a record as the book does, when it may."""
        held = record.event.name == self._step.get(record.loan.id) and not self._reached[record.loan.id].is_set()
        if not held:
            return await self._record(record)
        outcome = await self._record(record) if self._written else None
        self._reached[record.loan.id].set()
        await self._released.wait()
        return outcome or await self._record(record)

    async def until_reached(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(each.wait() for each in self._reached.values()))

    def release(self) -> None:
        """Let go what was held: what nobody waits for any more is written nevertheless."""
        self._released.set()


async def tell(handle: LoanHandle, update: object, command: LoanCommand, key: str) -> Loan:
    """Send a command as a patient client does, again and again under its own id while nobody carries the loan."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                answer: Loan = await handle.execute_update(update, command, id=key, result_type=Loan)  # type: ignore[arg-type]
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            except WorkflowUpdateFailedError as error:
                if getattr(error.cause, "type", "") != "AcceptedUpdateCompletedWorkflow":
                    raise
            else:
                return answer
            await asyncio.sleep(STEP_PAUSE_S)


async def reach(world: LoanWorld, handle: LoanHandle, day: date) -> None:
    """Show a loan a day until it has reached it."""
    async with asyncio.timeout(PATIENCE_S):
        while (world.book.loans[handle.id].served_through or date.min) < day:
            try:
                await handle.signal(LoanWorkflow.advance_clock, day)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(STEP_PAUSE_S)


async def live(world: LoanWorld, name: str) -> None:
    """Let a loan with accounts of its own be applied for, paid out, collected, repaid, paused and paid off."""
    world.give(f"lender-{name}", 120_000)
    world.give(f"borrower-{name}", 20_000)
    asked = application(
        id=f"ln_{world.task_queue}_{name}",
        funding_account=f"lender-{name}",
        payout_account=f"borrower-{name}",
        mandate=Mandate(PaymentKind.WALLET, f"borrower-{name}"),
        servicing=strict_servicing(reopen_days=3),
    )
    handle = world.handle(asked.id)
    await world.client.start_workflow(LoanWorkflow.run, world.order(asked), id=asked.id, task_queue=world.task_queue)
    async with asyncio.timeout(PATIENCE_S):
        while asked.id not in world.book.loans or world.book.loans[asked.id].status is not LoanStatus.OFFERED:
            await asyncio.sleep(STEP_PAUSE_S)
    await tell(handle, LoanWorkflow.accept, AcceptOffer(), "accept")
    for day in DAYS:
        await reach(world, handle, day)
    await tell(handle, LoanWorkflow.pause, PauseLoan(date(2026, 3, 25), "desk-1"), "pause")
    await tell(handle, LoanWorkflow.resume, ResumeLoan("desk-1"), "resume")
    await tell(handle, LoanWorkflow.repay, Repay(5_000), "repay")
    await tell(handle, LoanWorkflow.pay_off, PayOff(), "pay_off")
    await handle.signal(LoanWorkflow.advance_clock, date(2026, 4, 1))
    async with asyncio.timeout(PATIENCE_S):
        await handle.result()


def story(world: LoanWorld, name: str) -> list[str]:
    return world.book.story(f"ln_{world.task_queue}_{name}:")


async def recover(world: LoanWorld, ids: set[str]) -> None:
    """Reconcile until these go on, each once, and no other; the list of running workflows may be a little behind."""
    recovered: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while set(recovered) != ids:
            report = await world.reconcile()
            assert report.lost == []
            recovered += report.recovered
    assert sorted(recovered) == sorted(ids)


@pytest.mark.parametrize("written", [False, True], ids=["before it is written", "after it was written"])
async def test_a_loan_terminated_at_any_step_lives_the_life_of_one_left_alone(loans: LoanWorld, written: bool) -> None:
    await live(loans, "alone")
    whole = story(loans, "alone")
    holds = Holds(loans, written=written)
    steps = [step for step in dict.fromkeys(whole) if written or step != "applied"]  # before, there is no loan
    assert len(steps) > 12
    for step in steps:
        holds.add(f"ln_{loans.task_queue}_{step}", step)
    loans.book.record = holds.record  # type: ignore[method-assign]
    lives = [asyncio.create_task(live(loans, step)) for step in steps]
    await holds.until_reached()
    ids = {f"ln_{loans.task_queue}_{step}" for step in steps}
    for each in ids:
        await loans.handle(each).terminate("by hand")
    holds.release()
    await recover(loans, ids)
    await asyncio.gather(*lives)
    assert {step: story(loans, step) for step in steps} == dict.fromkeys(steps, whole)
    for who in ("lender", "borrower"):
        assert {loans.book.balance(f"{who}-{step}") for step in steps} == {loans.book.balance(f"{who}-alone")}
