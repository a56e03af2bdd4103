"""Money as integer minor units with its ISO 4217 currency.

Invariant: never a float; two currencies never mix silently; every division names its rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.errors import CurrencyMismatch, InvalidAmount, UnknownCurrency

MAX_AMOUNT_MINOR = 10**15
"""Largest amount of one transfer. 2**63 - 1 is about 9.2 * 10**18, so thousands of the largest still sum in a bigint."""

_NO_MINOR_UNIT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"
_TWO_DECIMALS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY "
    "COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR "
    "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP "
    "STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_EXPONENTS: dict[str, int] = {
    code: exponent
    for exponent, codes in ((0, _NO_MINOR_UNIT), (2, _TWO_DECIMALS), (3, _THREE_DECIMALS), (4, _FOUR_DECIMALS))
    for code in codes.split()
}


def exponent_of(currency: str) -> int:
    """Return the number of decimals of an ISO 4217 currency (list of 2026-01-01): USD 2, JPY 0, KWD 3.

    Raises UnknownCurrency for any other code, lower case included.
    """
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency!r} is not an ISO 4217 currency code.") from None


def currencies() -> tuple[str, ...]:
    """Return every currency code we carry, sorted."""
    return tuple(sorted(_EXPONENTS))


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of one currency; may be negative, as a difference can be.

    Raises UnknownCurrency, or InvalidAmount when `minor` is no integer or beyond ±MAX_AMOUNT_MINOR.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent_of(self.currency)
        if isinstance(self.minor, bool) or not isinstance(self.minor, int):
            raise InvalidAmount(f"{self.minor!r} is not an integer number of minor units.")
        if abs(self.minor) > MAX_AMOUNT_MINOR:
            raise InvalidAmount(f"{self.minor} is beyond the largest amount, {MAX_AMOUNT_MINOR} minor units.")

    @classmethod
    def from_major(cls, amount: str | Decimal, currency: str) -> Money:
        """Read a decimal amount in major units exactly: "29.33" USD is 2933. More decimals than USD has: InvalidAmount."""
        scaled = Decimal(amount).scaleb(exponent_of(currency))
        if not scaled.is_finite() or scaled != scaled.to_integral_value():
            raise InvalidAmount(f"{amount} has more decimals than {currency} carries.")
        return cls(int(scaled), currency)

    def to_major(self) -> Decimal:
        """Return the amount in major units, with as many decimals as the currency has."""
        return Decimal(self.minor).scaleb(-exponent_of(self.currency))

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self} and {other} are of different currencies.")
        return other.minor

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other)

    def __str__(self) -> str:
        return f"{self.to_major()} {self.currency}"


def positive(minor: int, currency: str) -> Money:
    """Return an amount that can be paid. Raises InvalidAmount when it is zero or negative."""
    money = Money(minor, currency)
    if minor <= 0:
        raise InvalidAmount(f"An amount of {money} cannot be paid: it must be greater than zero.")
    return money
