"""Records of payments in PostgreSQL: whole or not at all, once for ever, and never beyond a limit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import psycopg
import pytest
from psycopg.types.json import Jsonb

from domain.ledger.entries import JournalEntry
from domain.payments import booking
from domain.payments.payment import CaptureMethod, Payment
from domain.payments.record import Operation, PaymentRecord, TimelineEvent
from domain.payments.status import OperationAction, OperationKind, PaymentStatus
from infra.postgres.ledger import PostgresLedger
from infra.postgres.payment_book import PostgresPaymentBook
from infra.postgres.pool import Pool
from tests.support.database import Database
from tests.support.payment_world import card_payment, wallet_payment

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def record(
    payment: Payment, name: str = "step", entry: JournalEntry | None = None, *, opening: bool = False
) -> PaymentRecord:
    """A record of one event at a fixed time."""
    key = f"{payment.id}:{name}:{payment.version}"
    event = TimelineEvent(key, name, name, NOW, payment.id, payment.amount_minor, entry.key if entry else None)
    return PaymentRecord(payment, (event,), entry, check_limits=opening)


def reserved(payment: Payment) -> tuple[Payment, PaymentRecord]:
    """The first record of a confirmed payment: its hold."""
    trying = payment.confirm()
    entry = booking.reserve(trying, datetime.now(UTC) + timedelta(days=1))
    return trying, record(trying, "funds_reserved", entry, opening=True)


async def balances(ledger: PostgresLedger, account: str) -> tuple[int, int, int, int]:
    """Debits pending and posted, credits pending and posted."""
    found = (await ledger.balances("default", [account]))[account]
    return found.debits_pending, found.debits_posted, found.credits_pending, found.credits_posted


async def count(pool: Pool, table: str) -> int:
    """Count the rows of a table."""
    async with pool.connection() as connection:
        row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()  # noqa: S608
    assert row is not None
    return int(row[0])


async def test_a_sale_is_reserved_then_booked_with_its_row_and_timeline(
    book: PostgresPaymentBook, accounts: PostgresLedger
) -> None:
    trying, first = reserved(card_payment())
    assert (await book.record(first)).result == "created"
    assert await balances(accounts, "merchant") == (0, 0, 2933, 0)
    paid = trying.captured(2933, final=True, gateway_reference="auth_1")
    outcome = await book.record(record(paid, "captured", booking.book_capture(trying, 2933, final=True)))
    assert outcome.result == "created"
    assert await balances(accounts, "merchant") == (0, 0, 0, 2933)
    assert await book.read("default", paid.id) == paid


async def test_a_repeated_record_answers_exists_and_changes_nothing(
    book: PostgresPaymentBook, accounts: PostgresLedger, pool: Pool
) -> None:
    _, first = reserved(card_payment())
    answers = [(await book.record(first)).result for _ in range(3)]
    assert answers == ["created", "exists", "exists"]
    assert await balances(accounts, "merchant") == (0, 0, 2933, 0)
    assert await count(pool, "payment_events") == 1


async def test_a_refused_entry_leaves_no_row(book: PostgresPaymentBook, pool: Pool) -> None:
    trying = wallet_payment(amount_minor=10_001).confirm()
    outcome = await book.record(record(trying, "transferred", booking.transfer(trying), opening=True))
    assert outcome.result == "exceeds_credits"
    assert await count(pool, "payments") == 0
    assert await count(pool, "payment_events") == 0


async def test_one_refused_record_does_not_fail_its_neighbours(
    book: PostgresPaymentBook, accounts: PostgresLedger
) -> None:
    poor = wallet_payment(amount_minor=50_000).confirm()
    good = [reserved(card_payment())[1] for _ in range(20)]
    outcomes = await asyncio.gather(
        *(book.record(one) for one in good), book.record(record(poor, "x", booking.transfer(poor), opening=True))
    )
    assert [outcome.result for outcome in outcomes] == ["created"] * 20 + ["exceeds_credits"]
    assert (await balances(accounts, "merchant"))[2] == 20 * 2933


async def test_an_older_version_never_overwrites_a_newer_row(book: PostgresPaymentBook) -> None:
    payment = card_payment()
    newer = payment.confirm()
    await book.record(record(newer, "newer"))
    await book.record(record(payment, "older"))
    assert await book.read("default", payment.id) == newer


async def test_a_step_that_the_row_has_moved_past_writes_nothing_not_even_its_entry(
    book: PostgresPaymentBook, accounts: PostgresLedger, pool: Pool
) -> None:
    """A run that was lost had been refused; the one that does it again would be let through by now."""
    trying, first = reserved(card_payment(amount_minor=100_000_001))
    assert (await book.record(first)).result == "limit_exceeded"
    failed = trying.failed("limit_exceeded", "too much")
    assert (await book.record(record(failed, "refused"))).result == "created"
    paid = record(trying.captured(trying.amount_minor, final=True), "transferred", booking.transfer(trying))
    assert [(await book.record(again)).result for again in (first, paid)] == ["overtaken", "overtaken"]
    assert (await book.record(record(failed, "refused"))).result == "exists"
    assert await book.read("default", trying.id) == failed
    assert await balances(accounts, "merchant") == (0, 0, 0, 0)
    assert await count(pool, "payment_events") == 1


async def test_a_note_is_written_wherever_the_row_stands(
    book: PostgresPaymentBook, accounts: PostgresLedger, pool: Pool
) -> None:
    trying, first = reserved(card_payment())
    await book.record(first)
    further = trying.failed("x", "x")
    await book.record(record(further, "failed"))
    note = replace(record(trying, "released", booking.release(trying)), moves=False)
    assert [(await book.record(note)).result for _ in range(2)] == ["created", "exists"]
    assert await book.read("default", trying.id) == further
    assert await balances(accounts, "merchant") == (0, 0, 0, 0)


@pytest.mark.parametrize("books", [1, 2])
async def test_of_two_runs_that_write_the_same_version_at_once_one_writes_and_the_other_is_overtaken(
    book: PostgresPaymentBook, accounts: PostgresLedger, pool: Pool, books: int
) -> None:
    """In one flush or in two at the same time; a flush that must be taken back is tried again, as the activity is."""

    async def write(through: PostgresPaymentBook, step: PaymentRecord) -> str:
        while True:
            try:
                return (await through.record(step)).result
            except psycopg.errors.SerializationFailure:
                continue

    posted = 0
    async with PostgresPaymentBook(pool) as second:
        for _ in range(20):
            trying = wallet_payment(amount_minor=100).confirm()
            paid = record(trying.captured(100, final=True), "transferred", booking.transfer(trying))
            refused = record(trying.failed("insufficient_funds", "no"), "refused")
            answers = await asyncio.gather(write(book, paid), write(second if books == 2 else book, refused))
            row = await book.read("default", trying.id)
            assert row is not None
            won = row.status is PaymentStatus.SUCCEEDED
            assert answers == (["created", "overtaken"] if won else ["overtaken", "created"])
            posted += 100 if won else 0
            assert (await balances(accounts, "merchant"))[3] == posted


async def test_a_payment_over_the_limit_writes_nothing(book: PostgresPaymentBook, pool: Pool) -> None:
    _, first = reserved(card_payment(amount_minor=100_000_001))
    outcome = await book.record(first)
    assert outcome.result == "limit_exceeded"
    assert "100000000" in outcome.detail
    assert await count(pool, "payments") == 0


async def test_one_customer_never_passes_the_limit_of_a_day_even_at_once(book: PostgresPaymentBook, pool: Pool) -> None:
    payments = [card_payment(amount_minor=100_000_000, customer="c-1") for _ in range(8)]
    outcomes = await asyncio.gather(*(book.record(reserved(payment)[1]) for payment in payments))
    assert sorted(outcome.result for outcome in outcomes) == ["created"] * 5 + ["limit_exceeded"] * 3
    another = await book.record(reserved(card_payment(amount_minor=100_000_000, customer="c-2"))[1])
    assert another.result == "created"


async def test_a_repeated_opening_counts_once_against_the_customers_day(book: PostgresPaymentBook, pool: Pool) -> None:
    _, first = reserved(card_payment(amount_minor=1000, customer="c-1"))
    for _ in range(3):
        await book.record(first)
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT attempted_minor FROM payment_customer_days")).fetchone()
    assert row == (1000,)


async def test_what_the_ledger_refuses_does_not_count_against_the_customers_day(
    book: PostgresPaymentBook, pool: Pool
) -> None:
    poor = wallet_payment(amount_minor=50_000, customer="c-1").confirm()
    await book.record(record(poor, "transferred", booking.transfer(poor), opening=True))
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT attempted_minor FROM payment_customer_days")).fetchone()
    assert row == (0,)


async def test_an_operation_that_ended_is_not_reopened(book: PostgresPaymentBook, pool: Pool) -> None:
    trying, first = reserved(card_payment())
    pending = Operation(f"{trying.id}:authorize:1", trying.id, OperationKind.AUTHORIZE, 2933)
    done = pending.after(OperationAction.SUCCEED, "auth_1")
    await book.record(replace(first, operations=(pending,)))
    await book.record(replace(record(trying, "done"), operations=(done,), moves=False))
    await book.record(replace(record(trying, "again"), operations=(pending,), moves=False))
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT status, gateway_reference FROM payment_operations")).fetchone()
    assert row == ("succeeded", "auth_1")


async def test_a_line_of_a_timeline_cannot_be_rewritten_by_the_owner(
    book: PostgresPaymentBook, pool: Pool, database: object
) -> None:
    await book.record(record(card_payment()))
    owner_url: str = database.owner_url  # type: ignore[attr-defined]
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as owner:
        for statement in (
            "UPDATE payment_events SET text = 'x'",
            "DELETE FROM payment_events",
            "TRUNCATE payment_events",
        ):
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
                await owner.execute(statement)


async def test_the_application_cannot_write_a_payment_but_through_its_function(pool: Pool) -> None:
    async with pool.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("UPDATE payments SET status = 'succeeded'")
        for call in (
            "payment_write('[]', '{}')",
            "payment_overtaken('[]')",
            "payment_check_limits('[]')",
            "payment_give_back_customer_day('{}')",
            "payment_take_customer_day('default', 'c', 'USD', '2026-01-01', -1, 1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(f"SELECT {call}")


async def test_a_table_of_the_application_never_stands_in_for_one_of_ours(accounts: PostgresLedger, pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute("CREATE TEMP TABLE payments (LIKE public.payments INCLUDING ALL)")
        _, first = reserved(card_payment())
        records = Jsonb([first], dumps=orjson.dumps)
        assert await (await connection.execute("SELECT result FROM payment_apply(%b)", [records])).fetchone() == (
            "created",
        )
        assert await (await connection.execute("SELECT count(*) FROM public.payments")).fetchone() == (1,)


def test_what_runs_with_the_owners_rights_looks_for_temporary_names_last(database: Database) -> None:
    with psycopg.connect(database.owner_url) as owner:
        rows = owner.execute(
            """SELECT proname, coalesce((SELECT setting FROM unnest(proconfig) AS setting
                                         WHERE setting LIKE 'search_path=%'), 'not set')
               FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"""
        ).fetchall()
    assert len(rows) > 10
    assert [row for row in rows if not row[1].endswith(", pg_temp")] == []


async def test_parts_of_a_manual_capture_are_booked_up_to_the_hold(
    book: PostgresPaymentBook, accounts: PostgresLedger
) -> None:
    trying, first = reserved(card_payment(capture_method=CaptureMethod.MANUAL))
    await book.record(first)
    authorized = trying.authorized("auth_1", NOW)
    await book.record(record(authorized, "authorized"))
    part = authorized.begin_capture(1000)
    after = part.captured(1000, final=False)
    await book.record(record(after, "captured", booking.book_capture(part, 1000, final=False)))
    assert after.status is PaymentStatus.REQUIRES_CAPTURE
    assert await balances(accounts, "merchant") == (0, 0, 1933, 1000)
    await book.record(record(after.canceled("x"), "released", booking.release(after)))
    assert await balances(accounts, "merchant") == (0, 0, 0, 1000)
