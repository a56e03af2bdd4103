"""The test cards the bank issues, and what a card number reveals: brand, last four digits, validity.

Invariant: a card number lives only in the request that brings it. What leaves this module is a `Card`, which holds no
number, and a keyed fingerprint from which the number cannot be computed without the bank's secret. Only published test
numbers become cards, so a real number is never kept in any form.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from infra.bank.errors import Refusal

HTTP_PAYMENT_REQUIRED = 402
MAX_YEARS_AHEAD = 50
AMEX_CVC_DIGITS = 4
OTHER_CVC_DIGITS = 3
_LUHN_NINE = 9
_NUMBER = re.compile(r"[0-9]{12,19}")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the issuer of a test card does with an authorization."""

    decline_code: str | None = None
    requires_challenge: bool = False
    disputed_later: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A card as the bank keeps it: everything but the number and the CVC."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str
    behaviour: Behaviour


_APPROVED = Behaviour()
_CHALLENGED = Behaviour(requires_challenge=True)

# Numbers and outcomes as published by Stripe for its test mode (docs.stripe.com/testing).
TEST_CARDS: dict[str, Behaviour] = {
    "4242424242424242": _APPROVED,
    "4000056655665556": _APPROVED,
    "5555555555554444": _APPROVED,
    "2223003122003222": _APPROVED,
    "5200828282828210": _APPROVED,
    "5105105105105100": _APPROVED,
    "378282246310005": _APPROVED,
    "371449635398431": _APPROVED,
    "6011111111111117": _APPROVED,
    "6011000990139424": _APPROVED,
    "3056930009020004": _APPROVED,
    "36227206271667": _APPROVED,
    "3566002020360505": _APPROVED,
    "6200000000000005": _APPROVED,
    "4000000000000077": _APPROVED,
    "4000000000003055": _APPROVED,
    "4000000000000259": Behaviour(disputed_later=True),
    "4000000000002685": Behaviour(disputed_later=True),
    "4000000000000002": Behaviour("card_declined"),
    "4000000000000341": Behaviour("card_declined"),
    "4000000000009995": Behaviour("insufficient_funds"),
    "4000000000009987": Behaviour("lost_card"),
    "4000000000009979": Behaviour("stolen_card"),
    "4000000000000069": Behaviour("expired_card"),
    "4000000000000127": Behaviour("incorrect_cvc"),
    "4000000000000119": Behaviour("processing_error"),
    "4000000000006975": Behaviour("card_velocity_exceeded"),
    "4100000000000019": Behaviour("fraudulent"),
    "4000002500003155": _CHALLENGED,
    "4000002760003184": _CHALLENGED,
    "4000000000003220": _CHALLENGED,
    "4000008400001629": Behaviour("card_declined", requires_challenge=True),
    "4000008260003178": Behaviour("insufficient_funds", requires_challenge=True),
}

_BRANDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("visa", re.compile(r"4")),
    ("mastercard", re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720")),
    ("amex", re.compile(r"3[47]")),
    ("discover", re.compile(r"6011|64[4-9]|65")),
    ("diners", re.compile(r"30[0-5]|36|3[89]")),
    ("jcb", re.compile(r"35(2[89]|[3-8])")),
    ("unionpay", re.compile(r"62")),
)


def luhn_valid(number: str) -> bool:
    """Tell whether the check digit of a digit string is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(reversed(number)):
        value = int(digit)
        if position % 2:
            value = value * 2 - _LUHN_NINE if value * 2 > _LUHN_NINE else value * 2
        total += value
    return total % 10 == 0


def looks_like_card_number(text: str) -> bool:
    """Tell whether a whole text, spaces and dashes aside, is a plausible card number."""
    digits = text.replace(" ", "").replace("-", "")
    return _NUMBER.fullmatch(digits) is not None and luhn_valid(digits)


def brand_of(number: str) -> str:
    """Name the card network by the leading digits (ISO/IEC 7812 issuer ranges)."""
    return next((brand for brand, prefix in _BRANDS if prefix.match(number)), "unknown")


def read_card(number: str, exp_month: int, exp_year: int, cvc: str, fingerprint_key: bytes, now: datetime) -> Card:
    """Check the fields of a card and return it without its number.

    Raises Refusal 402 with `incorrect_number`, `invalid_expiry_month`, `invalid_expiry_year`, `invalid_cvc`, or
    `test_cards_only` for a valid number that is no published test card.
    """
    digits = number.replace(" ", "").replace("-", "")
    if _NUMBER.fullmatch(digits) is None or not luhn_valid(digits):
        raise _refuse("incorrect_number", "The card number fails its check digit.")
    _check_expiry(exp_month, exp_year, now.astimezone(UTC))
    brand = brand_of(digits)
    if not cvc.isascii() or not cvc.isdigit() or len(cvc) != _cvc_digits(brand):
        raise _refuse("invalid_cvc", f"The CVC of a {brand} card has {_cvc_digits(brand)} digits.")
    behaviour = TEST_CARDS.get(digits)
    if behaviour is None:
        raise _refuse("test_cards_only", "This bank is a sandbox and takes published test card numbers only.")
    fingerprint = hmac.new(fingerprint_key, digits.encode(), hashlib.sha256).hexdigest()[:32]
    return Card(brand, digits[-4:], exp_month, exp_year, fingerprint, behaviour)


def _check_expiry(exp_month: int, exp_year: int, now: datetime) -> None:
    if not 1 <= exp_month <= 12:
        raise _refuse("invalid_expiry_month", "The expiry month is 1 to 12.")
    if (exp_year, exp_month) < (now.year, now.month) or exp_year > now.year + MAX_YEARS_AHEAD:
        raise _refuse("invalid_expiry_year", "The expiry date is in the past or too far ahead.")


def _cvc_digits(brand: str) -> int:
    return AMEX_CVC_DIGITS if brand == "amex" else OTHER_CVC_DIGITS


def _refuse(code: str, detail: str) -> Refusal:
    return Refusal(HTTP_PAYMENT_REQUIRED, code, detail)
