"""Which rows the reconciliation of loans looks at, and that a loan goes on over the real books."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from temporalio.testing import ActivityEnvironment

from activities.loan_reconciliation import LoanReconciliationActivities, OpenLoan
from activities.reconciliation import Page
from domain.ids import effect_key
from domain.loans.loan import Loan
from domain.loans.record import LoanEvent, LoanRecord
from domain.loans.status import LoanStatus
from infra.postgres.loan_book import PostgresLoanBook
from infra.postgres.loan_clock import PostgresLoanClock
from infra.postgres.open_loans import LOOKED_BACK_DAYS, PostgresOpenLoans
from infra.postgres.pool import Pool
from tests.integration.loans.conftest import RealWorld, give
from tests.support.database import Database
from tests.support.loan_world import PATIENCE_S, START, application, strict_servicing
from workers.loan_control import TemporalLoanControl
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import Repay

TODAY = datetime.now(UTC).date()
REOPEN_DAYS, RECOVERY_DAYS = 10, 100


class Rows:
    """Rows of loans, made as the book makes them and then aged by hand."""

    def __init__(self, pool: Pool, database: Database) -> None:
        self._pool, self._database = pool, database

    async def add(self, id_: str, status: LoanStatus, closed: date | None = None, clock: str | None = None) -> None:
        asked = application(
            id=id_,
            test_clock=clock,
            servicing=strict_servicing(reopen_days=REOPEN_DAYS, recovery_days=RECOVERY_DAYS),
        )
        loan = Loan.apply(asked, START)
        event = LoanEvent(effect_key(id_, "applied", 1), "applied", "Applied", datetime.now(UTC), START)
        assert (await PostgresLoanBook(self._pool).record(LoanRecord(loan, event, loan.status))).booked
        self.change("UPDATE loans SET status = %s, closed_on = %s WHERE id = %s", status, closed, id_)

    def change(self, statement: str, *values: object) -> None:
        with psycopg.connect(self._database.owner_url) as connection:
            connection.execute(statement.encode(), values)


@pytest.fixture
def rows(pool: Pool, database: Database) -> Rows:
    return Rows(pool, database)


async def page(pool: Pool, grace_s: float = 0, limit: int = 100, after: str = "") -> list[OpenLoan]:
    return await PostgresOpenLoans(pool).page(Page(grace_s, limit, after))


async def test_every_loan_that_has_not_ended_is_looked_at_and_no_other(pool: Pool, rows: Rows) -> None:
    ended = {LoanStatus.REJECTED, LoanStatus.WITHDRAWN_BY_CLIENT}
    for status in LoanStatus:
        closed = TODAY if status.startswith("closed") else None
        await rows.add(f"ln_{status}", status, closed)
    found = {each.id: each.must_be_known for each in await page(pool)}
    assert found.keys() == {f"ln_{status}" for status in LoanStatus if status not in ended}
    assert [id_ for id_, must in found.items() if not must] == ["ln_closed_rescheduled"]


async def test_a_closed_loan_is_looked_at_until_its_workflow_may_have_ended(pool: Pool, rows: Rows) -> None:
    for name, status, days in (
        ("met", LoanStatus.CLOSED_OBLIGATIONS_MET, REOPEN_DAYS),
        ("written_off", LoanStatus.CLOSED_WRITTEN_OFF, RECOVERY_DAYS),
    ):
        await rows.add(f"ln_{name}_waits", status, TODAY - timedelta(days=days - 1))
        await rows.add(f"ln_{name}_over", status, TODAY - timedelta(days=days))
    assert [each.id for each in await page(pool)] == ["ln_met_waits", "ln_written_off_waits"]


async def test_a_closed_loan_on_a_test_clock_ends_by_its_clock(pool: Pool, rows: Rows) -> None:
    clock = PostgresLoanClock(pool, None)  # type: ignore[arg-type]
    await clock.show("default", "clk_1", "", START, None)
    await rows.add("ln_1", LoanStatus.CLOSED_OBLIGATIONS_MET, START, "clk_1")
    assert await page(pool) == [OpenLoan("clk_1", False), OpenLoan("ln_1", True)]
    await clock.show("default", "clk_1", "", START + timedelta(days=REOPEN_DAYS), None)
    assert await page(pool) == [OpenLoan("clk_1", False)]


async def test_rows_just_changed_are_left_out_and_clocks_and_rescheduled_loans_after_a_while(
    pool: Pool, rows: Rows
) -> None:
    await PostgresLoanClock(pool, None).show("default", "clk_1", "", START, None)  # type: ignore[arg-type]
    await rows.add("ln_1", LoanStatus.ACTIVE)
    await rows.add("ln_2", LoanStatus.CLOSED_RESCHEDULED, TODAY)
    assert await page(pool, grace_s=60) == []
    for table in ("loans", "test_clocks"):
        rows.change(f"UPDATE {table} SET updated_at = now() - interval '2 minutes'")  # noqa: S608 - a name of ours
    assert [each.id for each in await page(pool, grace_s=60)] == ["clk_1", "ln_1", "ln_2"]
    for table in ("loans", "test_clocks"):
        rows.change(f"UPDATE {table} SET updated_at = now() - make_interval(days => %s)", LOOKED_BACK_DAYS + 1)  # noqa: S608
    assert [each.id for each in await page(pool, grace_s=60)] == ["ln_1"]


async def test_pages_follow_each_other_in_the_order_of_ids(pool: Pool, rows: Rows) -> None:
    for clock in ("clk_1", "clk_2"):
        await PostgresLoanClock(pool, None).show("default", clock, "", START, None)  # type: ignore[arg-type]
    ids = [f"ln_{number}" for number in range(5)]
    for id_ in ids:
        await rows.add(id_, LoanStatus.ACTIVE)
    found: list[str] = []
    while more := await page(pool, limit=3, after=found[-1] if found else ""):
        assert len(more) <= 3
        found += [each.id for each in more]
    assert found == ["clk_1", "clk_2", *ids]


async def test_a_terminated_loan_goes_on_over_the_real_books(world: RealWorld) -> None:
    loan, handle = await world.active()
    await handle.terminate("by hand")
    activities = LoanReconciliationActivities(PostgresOpenLoans(world.pool), TemporalLoanControl(world.client))
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await ActivityEnvironment().run(activities.reconcile_loans, Page(0, 10))).recovered:
            await asyncio.sleep(0.05)
    assert (found.recovered, found.lost) == ([loan.id], [])
    paid = await handle.execute_update(LoanWorkflow.repay, Repay(5_000))
    assert paid.principal_outstanding_minor == 115_000
    await give(world.real_ledger, "borrower", 20_000)
    await handle.signal(LoanWorkflow.advance_clock, date(2026, 4, 20))
    async with asyncio.timeout(PATIENCE_S):
        while (await world.read(loan.id))[1] != date(2026, 4, 20):
            await asyncio.sleep(0.05)
    await world.prove()
