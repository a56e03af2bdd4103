"""The terms of a loan as clients send them: to be quoted, or applied for.

Invariant: amounts and rates are decimal strings in major units, never binary floats; what the shapes here let through is read
and checked by `domain.loans.quote_request`, the one place that knows what fits together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
)

from api.loans.problems import of_terms
from api.payments.requests import WireModel
from domain.errors import DomainError
from domain.loans.application import LoanApplication
from domain.loans.business_days import AccrualEnd
from domain.loans.day_count import DayCount
from domain.loans.quote_request import MAX_FEES, QuoteRequest
from domain.loans.rounding import RoundingMode
from domain.loans.terms import MAX_EVENTS, MAX_INSTALMENTS, FeeBase, FeeWhen, LoanTerms, Method

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def is_day(value: Any) -> Any:
    """Let a day through that is written as in ISO 8601, and nothing else."""
    if not isinstance(value, str) or _DAY.fullmatch(value) is None:
        raise ValueError("a day is written as in ISO 8601: 2026-01-31")
    return value


Day = Annotated[date, BeforeValidator(is_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A calendar day."""

DecimalText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}(\.[0-9]{1,15})?$"), Field(examples=["1234.50"])]
"""A number that is not negative, exactly: an amount in major units, or a percentage."""
MAX_NUMBER = 10**18
_DECIMAL_TEXT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,15})?")
_COUNT_TEXT = re.compile(r"[0-9]{1,4}")


def _either(pattern: re.Pattern[str], most: int, rule: str) -> tuple[Any, ...]:
    """Return what makes a number that is sent as text or as a whole number; not a union, so that errors have one place."""

    def check(value: Any) -> Any:
        is_text = isinstance(value, str) and pattern.fullmatch(value) is not None
        is_whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
        if not is_text and not is_whole:
            raise ValueError(rule)
        return value

    texts = {"type": "string", "pattern": f"^{pattern.pattern}$"}
    whole = {"type": "integer", "minimum": 0, "maximum": most}
    return PlainValidator(check), WithJsonSchema({"anyOf": [texts, whole]})


Number: TypeAlias = Annotated[
    Any, *_either(_DECIMAL_TEXT, MAX_NUMBER, "a number is a decimal string, such as '1234.50', and not negative")
]
Count: TypeAlias = Annotated[
    Any, *_either(_COUNT_TEXT, MAX_INSTALMENTS, f"a count is a whole number from 0 to {MAX_INSTALMENTS}")
]
CurrencyCode = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$"), Field(examples=["USD"])]
MAX_NAME = 100
Name = Annotated[str, StringConstraints(max_length=MAX_NAME), Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})]


class LenientModel(BaseModel):
    """A quote lets through what nobody reads, as a published case carries its answer and remarks."""

    model_config = ConfigDict(extra="allow", frozen=True)


class TrancheBody(LenientModel):
    """A later payout."""

    amount: Number
    on: Day


class RateChangeBody(LenientModel):
    """Another rate, for the interest of a day and after."""

    annual_rate_percent: Number
    on: Day


OF_AN_INSTALMENT = "Of an instalment fee: what its percentage is taken of. None: principal and interest."
ON_A_DAY = "An instalment fee of one day: paid once, with the first instalment due on it or after. None: with each."


class FeeBody(LenientModel):
    """A fee: either an amount or a percentage."""

    amount: Number | None = None
    percent: Number | None = None
    when: FeeWhen | None = Field(default=None, description="None: upfront, withheld from the payout.")
    of: FeeBase | None = Field(default=None, description=OF_AN_INSTALMENT)
    on: Day | None = Field(default=None, description=ON_A_DAY)
    name: Name | None = None


class GraceBody(LenientModel):
    """Numbers of first instalments that are spared principal, interest (deferred), or that bear none."""

    principal: Count | None = None
    interest: Count | None = None
    interest_free: Count | None = None


class CalendarBody(LenientModel):
    """A country (ISO 3166-1 alpha-2), and a part of it, whose holidays move due dates."""

    country: Name | None = None
    subdivision: Name | None = None


def _as_fees(value: Any) -> Any:
    return [{"amount": value}] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _as_calendar(value: Any) -> Any:
    return {"country": value} if isinstance(value, str) else value


def _or_amount(schema: dict[str, Any]) -> None:
    schema["anyOf"] += [
        {"type": "string", "pattern": f"^{_DECIMAL_TEXT.pattern}$"},
        {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER},
    ]


def _or_place(schema: dict[str, Any]) -> None:
    schema["anyOf"].append({"type": "string", "maxLength": MAX_NAME, "pattern": "^[^\\u0000]*$"})


