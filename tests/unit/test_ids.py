"""Identifiers: a function of tenant and key, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain import ids
from domain.payments import booking
from tests.unit.test_payment_states import payment

TEXT = st.text(min_size=1, max_size=40)


@given(TEXT, TEXT)
def test_the_same_tenant_and_key_make_the_same_payment(tenant: str, key: str) -> None:
    assert ids.payment_id(tenant, key) == ids.payment_id(tenant, key)
    assert ids.payment_id(tenant, key).startswith("pay_")
    assert len(ids.payment_id(tenant, key)) == 30


@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT))
def test_another_tenant_or_key_makes_another_payment(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (ids.payment_id(*one) == ids.payment_id(*other)) == (one == other)


def test_one_key_makes_different_ids_for_different_things() -> None:
    made = {ids.payment_id("t", "k"), ids.refund_id("t", "k"), ids.account_id("t", "k"), ids.update_id("k")}
    assert len({made_id.split("_")[1] for made_id in made}) == 4


def test_every_entry_of_a_payment_has_its_own_key_that_starts_with_the_payment() -> None:
    first = payment().confirm()
    second = payment(attempt=1).confirm()
    entries = [
        booking.reserve(first, first.created_at),
        booking.reserve(second, first.created_at),
        booking.release(first),
        booking.transfer(first),
        booking.settle_by_hand(first),
        booking.book_capture(payment(captures=1), 1, final=False),
        booking.book_capture(payment(captures=2), 1, final=False),
    ]
    keys = [entry.key for entry in entries]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("pay_1:") for key in keys)
