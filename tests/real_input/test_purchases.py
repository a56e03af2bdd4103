"""Every real purchase of the file goes through the payment book without a special case; those of zero are refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import InvalidAmount
from domain.money import positive
from domain.payments import booking
from infra.demo.purchases import CURRENCY, Purchase, plan_payments, read_purchases, zero_purchases
from infra.postgres.ledger import PostgresLedger
from infra.postgres.payment_book import PostgresPaymentBook
from tests.integration.payments.test_payment_book import record
from tests.support.payment_world import card_payment

CALLERS = 64


def test_the_file_holds_what_its_source_says() -> None:
    purchases = read_purchases()
    assert len(purchases) == 6919
    assert len({purchase.customer for purchase in purchases}) == 2357
    assert len(zero_purchases(purchases)) == 8


def test_a_purchase_of_zero_cannot_be_paid() -> None:
    for purchase in zero_purchases(read_purchases()):
        with pytest.raises(InvalidAmount):
            positive(purchase.amount_minor, CURRENCY)


def test_every_purchase_has_a_plan_that_adds_up() -> None:
    plans = plan_payments(read_purchases(), 6919)
    assert len(plans) == 6911
    for plan in plans:
        assert 0 <= plan.refunded_minor <= plan.captured_minor <= plan.purchase.amount_minor


async def test_every_purchase_is_reserved_and_booked_to_the_cent(
    book: PostgresPaymentBook, accounts: PostgresLedger
) -> None:
    purchases = [purchase for purchase in read_purchases() if purchase.amount_minor > 0]
    expires = datetime.now(UTC) + timedelta(days=1)

    async def pay(purchase: Purchase) -> None:
        trying = card_payment(
            id=f"pay_{purchase.number}", amount_minor=purchase.amount_minor, customer=purchase.customer
        ).confirm()
        held = await book.record(record(trying, "held", booking.reserve(trying, expires), opening=True))
        paid = trying.captured(purchase.amount_minor, final=True)
        entry = booking.book_capture(trying, purchase.amount_minor, final=True)
        booked = await book.record(record(paid, "captured", entry))
        assert (held.result, booked.result) == ("created", "created")

    waiting = iter(purchases)

    async def caller() -> None:
        for purchase in waiting:
            await pay(purchase)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    balances = (await accounts.balances("default", ["merchant"]))["merchant"]
    assert balances.credits_posted == sum(purchase.amount_minor for purchase in purchases)
    assert balances.credits_pending == 0
