"""The daily accrual on a real PostgreSQL: once a loan and day, whatever happens, and equal to the schedule."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from activities.loan_accrual_port import AccrualCursor
from domain.ledger.accounts import NormalSide
from domain.ledger.entries import JournalEntry, post
from domain.loans import booking
from domain.loans.account import LoanAccount
from domain.loans.allocation import Strategy
from domain.loans.application import LoanApplication
from domain.loans.charges import Charged
from domain.loans.day_count import DayCount
from domain.loans.loan import Loan
from domain.loans.receipts import Receipt, receive
from domain.loans.record import LoanEvent, LoanRecord, position_of
from domain.loans.status import LoanAction, LoanStatus
from infra.postgres.ledger import PostgresLedger
from infra.postgres.loan_accrual import PostgresLoanAccrual, measure_accrual
from infra.postgres.loan_book import PostgresLoanBook
from infra.postgres.loan_proof import verify_loans
from infra.postgres.pool import Pool
from tests.support.database import Database
from tests.support.loan_world import START, application, terms

FIRST = AccrualCursor()


async def lend(
    pool: Pool, ledger: PostgresLedger, number: int, **changes: object
) -> tuple[LoanApplication, LoanAccount]:
    """Write an active loan as its workflow would, the payout made by hand."""
    asked = application(id=f"ln_{number:026d}", test_clock=None, **changes)
    account = LoanAccount.open(asked.terms)
    draft = Loan.apply(asked, START)
    await ledger.open_accounts(list(booking.accounts_to_open(draft)))
    capital, principal = "loans:capital:USD", f"loan:{asked.id}:principal"
    key = f"{asked.id}:test:1"
    entry = JournalEntry("default", key, (post(key, principal, capital, asked.terms.principal, "USD"),), asked.id)
    loan = replace(draft, status=LoanStatus.ACTIVE, disbursed_on=START, disbursed_minor=asked.terms.principal).standing(
        account, START
    )
    event = LoanEvent(f"{asked.id}:disbursed:1", "disbursed", "", datetime.now(UTC), START)
    outcome = await PostgresLoanBook(pool).record(
        LoanRecord(
            loan,
            event,
            LoanStatus.APPROVED,
            entry,
            instalments=account.instalments,
            position=position_of(loan, account),
        )
    )
    assert outcome.booked, outcome
    return asked, account


async def receivable(ledger: PostgresLedger, loan_id: str) -> int:
    account = f"loan:{loan_id}:interest"
    return (await ledger.balances("default", [account]))[account].posted(NormalSide.DEBIT)


@pytest.mark.parametrize("day_count", list(DayCount))
async def test_each_day_accrues_what_the_schedule_says(pool: Pool, ledger: PostgresLedger, day_count: DayCount) -> None:
    asked, account = await lend(
        pool, ledger, 1, terms=terms(day_count=day_count, annual_rate_percent=Decimal("9.87654"), principal=7_654_321)
    )
    accrual = PostgresLoanAccrual(pool)
    for days in range(1, 60):
        day = START + timedelta(days=days)
        page = await accrual.accrue_page(FIRST, day, 100)
        assert (page.seen, page.loans, page.days) == (1, 1, 1)
        assert await receivable(ledger, asked.id) == account.accrued(day)
    assert await verify_loans(pool, "default") == []


async def test_a_day_is_accrued_once_however_often_it_is_asked_for(pool: Pool, ledger: PostgresLedger) -> None:
    asked, account = await lend(pool, ledger, 1)
    accrual = PostgresLoanAccrual(pool)
    day = START + timedelta(days=1)
    assert (await accrual.accrue_page(FIRST, day, 100)).days == 1
    assert (await accrual.accrue_page(FIRST, day, 100)).days == 0
    assert await receivable(ledger, asked.id) == account.accrued(day)


async def test_missed_days_are_caught_up_one_by_one(pool: Pool, ledger: PostgresLedger) -> None:
    asked, account = await lend(pool, ledger, 1)
    page = await PostgresLoanAccrual(pool).accrue_page(FIRST, START + timedelta(days=40), 100)
    assert page.days == 40
    assert await receivable(ledger, asked.id) == account.accrued(START + timedelta(days=40))
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*), count(DISTINCT day) FROM loan_accruals")
        assert await cursor.fetchone() == (40, 40)


async def test_days_past_the_known_periods_wait_for_the_loan(pool: Pool, ledger: PostgresLedger) -> None:
    asked, account = await lend(pool, ledger, 1)
    page = await PostgresLoanAccrual(pool).accrue_page(FIRST, date(2026, 12, 1), 100)
    assert page.days == (date(2026, 4, 15) - START).days
    assert await receivable(ledger, asked.id) == account.accrued(date(2026, 4, 15))


async def test_batches_at_once_accrue_each_day_once(pool: Pool, ledger: PostgresLedger) -> None:
    loans = [await lend(pool, ledger, number) for number in range(20)]
    day = START + timedelta(days=10)
    speeds = await asyncio.gather(*(measure_accrual(pool, day, page_size=3) for _ in range(4)))
    assert sum(speed.days for speed in speeds) == 200
    for asked, account in loans:
        assert await receivable(ledger, asked.id) == account.accrued(day)
    assert await verify_loans(pool, "default") == []


async def test_a_loan_on_a_test_clock_is_left_to_its_clock(pool: Pool, ledger: PostgresLedger) -> None:
    asked, _ = await lend(pool, ledger, 1)
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT on_test_clock FROM loan_positions WHERE loan_id = %s", [asked.id])
        assert await cursor.fetchone() == (False,)


async def test_the_proof_finds_a_balance_that_nobody_can_explain(pool: Pool, ledger: PostgresLedger) -> None:
    asked, _ = await lend(pool, ledger, 1)
    key = "meddling"
    await ledger.apply(
        [JournalEntry("default", key, (post(key, f"loan:{asked.id}:principal", "loans:capital:USD", 1, "USD"),))]
    )
    found = await verify_loans(pool, "default")
    assert {(each.loan_id, each.ledger - each.expected) for each in found} >= {(asked.id, 1)}


async def test_what_happened_to_a_loan_cannot_be_rewritten(
    pool: Pool, ledger: PostgresLedger, database: Database
) -> None:
    await lend(pool, ledger, 1)
    for table in ("loan_events", "loan_transitions", "loan_accruals"):
        with psycopg.connect(database.owner_url) as connection, pytest.raises(psycopg.Error, match="cannot be changed"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
    async with pool.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("UPDATE loans SET principal_outstanding_minor = 0")


async def test_a_record_written_twice_changes_nothing(pool: Pool, ledger: PostgresLedger) -> None:
    asked, account = await lend(pool, ledger, 1)
    loan = replace(Loan.apply(asked, START), status=LoanStatus.ACTIVE, disbursed_on=START, disbursed_minor=120_000)
    again = LoanRecord(
        loan.standing(account, START),
        LoanEvent(f"{asked.id}:disbursed:1", "disbursed", "", datetime.now(UTC), START),
        LoanStatus.APPROVED,
    )
    book = PostgresLoanBook(pool)
    assert (await book.record(again)).result == "exists"
    other = replace(again, event=replace(again.event, key=f"{asked.id}:other:1"))
    assert (await book.record(other)).result == "loan_is_ahead"


async def test_a_loan_paid_off_behind_the_batch_gives_the_days_too_many_back(
    pool: Pool, ledger: PostgresLedger
) -> None:
    asked, account = await lend(pool, ledger, 1)
    await PostgresLoanAccrual(pool).accrue_page(FIRST, START + timedelta(days=10), 100)
    day = START + timedelta(days=5)
    owed = account.owed(day)
    after, paid = receive(account, Receipt(owed.total, day, "pay_1", "borrower"), Strategy())
    loan = replace(Loan.apply(asked, START), status=LoanStatus.ACTIVE, disbursed_on=START, disbursed_minor=120_000)
    closed = replace(loan.moved(LoanAction.REPAY_IN_FULL), version=2).standing(after, day)
    entry = booking.repayment(loan, paid, Charged(account), 2, charged_off=False)
    outcome = await PostgresLoanBook(pool).record(
        LoanRecord(
            closed,
            LoanEvent(f"{asked.id}:repaid:2", "repaid", "", datetime.now(UTC), day),
            LoanStatus.ACTIVE,
            entry,
            instalments=after.changed_since(account),
            repayments=after.repayments,
            position=position_of(closed, after),
        )
    )
    assert outcome.booked, outcome
    assert await receivable(ledger, asked.id) == 0
    assert await verify_loans(pool, "default") == []