class QuoteBody(LenientModel):
    """A loan to be quoted. Amounts and rates are decimal strings; amounts in major units of the currency."""

    principal: Number = Field(description="Paid out on `disbursed_on`.")
    currency: CurrencyCode | None = Field(default=None, description="ISO 4217 code; none: USD.")
    annual_rate_percent: Number = Field(description="Nominal, a year: `9.5` is 9.5 %.")
    instalments: Count
    every: Name = Field(description="How often one falls due.", examples=["1 month", "2 weeks", "semimonthly"])
    disbursed_on: Day
    method: Method | None = Field(default=None, description="None: annuity.")
    day_count: DayCount | None = Field(
        default=None, description="None: each regular period is the same share of a year."
    )
    rounding: RoundingMode | None = Field(default=None, description="None: half_even.")
    instalment_rounding: Number | None = Field(default=None, description="Instalments are multiples of this amount.")
    first_due_on: Day | None = Field(default=None, description="None: one period after the payout.")
    disbursements: list[TrancheBody] | None = Field(default=None, max_length=MAX_EVENTS)
    rate_changes: list[RateChangeBody] | None = Field(default=None, max_length=MAX_EVENTS)
    fees: Annotated[list[FeeBody] | None, BeforeValidator(_as_fees)] = Field(
        default=None, max_length=MAX_FEES, description="A list, or one upfront amount.", json_schema_extra=_or_amount
    )
    balloon: Number | None = Field(default=None, description="Principal that stays for the last instalment.")
    grace: GraceBody | None = None
    grace_on_principal: Count | None = None
    grace_on_interest: Count | None = None
    interest_free: Count | None = None
    business_day_convention: Name | None = Field(default=None, examples=["following", "modified_following"])
    holiday_calendar: Annotated[CalendarBody | None, BeforeValidator(_as_calendar)] = Field(
        default=None, examples=["US-NY"], json_schema_extra=_or_place
    )
    accrual_end: AccrualEnd | None = Field(default=None, description="Whether interest follows a moved due date.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "principal": "10000.00",
                    "currency": "USD",
                    "annual_rate_percent": "12",
                    "instalments": 6,
                    "every": "1 month",
                    "disbursed_on": "2023-12-12",
                    "method": "annuity",
                    "day_count": "actual/actual",
                }
            ]
        }
    )


class ApplicationFee(WireModel):
    """A fee: either an amount in major units or a percentage."""

    amount: DecimalText | None = None
    percent: DecimalText | None = None
    when: FeeWhen | None = Field(default=None, description="None: upfront, withheld from the payout.")
    of: FeeBase | None = Field(default=None, description=OF_AN_INSTALMENT)
    on: Day | None = Field(default=None, description=ON_A_DAY)
    name: Annotated[
        str, StringConstraints(min_length=1, max_length=100), Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})
    ] = "fee"


class ApplicationTranche(WireModel):
    """A later payout."""

    amount: DecimalText
    on: Day


class ApplicationGrace(WireModel):
    """Numbers of first instalments that are spared principal, interest (deferred), or that bear none."""

    principal: Annotated[StrictInt, Field(ge=0, le=MAX_INSTALMENTS)] = 0
    interest: Annotated[StrictInt, Field(ge=0, le=MAX_INSTALMENTS)] = 0
    interest_free: Annotated[StrictInt, Field(ge=0, le=MAX_INSTALMENTS)] = 0


class TermsBody(WireModel):
    """The terms applied for, named as in a quote: decimal strings, amounts in major units of the currency."""

    principal: DecimalText
    currency: CurrencyCode = "USD"
    annual_rate_percent: DecimalText = Field(description="Nominal, a year: `9.5` is 9.5 %.", examples=["9.5"])
    instalments: Annotated[StrictInt, Field(ge=1, le=MAX_INSTALMENTS)]
    every: Name = Field(description="How often one falls due.", examples=["1 month", "2 weeks", "semimonthly"])
    disbursed_on: Day | None = Field(
        default=None, description="The day expected; none: today. The real one replaces it."
    )
    method: Method = Method.ANNUITY
    day_count: DayCount | None = Field(
        default=None, description="None: each regular period is the same share of a year."
    )
    rounding: RoundingMode = RoundingMode.HALF_EVEN
    instalment_rounding: DecimalText | None = Field(default=None, description="Instalments are multiples of this.")
    first_due_on: Day | None = Field(default=None, description="None: one period after the payout.")
    disbursements: Annotated[list[ApplicationTranche], Field(max_length=MAX_EVENTS)] = Field(
        default_factory=list, description="Later tranches, beside `principal`; each is paid out on its day."
    )
    fees: Annotated[list[ApplicationFee], Field(max_length=MAX_FEES)] = Field(default_factory=list)
    balloon: DecimalText | None = Field(default=None, description="Principal that stays for the last instalment.")
    grace: ApplicationGrace | None = None
    business_day_convention: Name | None = Field(default=None, examples=["following", "modified_following"])
    holiday_calendar: Name | None = Field(default=None, examples=["US-NY"])
    accrual_end: AccrualEnd | None = None

    def terms(self, today: date) -> LoanTerms:
        """Return the terms, paid out on `today` unless a day was named. Raises Problem 422 that names the field."""
        fields = self.model_dump(mode="json", exclude_none=True)
        return parse_terms({"disbursed_on": today.isoformat(), **fields}, "/terms")


def parse_terms(data: Mapping[str, Any], below: str = "") -> LoanTerms:
    """Read terms. Raises Problem 422 that names the field, as a pointer under `below`."""
    try:
        return QuoteRequest.parse(data).terms
    except DomainError as error:
        raise of_terms(error, below) from None


def require_valid(application: LoanApplication, today: date) -> None:
    """Check what can never become a loan. Raises Problem 422."""
    try:
        application.validate(today)
    except DomainError as error:
        below = "" if str(error).startswith(("payout_account", "applicant", "policy")) else "/terms"
        raise of_terms(error, below) from None
