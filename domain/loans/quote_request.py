"""Reading a request for a quote: decimal strings and names in, `LoanTerms` out.

Invariant: what comes out can be scheduled; everything that cannot is refused here, with the field named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.loans.accrual import ONE_DAY
from domain.loans.business_days import AccrualEnd, BusinessDayConvention, BusinessDays
from domain.loans.day_count import DayCount
from domain.loans.errors import LoanTermsError
from domain.loans.fields import (
    LAST_YEAR,
    read_choice,
    read_count,
    read_date,
    read_decimal,
    read_items,
    read_minor,
    read_object,
    read_percent,
    refuse_misspelt,
    required,
)
from domain.loans.frequency import Frequency
from domain.loans.rounding import RoundingMode
from domain.loans.schedule import due_dates_of
from domain.loans.terms import (
    MAX_EVENTS,
    MAX_INSTALMENTS,
    MAX_RATE_PERCENT,
    BalanceMove,
    Fee,
    FeeBase,
    FeeWhen,
    Grace,
    LoanTerms,
    Method,
    RateStep,
)
from domain.money import exponent_of

MAX_FEES = 20
MAX_PROJECTED_ROWS = 40_000
"""Instalments times events: each tranche or rate change levels all instalments after it anew, at some 20 us a row."""

_FIELDS = frozenset(
    (
        *(
            "principal",
            "currency",
            "annual_rate_percent",
            "instalments",
            "every",
            "disbursed_on",
            "method",
            "day_count",
        ),
        *("rounding", "instalment_rounding", "first_due_on", "disbursements", "rate_changes", "fees", "balloon"),
        *("grace", "grace_on_principal", "grace_on_interest", "interest_free"),
        *("business_day_convention", "holiday_calendar", "accrual_end"),
    )
)
_RESULTS = frozenset(("instalment", "interest", "total_interest", "balance_after", "apr_percent", "note", "name"))
"""Fields of published cases beside the request: an answer to compare with, and remarks."""
_MOVE_FIELDS = frozenset(("amount", "on"))
_RATE_FIELDS = frozenset(("annual_rate_percent", "on"))
_FEE_FIELDS = frozenset(("name", "when", "amount", "percent", "of", "on"))
_GRACE_FIELDS = frozenset(("principal", "interest", "interest_free"))
_CALENDAR_FIELDS = frozenset(("country", "subdivision"))


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """A request for a quote, read and checked. `terms` is in minor units."""

    terms: LoanTerms

    @classmethod
    def parse(cls, data: Mapping[str, object]) -> QuoteRequest:
        """Read a request. Amounts are decimal strings in major units.

        Fields: `principal`, `currency` (USD), `annual_rate_percent`, `instalments`, `every`, `disbursed_on`, `method`;
        optional `day_count`, `rounding` (half_even), `instalment_rounding` (a multiple, in major units), `first_due_on`,
        `disbursements` [{amount, on}] (later tranches), `rate_changes` [{annual_rate_percent, on}], `fees` [{amount or
        percent, when: upfront, disbursement or instalment, of, on, name}], `grace` {principal, interest, interest_free},
        `balloon`, `business_day_convention`, `holiday_calendar` ("US", "US-NY"), `accrual_end` (nominal or moved).
        Raises LoanTermsError naming the field.
        """
        refuse_misspelt(data, _FIELDS, ignored=_RESULTS)
        currency = str(data.get("currency") or "USD")
        exponent = exponent_of(currency)
        every = Frequency.parse(str(required(data, "every")))
        disbursed_on = read_date(required(data, "disbursed_on"), "disbursed_on")
        terms = LoanTerms(
            principal=read_minor(required(data, "principal"), "principal", exponent),
            currency=currency,
            annual_rate_percent=read_percent(
                required(data, "annual_rate_percent"), "annual_rate_percent", MAX_RATE_PERCENT
            ),
            instalments=read_count(required(data, "instalments"), "instalments", MAX_INSTALMENTS, least=1),
            every=every,
            disbursed_on=disbursed_on,
            method=read_choice(data.get("method") or Method.ANNUITY, "method", Method),
            day_count=read_choice(data.get("day_count") or DayCount.NOMINAL, "day_count", DayCount),
            rounding=read_choice(data.get("rounding") or RoundingMode.HALF_EVEN, "rounding", RoundingMode),
            instalment_multiple=_multiple(data.get("instalment_rounding"), exponent),
            first_due_on=None if data.get("first_due_on") is None else read_date(data["first_due_on"], "first_due_on"),
            tranches=_tranches(data.get("disbursements"), exponent),
            rate_changes=_rate_changes(data.get("rate_changes")),
            fees=read_fees(data.get("fees"), exponent, disbursed_on),
            grace=_grace(data),
            balloon=0
            if data.get("balloon") is None
            else read_minor(data["balloon"], "balloon", exponent, positive=False),
            business_days=_business_days(data),
        )
        _check(terms)
        return cls(terms)


def read_fees(value: object, exponent: int, disbursed_on: date) -> tuple[Fee, ...]:
    """Read fees: a list of objects, or one decimal string for a single upfront amount."""
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        value = [{"amount": value}]
    items = read_items(value, "fees", MAX_FEES)
    return tuple(_fee(item, f"fees[{index}]", exponent, disbursed_on) for index, item in enumerate(items))


def _fee(item: object, field: str, exponent: int, disbursed_on: date) -> Fee:
    data = read_object(item, field, _FEE_FIELDS)
    percent, of = data.get("percent"), data.get("of")
    if (data.get("amount") is None) == (percent is None):
        raise LoanTermsError(field, "it has no amount, or a percent as well.", advice="Send either amount or percent.")
    on = None if data.get("on") is None else read_date(data["on"], f"{field}.on")
    told = data.get("when") or (FeeWhen.UPFRONT if on in (None, disbursed_on) else FeeWhen.INSTALMENT)
    when = read_choice(told, f"{field}.when", FeeWhen)
    if when is FeeWhen.UPFRONT and on == disbursed_on:
        on = None
    if when is not FeeWhen.INSTALMENT and on is not None:
        raise LoanTermsError(f"{field}.on", "the fee is withheld from a payout.", advice="Leave it out.")
    if of is not None and (when is not FeeWhen.INSTALMENT or percent is None):
        raise LoanTermsError(f"{field}.of", "the fee is no percentage of an instalment.", advice="Leave it out.")
    return Fee(
        when=when,
        amount=0 if percent is not None else read_minor(data["amount"], f"{field}.amount", exponent, positive=False),
        percent=Decimal(0) if percent is None else read_percent(percent, f"{field}.percent", Decimal(100)),
        name=str(data.get("name") or "fee"),
        of=read_choice(of or FeeBase.PRINCIPAL_AND_INTEREST, f"{field}.of", FeeBase),
        on=on,
    )


def _multiple(value: object, exponent: int) -> int | None:
    return (
        None
        if value is None or not read_decimal(value, "instalment_rounding")
        else read_minor(value, "instalment_rounding", exponent)
    )


def _tranches(value: object, exponent: int) -> tuple[BalanceMove, ...]:
    tranches = []
    for index, item in enumerate(read_items(value, "disbursements", MAX_EVENTS)):
        field = f"disbursements[{index}]"
        data = read_object(item, field, _MOVE_FIELDS)
        amount = read_minor(required(data, "amount", field), f"{field}.amount", exponent)
        tranches.append(BalanceMove(read_date(required(data, "on", field), f"{field}.on"), amount))
    return tuple(tranches)


def _rate_changes(value: object) -> tuple[RateStep, ...]:
    steps = []
    for index, item in enumerate(read_items(value, "rate_changes", MAX_EVENTS)):
        field = f"rate_changes[{index}]"
        data = read_object(item, field, _RATE_FIELDS)
        rate = read_percent(
            required(data, "annual_rate_percent", field), f"{field}.annual_rate_percent", MAX_RATE_PERCENT
        )
        steps.append(RateStep(read_date(required(data, "on", field), f"{field}.on"), rate))
    return tuple(steps)


def _grace(data: Mapping[str, object]) -> Grace:
    nested = data.get("grace")
    if nested is not None:
        data = {
            f"grace_on_{name}" if name != "interest_free" else name: count
            for name, count in read_object(nested, "grace", _GRACE_FIELDS).items()
        }
    return Grace(
        principal=read_count(data.get("grace_on_principal") or 0, "grace.principal", MAX_INSTALMENTS),
        interest=read_count(data.get("grace_on_interest") or 0, "grace.interest", MAX_INSTALMENTS),
        interest_free=read_count(data.get("interest_free") or 0, "grace.interest_free", MAX_INSTALMENTS),
    )


def _business_days(data: Mapping[str, object]) -> BusinessDays:
    where = data.get("holiday_calendar")
    if isinstance(where, Mapping):
        place = read_object(where, "holiday_calendar", _CALENDAR_FIELDS)
        country, subdivision = place.get("country"), place.get("subdivision")
    else:
        country, _, subdivision = str(where or "").partition("-")
    convention = (
        str(data.get("business_day_convention") or BusinessDayConvention.NONE)
        .strip()
        .replace(" ", "_")
        .replace("-", "_")
    )
    return BusinessDays(
        read_choice(convention, "business_day_convention", BusinessDayConvention),
        str(country).upper() if country else None,
        str(subdivision).upper() if subdivision else None,
        read_choice(data.get("accrual_end") or AccrualEnd.NOMINAL, "accrual_end", AccrualEnd),
    )


def _check(terms: LoanTerms) -> None:
    """Refuse terms whose parts do not fit together."""
    if terms.first_due_on is not None and terms.first_due_on <= terms.disbursed_on:
        raise LoanTermsError(
            "first_due_on", "it is not after disbursed_on.", advice="Send a day after the money is paid out."
        )
    if max(terms.disbursed_on.year, (terms.first_due_on or terms.disbursed_on).year) + terms.instalments > LAST_YEAR:
        raise LoanTermsError(
            "disbursed_on", "the loan would end too late.", advice=f"Send dates well before the year {LAST_YEAR}."
        )
    last_due_on = due_dates_of(terms).nominal(terms.instalments)
    for index, tranche in enumerate(terms.tranches):
        _check_inside(f"disbursements[{index}].on", terms.disbursed_on, tranche.on, last_due_on)
    for index, step in enumerate(terms.rate_changes):
        _check_inside(f"rate_changes[{index}].on", terms.disbursed_on, step.effective_on - ONE_DAY, last_due_on)
    longest = max(terms.grace.principal, terms.grace.interest)
    if longest >= terms.instalments:
        raise LoanTermsError("grace", "no instalment is left to pay.", advice=f"Send at most {terms.instalments - 1}.")
    lent = terms.principal + sum(tranche.amount for tranche in terms.tranches)
    if terms.balloon > lent:
        raise LoanTermsError("balloon", "it is more than is lent.", advice="Send at most what is paid out.")
    if terms.method is Method.INTEREST_ONLY and terms.balloon not in (0, lent):
        raise LoanTermsError("balloon", "an interest-only loan leaves all its principal.", advice="Leave it out.")
    events = len(terms.tranches) + len(terms.rate_changes)
    if terms.instalments * (1 + events) > MAX_PROJECTED_ROWS:
        raise LoanTermsError(
            "instalments", f"too many with {events} tranches and rate changes.", advice="Send fewer of either."
        )
    _check_fees(terms, last_due_on)


def _check_inside(field: str, first: date, on: date, last_due_on: date) -> None:
    if not first <= on < last_due_on:
        raise LoanTermsError(
            field,
            f"{on} is not within the loan.",
            advice=f"Send a day from {first} on, before the last instalment on {last_due_on}.",
        )


def _check_fees(terms: LoanTerms, last_due_on: date) -> None:
    for index, fee in enumerate(terms.fees):
        if fee.on is not None:
            _check_inside(f"fees[{index}].on", terms.disbursed_on, fee.on - ONE_DAY, last_due_on)
    withheld = sum(
        fee.charge(terms.principal, terms.rounding) for fee in terms.fees if fee.when is not FeeWhen.INSTALMENT
    )
    if withheld >= terms.principal:
        raise LoanTermsError(
            "fees", "they are as much as is lent.", advice="Send upfront fees that leave something to pay out."
        )
