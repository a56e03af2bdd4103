"""A worker that serves loans over fakes on a real Temporal server, and short ways to drive a loan's life."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import Worker

from activities.credit_bureau_port import BureauReport, BureauRequest
from activities.loan_accrual_port import AccrualCursor, AccrualPage
from activities.loan_clock_port import ClockedLoan
from activities.loan_reconciliation import LoanReconciliationActivities, OpenLoan
from activities.reconciliation import Page
from activities.screening_port import (
    ScreeningOutcome,
    ScreeningRequest,
    ScreeningResult,
    ScreeningUnavailable,
)
from domain.loans.application import Applicant, Income, LoanApplication, Mandate, ServicingTerms
from domain.loans.delinquency import LateFeeRule, PenaltyRate
from domain.loans.frequency import Frequency
from domain.loans.loan import CLOSED, ENDED, RUNNING, Loan
from domain.loans.status import LoanStatus
from domain.loans.terms import LoanTerms, Method
from domain.payments.payment import PaymentKind
from tests.support.fake_book import FakePaymentBook
from tests.support.fake_gateway import FakeGateway
from tests.support.fake_loan_book import FakeLoanBook
from workers.loan_control import TemporalLoanControl
from workers.registry import LOAN_WORKFLOWS, WORKFLOWS, loan_activities, payment_activities, sandbox
from workflows.loans.loan import LoanWorkflow
from workflows.loans.messages import AcceptOffer, LoanOrder
from workflows.loans.reconciliation import LoanReconciliationOrder, LoanReconciliationReport, LoanReconciliationWorkflow
from workflows.loans.visibility import of_application, summary

LoanHandle = WorkflowHandle[LoanWorkflow, Loan]

START = date(2026, 1, 15)
PATIENCE_S = 60.0


@dataclass
class FakeProviders:
    """Screening and bureau: `outcome` and `score` are what they answer; `silent_times` screenings get no answer."""

    outcome: ScreeningOutcome = ScreeningOutcome.CLEAR
    score: int | None = 720
    silent_times: int = 0

    async def screen(self, request: ScreeningRequest) -> ScreeningResult:
        if self.silent_times > 0:
            self.silent_times -= 1
            raise ScreeningUnavailable("no answer")
        entry = None if self.outcome is ScreeningOutcome.CLEAR else "TEST SANCTIONED PARTY"
        return ScreeningResult(self.outcome, "scr_1", 0 if entry is None else 80, entry)

    async def report(self, request: BureauRequest) -> BureauReport:
        return BureauReport(self.score, "bur_1")


@dataclass
class FakeAccrual:
    """Pages of loans that each have one day to accrue; `fail_at` makes one page fail once."""

    loans: int = 0
    fail_at: int | None = None
    pages: list[str] = field(default_factory=list)

    async def accrue_page(self, after: AccrualCursor, through: date, limit: int) -> AccrualPage:
        start = int(after.loan_id or 0)
        if self.fail_at is not None and start >= self.fail_at:
            self.fail_at = None
            raise ConnectionError("database is down")
        seen = min(limit, self.loans - start)
        self.pages.append(after.loan_id)
        return AccrualPage(AccrualCursor("default", str(start + seen)), seen, seen, seen)


@dataclass
class FakeClock:
    """The loans of the fake book, told through Temporal."""

    client: Client
    book: FakeLoanBook
    shown: dict[str, date] = field(default_factory=dict)

    async def loans(self, tenant_id: str, clock_id: str, after_loan: str, limit: int) -> list[ClockedLoan]:
        found = sorted(
            (
                each
                for each in self.book.loans.values()
                if each.application.test_clock == clock_id and each.id > after_loan
            ),
            key=lambda each: each.id,
        )
        return [
            ClockedLoan(each.id, each.status in RUNNING, each.served_through or each.business_date)
            for each in found[:limit]
        ]

    async def tell(self, loan_id: str, to: date) -> None:
        await self.client.get_workflow_handle(loan_id).signal("advance_clock", to)

    async def show(self, tenant_id: str, clock_id: str, name: str, on: date, advancing_to: date | None) -> None:
        self.shown[clock_id] = on


@dataclass
class BookOfOpenLoans:
    """The loans of the fake book that have not ended, and the clocks, in pages."""

    book: FakeLoanBook
    clock: FakeClock

    async def page(self, page: Page) -> list[OpenLoan]:
        loans = [
            OpenLoan(each.id, each.status not in ENDED)
            for each in self.book.loans.values()
            if each.status not in ENDED - {LoanStatus.CLOSED_RESCHEDULED}
        ]
        found = sorted([*loans, *(OpenLoan(each, False) for each in self.clock.shown)], key=lambda each: each.id)
        return [each for each in found if each.id > page.after][: page.limit]


def terms(**changes: Any) -> LoanTerms:
    """1,200.00 USD at 12 % a year in 12 monthly instalments."""
    values: dict[str, Any] = {
        "principal": 120_000,
        "currency": "USD",
        "annual_rate_percent": Decimal(12),
        "instalments": 12,
        "every": Frequency.parse("1 month"),
        "disbursed_on": START,
        "method": Method.ANNUITY,
    }
    return LoanTerms(**(values | changes))


def strict_servicing(**changes: Any) -> ServicingTerms:
    """A late fee of 15.00 after 5 days of grace, 10 % penalty interest, retries after 3 and 7 days, no reminders."""
    values: dict[str, Any] = {
        "late_fee": LateFeeRule(amount=1_500, grace_days=5, cap=1_500, loan_cap=6_000),
        "penalty": PenaltyRate(Decimal(10), grace_days=2),
        "reminder_days": (),
    }
    return ServicingTerms(**(values | changes))


def application(**changes: Any) -> LoanApplication:
    """An application that the personal policy approves, on a test clock, with a wallet as mandate."""
    values: dict[str, Any] = {
        "tenant_id": "default",
        "id": f"ln_{uuid.uuid4().hex[:26]}",
        "applicant": Applicant("cus_1", "Sample Borrower"),
        "terms": terms(),
        "funding_account": "lender",
        "payout_account": "borrower",
        "created_at": datetime.now(UTC),
        "income": Income(500_000, 50_000),
        "mandate": Mandate(PaymentKind.WALLET, "borrower"),
        "servicing": strict_servicing(),
        "test_clock": "clk_1",
    }
    return LoanApplication(**(values | changes))


@dataclass
class LoanWorld:
    """The fakes, and the client that drives loans over them."""

    client: Client
    task_queue: str
    ledger: FakePaymentBook = field(
        default_factory=lambda: FakePaymentBook(funds={"lender": 10_000_000, "borrower": 0})
    )
    gateway: FakeGateway = field(default_factory=FakeGateway)
    providers: FakeProviders = field(default_factory=FakeProviders)
    book: FakeLoanBook = field(init=False)
    accrual: FakeAccrual = field(default_factory=FakeAccrual)
    clock: FakeClock = field(init=False)

    def __post_init__(self) -> None:
        self.book = FakeLoanBook(self.ledger)
        self.clock = FakeClock(self.client, self.book)

    def order(self, asked: LoanApplication, **order: Any) -> LoanOrder:
        return LoanOrder(asked, **({"today": START} | order))

    async def apply(self, asked: LoanApplication | None = None, **order: Any) -> tuple[Loan, LoanHandle]:
        """Apply, and return the loan once it rests, as the API does."""
        asked = asked or application()
        start = WithStartWorkflowOperation(
            LoanWorkflow.run,
            self.order(asked, **order),
            id=asked.id,
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=of_application(asked),
            static_summary=summary(asked),
        )
        loan = await self.client.execute_update_with_start_workflow(
            LoanWorkflow.submit, start_workflow_operation=start, id="submit"
        )
        return loan, self.handle(asked.id)

    async def active(self, asked: LoanApplication | None = None, **order: Any) -> tuple[Loan, LoanHandle]:
        """Return a loan that is paid out."""
        _, handle = await self.apply(asked, **order)
        return await handle.execute_update(LoanWorkflow.accept, AcceptOffer()), handle

    def handle(self, loan_id: str) -> LoanHandle:
        return self.client.get_workflow_handle_for(LoanWorkflow.run, loan_id)

    def give(self, account: str, amount: int) -> None:
        """Put money on a wallet."""
        self.ledger.funds[account] = self.ledger.funds.get(account, 0) + amount

    def take(self, account: str) -> int:
        """Empty a wallet."""
        had = self.ledger.funds.get(account, 0) + self.ledger.posted[account]
        self.ledger.funds[account] -= had
        return had

    async def reconcile(self, **order: Any) -> LoanReconciliationReport:
        """Look at every loan now, as the schedule does."""
        return await self.client.execute_workflow(
            LoanReconciliationWorkflow.run,
            LoanReconciliationOrder(**order),
            id=f"loan-reconciliation-{uuid.uuid4().hex}",
            task_queue=self.task_queue,
        )

    async def advance(self, handle: LoanHandle, to: date) -> Loan:
        """Move the loan's test clock, and return the loan once it has caught up."""
        await handle.signal(LoanWorkflow.advance_clock, to)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                loan = self.book.loans[handle.id]
                over = (
                    loan.closed_on is not None
                    and loan.closed_on + timedelta(days=loan.application.servicing.reopen_days) <= to
                )
                if loan.status not in RUNNING | CLOSED or over or (loan.served_through or START) >= to:
                    return loan
                await asyncio.sleep(0.01)


@asynccontextmanager
async def loan_world(client: Client, **worker_options: Any) -> AsyncIterator[LoanWorld]:
    """Serve loans on a task queue of their own while the block runs."""
    world = LoanWorld(client, f"test-{uuid.uuid4().hex}")
    reconciliation = LoanReconciliationActivities(BookOfOpenLoans(world.book, world.clock), TemporalLoanControl(client))
    async with Worker(
        client,
        task_queue=world.task_queue,
        workflows=[*WORKFLOWS, *LOAN_WORKFLOWS],
        activities=[
            *payment_activities(world.ledger, {"sandbox": world.gateway}),
            *loan_activities(world.book, world.providers, world.providers, world.accrual, world.clock),
            reconciliation.reconcile_loans,
        ],
        workflow_runner=sandbox(),
        **worker_options,
    ):
        yield world
