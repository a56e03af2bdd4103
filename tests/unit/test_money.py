"""Money: integers of minor units, one currency at a time."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import CurrencyMismatch, InvalidAmount, UnknownCurrency
from domain.money import MAX_AMOUNT_MINOR, Money, currencies, exponent_of, positive

VECTORS = Path(__file__).parents[1] / "vectors"


def test_the_exponents_are_those_of_iso_4217() -> None:
    published = json.loads((VECTORS / "currencies.json").read_text())
    for exponent, codes in published.items():
        assert {exponent_of(code) for code in codes} == {int(exponent)}
    others = set(currencies()) - {code for codes in published.values() for code in codes}
    assert {exponent_of(code) for code in others} == {2}
    assert {"USD", "EUR", "GBP", "CHF"} <= others


@pytest.mark.parametrize("code", ["usd", "US", "XYZ", "", "USDT"])
def test_an_unknown_currency_is_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        exponent_of(code)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("29.33", "USD", 2933), ("500", "JPY", 500), ("1.234", "KWD", 1234), ("0", "USD", 0)],
)
def test_major_units_are_read_exactly(text: str, currency: str, minor: int) -> None:
    money = Money.from_major(text, currency)
    assert money.minor == minor
    assert money.to_major() == Decimal(text)


@pytest.mark.parametrize(("text", "currency"), [("29.333", "USD"), ("1.5", "JPY"), ("NaN", "USD"), ("Infinity", "USD")])
def test_more_decimals_than_the_currency_has_are_refused(text: str, currency: str) -> None:
    with pytest.raises(InvalidAmount):
        Money.from_major(text, currency)


@pytest.mark.parametrize("minor", [1.0, "1", None, True, MAX_AMOUNT_MINOR + 1])
def test_only_an_integer_within_bounds_is_an_amount(minor: object) -> None:
    with pytest.raises(InvalidAmount):
        Money(minor, "USD")  # type: ignore[arg-type]


def test_currencies_never_mix() -> None:
    with pytest.raises(CurrencyMismatch):
        Money(1, "USD") + Money(1, "EUR")
    with pytest.raises(CurrencyMismatch):
        _ = Money(1, "USD") < Money(1, "EUR")


@pytest.mark.parametrize("minor", [0, -1])
def test_nothing_cannot_be_paid(minor: int) -> None:
    with pytest.raises(InvalidAmount, match="greater than zero"):
        positive(minor, "USD")


@given(st.integers(-(10**14), 10**14), st.integers(-(10**14), 10**14), st.sampled_from(currencies()))
def test_adding_and_taking_away_is_exact(left: int, right: int, currency: str) -> None:
    total = Money(left, currency) + Money(right, currency)
    assert total.minor == left + right
    assert (total - Money(right, currency)).minor == left
    assert Money.from_major(str(total.to_major()), currency) == total
