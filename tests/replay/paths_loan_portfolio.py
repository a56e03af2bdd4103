"""What happens to many loans at once: the daily accrual, and test clocks."""

from __future__ import annotations

import asyncio
from datetime import date

from tests.replay.loan_scene import LoanScene, loan_path
from workflows.loans.accrual import AccrualWorkflow
from workflows.loans.shared_clock import AdvanceClock, LoanClockWorkflow

LOANS = 5_000
LAST_PAGE = 4_000


async def _accrue(scene: LoanScene, through: date | None) -> None:
    handle = await scene.world.client.start_workflow(
        AccrualWorkflow.run, through, id=scene.name, task_queue=scene.world.task_queue
    )
    scene.keep(handle)
    assert (await handle.result()).days == LOANS


@loan_path
async def loan_accrual(scene: LoanScene) -> None:
    scene.world.accrual.loans = LOANS
    await _accrue(scene, date(2026, 2, 1))


@loan_path
async def loan_accrual_that_fails_and_goes_on(scene: LoanScene) -> None:
    scene.world.accrual.loans, scene.world.accrual.fail_at = LOANS, LAST_PAGE
    await _accrue(scene, date(2026, 2, 1))


@loan_path
async def loan_accrual_up_to_today(scene: LoanScene) -> None:
    """As the schedule starts it."""
    scene.world.accrual.loans = LOANS
    await _accrue(scene, None)


@loan_path
async def loan_clock_advanced(scene: LoanScene) -> None:
    """One loan is enough: where nothing is cached, the SDK throws a loan out when another has a task."""
    clock = await scene.clock(scene.name)
    scene.keep(clock)
    scene.world.give("borrower", 100_000)
    _, handle = await scene.world.active(scene.application(test_clock=scene.name))
    await scene.rested(handle)
    for to in (date(2026, 2, 20), date(2026, 3, 20)):
        view = await clock.execute_update(LoanClockWorkflow.advance, AdvanceClock(to))
        assert view.on == to
    await clock.signal(LoanClockWorkflow.delete)
    await clock.result()


@loan_path
async def loan_clock_advanced_by_many_at_once(scene: LoanScene) -> None:
    clock = await scene.clock(scene.name)
    scene.keep(clock)
    days = [date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)]
    await asyncio.gather(*(clock.execute_update(LoanClockWorkflow.advance, AdvanceClock(day)) for day in days[::-1]))
    await clock.signal(LoanClockWorkflow.delete)
    await clock.result()
