"""Refunds in PostgreSQL: never more than was captured, however many at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from activities.payment_book_port import RefundRecord
from domain.payments import booking
from domain.payments.payment import Payment
from domain.payments.record import TimelineEvent
from domain.payments.refund import Refund, RefundAction, RefundStatus
from infra.postgres.ledger import PostgresLedger
from infra.postgres.payment_book import PostgresPaymentBook
from infra.postgres.pool import Pool
from tests.integration.payments.test_payment_book import balances, record, reserved
from tests.support.payment_world import card_payment

NOW = datetime(2026, 1, 2, tzinfo=UTC)


async def paid(book: PostgresPaymentBook) -> Payment:
    """A captured payment of 29.33 USD."""
    trying, first = reserved(card_payment())
    await book.record(first)
    after = trying.captured(2933, final=True, gateway_reference="auth_1")
    await book.record(record(after, "captured", booking.book_capture(trying, 2933, final=True)))
    return after


def opening(payment: Payment, number: int, amount_minor: int) -> RefundRecord:
    """The first record of a refund."""
    refund = Refund("default", f"re_{payment.id}_{number}", payment.id, amount_minor, "USD", NOW)
    entry = booking.reserve_refund(payment, refund.id, amount_minor)
    event = TimelineEvent(f"{refund.id}:requested:1", "refund_requested", "x", NOW, refund.id, amount_minor, entry.key)
    return RefundRecord(refund, (event,), entry, open=True)


def ending(payment: Payment, first: RefundRecord, action: RefundAction) -> RefundRecord:
    """The last record of a refund."""
    refund = first.refund.moved(action)
    done = refund.status is RefundStatus.SUCCEEDED
    entry = booking.book_refund(payment, refund.id) if done else booking.release_refund(payment, refund.id)
    event = TimelineEvent(f"{refund.id}:ended:2", "refunded", "x", NOW, refund.id, refund.amount_minor, entry.key)
    return RefundRecord(refund, (event,), entry)


async def refund_columns(pool: Pool, payment: Payment) -> tuple[int, int]:
    """What the payment's row says is refunded, and under way."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT amount_refunded_minor, amount_refunding_minor FROM payments WHERE id = %s", [payment.id]
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def test_a_refund_is_reserved_then_booked(
    book: PostgresPaymentBook, accounts: PostgresLedger, pool: Pool
) -> None:
    payment = await paid(book)
    first = opening(payment, 1, 1000)
    assert (await book.record_refund(first)).result == "created"
    assert await refund_columns(pool, payment) == (0, 1000)
    assert await balances(accounts, "merchant") == (1000, 0, 0, 2933)
    assert (await book.record_refund(ending(payment, first, RefundAction.SUCCEED))).result == "created"
    assert await refund_columns(pool, payment) == (1000, 0)
    assert await balances(accounts, "merchant") == (0, 1000, 0, 2933)


async def test_a_failed_refund_gives_its_amount_free_again(book: PostgresPaymentBook, pool: Pool) -> None:
    payment = await paid(book)
    first = opening(payment, 1, 2933)
    await book.record_refund(first)
    await book.record_refund(ending(payment, first, RefundAction.FAIL))
    assert await refund_columns(pool, payment) == (0, 0)
    assert (await book.record_refund(opening(payment, 2, 2933))).result == "created"


async def test_refunds_at_once_never_exceed_what_was_captured(book: PostgresPaymentBook, pool: Pool) -> None:
    payment = await paid(book)
    answers = await asyncio.gather(*(book.record_refund(opening(payment, number, 1000)) for number in range(10)))
    assert sorted(answer.result for answer in answers) == ["created"] * 2 + ["refund_exceeds_captured"] * 8
    assert await refund_columns(pool, payment) == (0, 2000)


async def test_a_repeated_refund_is_one_refund(book: PostgresPaymentBook, pool: Pool) -> None:
    payment = await paid(book)
    first = opening(payment, 1, 2000)
    assert [(await book.record_refund(first)).result for _ in range(3)] == ["created", "exists", "exists"]
    assert await refund_columns(pool, payment) == (0, 2000)


async def test_a_refund_of_an_unknown_payment_is_refused(book: PostgresPaymentBook) -> None:
    payment = card_payment()
    assert (await book.record_refund(opening(payment, 1, 1))).result == "payment_not_found"


async def test_money_that_was_spent_cannot_be_refunded(
    book: PostgresPaymentBook, accounts: PostgresLedger, pool: Pool
) -> None:
    payment = await paid(book)
    from domain.ledger.entries import JournalEntry, post

    spent = JournalEntry("default", "spend", (post("spend", "merchant", "payer", 2000, "USD"),))
    await accounts.apply([spent])
    assert (await book.record_refund(opening(payment, 1, 1000))).result == "exceeds_credits"
    assert await refund_columns(pool, payment) == (0, 0)


async def test_the_database_itself_refuses_a_row_that_refunds_too_much(
    book: PostgresPaymentBook, database: object
) -> None:
    payment = await paid(book)
    owner_url: str = database.owner_url  # type: ignore[attr-defined]
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as owner:
        with pytest.raises(psycopg.errors.CheckViolation):
            await owner.execute("UPDATE payments SET amount_refunded_minor = 2934 WHERE id = %s", [payment.id])


async def test_a_later_step_of_a_refund_needs_no_room(book: PostgresPaymentBook, pool: Pool) -> None:
    payment = await paid(book)
    first = opening(payment, 1, 2933)
    await book.record_refund(first)
    reviewed = replace(first, refund=first.refund.moved(RefundAction.REVIEW), entry=None, open=False)
    assert (await book.record_refund(reviewed)).result == "created"
    assert await refund_columns(pool, payment) == (0, 2933)


async def test_a_step_that_the_refund_has_moved_past_writes_nothing_not_even_its_entry(
    book: PostgresPaymentBook, accounts: PostgresLedger, pool: Pool
) -> None:
    """A run that was lost had been refused; the one that does it again would be let through by now."""
    payment = await paid(book)
    first = opening(payment, 1, 1000)
    failed = ending(payment, first, RefundAction.FAIL)
    assert (await book.record_refund(replace(failed, entry=None))).result == "created"
    booked = ending(payment, first, RefundAction.SUCCEED)
    assert [(await book.record_refund(again)).result for again in (first, booked)] == ["overtaken", "overtaken"]
    assert await book.read_refund("default", first.refund.id) == failed.refund
    assert await refund_columns(pool, payment) == (0, 0)
    assert await balances(accounts, "merchant") == (0, 0, 0, 2933)


async def test_a_refund_is_read_back_as_it_was_written(book: PostgresPaymentBook) -> None:
    payment = await paid(book)
    first = opening(payment, 1, 1000)
    assert await book.read_refund("default", first.refund.id) is None
    assert (await book.record_refund(first)).booked
    assert await book.read_refund("default", first.refund.id) == first.refund
    last = ending(payment, first, RefundAction.SUCCEED)
    assert (await book.record_refund(last)).booked
    assert await book.read_refund("default", first.refund.id) == last.refund
    assert await book.read_refund("other", first.refund.id) is None
