"""Thirty years of real timers, on the server whose clock jumps to the next one. No test clock, and nothing is faked of time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest
from google.protobuf.empty_pb2 import Empty
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, UnlockTimeSkippingRequest
from temporalio.client import Client

from domain.loans.amortization import schedule_of
from domain.loans.loan import Loan
from domain.loans.schedule import plan_of
from domain.loans.status import LoanStatus
from infra.local.time_skipping import NoTestServerError, temporary_time_skipping_server
from infra.settings import Settings
from infra.temporal_client import connect
from infra.temporal_namespace import SEARCH_ATTRIBUTES, add_search_attributes
from tests.support.loan_world import LoanWorld, application, loan_world, terms
from tests.workflow.loans.test_thirty_years import GOOD_CREDIT
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import AcceptOffer

YEARS = 30
RUN_DAYS = 60
"""This server ends any run after ten years, and would a loan's 120 instalments fit in: so a run serves fewer."""
LIFETIME = timedelta(days=366 * 2 * YEARS)
MAX_EVENTS = 1_500
PATIENCE_S = 400.0


@pytest.fixture
def time_skipping_address() -> Iterator[str]:
    """A server of the test's own: all its workflows share one clock."""
    try:
        with temporary_time_skipping_server() as address:
            yield address
    except NoTestServerError as error:
        pytest.skip(str(error))


@pytest.fixture
async def skipping(time_skipping_address: str) -> Client:
    """A client of a server whose time stands until it is unlocked."""
    client = await connect(Settings(temporal_address=time_skipping_address))
    await client.service_client.test_service.lock_time_skipping(LockTimeSkippingRequest())
    await add_search_attributes(client, SEARCH_ATTRIBUTES)
    return client


async def today_of(client: Client) -> date:
    """Return the day that the server's clock shows."""
    now = await client.service_client.test_service.get_current_time(Empty())
    return now.time.ToDatetime().date()


async def let_time_pass(client: Client, loans: LoanWorld, loan_id: str) -> Loan:
    """Let the clock jump until the loan's workflow has ended, and return the loan."""
    handle = client.get_workflow_handle_for(LoanWorkflow.run, loan_id)
    await client.service_client.test_service.unlock_time_skipping(UnlockTimeSkippingRequest())
    async with asyncio.timeout(PATIENCE_S):
        ended = await handle.result()
    assert ended == loans.book.loans[loan_id]
    return ended


@pytest.mark.timeout(600)
async def test_a_loan_of_thirty_years_is_served_by_its_own_timers(skipping: Client) -> None:
    began = await today_of(skipping)
    home = terms(principal=20_000_000, annual_rate_percent=Decimal("6.5"), instalments=12 * YEARS, disbursed_on=began)
    asked = application(terms=home, income=None, credit=GOOD_CREDIT, policy_version="mortgage-2026-1", test_clock=None)
    async with loan_world(skipping) as loans:
        loans.ledger.funds["lender"] = 30_000_000
        loans.give("borrower", 40_000_000)
        handle = await skipping.start_workflow(
            LoanWorkflow.run,
            loans.order(asked, today=None, max_days_per_run=RUN_DAYS),
            id=asked.id,
            task_queue=loans.task_queue,
            execution_timeout=LIFETIME,
        )
        offered = await handle.execute_update(LoanWorkflow.submit)
        assert offered.status is LoanStatus.OFFERED
        active = await handle.execute_update(LoanWorkflow.accept, AcceptOffer())
        assert (active.status, active.disbursed_on) == (LoanStatus.ACTIVE, began)
        closed = await let_time_pass(skipping, loans, asked.id)
        assert closed.status is LoanStatus.CLOSED_OBLIGATIONS_MET
        expected = schedule_of(plan_of(home))
        paid = sorted(loans.book.repayments.values(), key=lambda each: each.number)
        assert [(each.on, each.amount) for each in paid] == [(row.due_on, row.amount) for row in expected.instalments]
        assert loans.book.accrued[asked.id] == expected.total_interest
        assert closed.closed_on == expected.instalments[-1].due_on
        assert await today_of(skipping) >= closed.closed_on
        last_run = await skipping.get_workflow_handle(asked.id).describe()
        assert last_run.raw_description.workflow_execution_info.history_length < MAX_EVENTS


async def test_an_offer_that_nobody_accepts_lapses_by_itself(skipping: Client) -> None:
    asked = application(terms=terms(disbursed_on=await today_of(skipping)), test_clock=None)
    async with loan_world(skipping) as loans:
        handle = await skipping.start_workflow(
            LoanWorkflow.run, loans.order(asked, today=None), id=asked.id, task_queue=loans.task_queue
        )
        offered = await handle.execute_update(LoanWorkflow.submit)
        assert offered.status is LoanStatus.OFFERED
        lapsed = await let_time_pass(skipping, loans, asked.id)
        assert (lapsed.status, lapsed.failure_code) == (LoanStatus.WITHDRAWN_BY_CLIENT, "offer_expired")
        assert offered.offer_expires_on is not None
        assert await today_of(skipping) > offered.offer_expires_on
