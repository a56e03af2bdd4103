"""Quotes: what a loan would cost, for those who ask with decimal strings.

Invariant: decimal strings in, decimal strings out, with as many decimals as the currency has; nothing is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from domain.loans.amortization import schedule_of
from domain.loans.apr import Flow, annual_percentage_rate
from domain.loans.errors import LoanTermsError
from domain.loans.fields import (
    LAST_YEAR,
    read_count,
    read_date,
    read_decimal,
    read_items,
    read_object,
    refuse_misspelt,
    required,
)
from domain.loans.frequency import Frequency
from domain.loans.quote_request import QuoteRequest
from domain.loans.schedule import Instalment, Schedule, plan_of
from domain.loans.terms import MAX_INSTALMENTS, LoanTerms
from domain.money import exponent_of

__all__ = ["Quote", "QuoteRequest", "apr_of_case", "quote", "quoted_rate"]

MAX_PAYMENT_SERIES = 600
MAX_PAYMENTS = 2 * MAX_INSTALMENTS
"""Payments of all series together. Each costs some 0.1 ms of the search for the rate."""
_CASE_FIELDS = frozenset(("advance", "advance_on", "advances", "payments", "finance_charge_from"))
_PAYMENT_FIELDS = frozenset(("count", "amount", "first_on", "every", "on"))
_ADVANCE_FIELDS = frozenset(("amount", "on"))


@dataclass(frozen=True, slots=True)
class Quote:
    """A schedule with its cost. Amounts in minor units; `apr_percent` to 0.01 by Regulation Z, Appendix J.

    `withheld_fees` are those charged upfront and with disbursements.
    """

    terms: LoanTerms
    schedule: Schedule
    withheld_fees: int
    apr_percent: Decimal

    @property
    def instalments(self) -> tuple[Instalment, ...]:
        """Return the instalments."""
        return self.schedule.instalments

    @property
    def total_interest(self) -> int:
        """Return the interest of all instalments in minor units."""
        return self.schedule.total_interest

    def as_dict(self) -> dict[str, object]:
        """Return the quote with amounts as decimal strings in major units and dates as ISO 8601."""
        exponent = exponent_of(self.terms.currency)

        def major(minor: int) -> str:
            return f"{Decimal(minor).scaleb(-exponent):.{exponent}f}"

        return {
            "currency": self.terms.currency,
            "instalments": [
                {
                    "number": row.number,
                    "due_on": row.due_on.isoformat(),
                    "amount": major(row.amount),
                    "principal": major(row.principal),
                    "interest": major(row.interest),
                    "fees": major(row.fees),
                    "balance_after": major(row.balance_after),
                }
                for row in self.instalments
            ],
            "total_interest": major(self.total_interest),
            "total_fees": major(self.schedule.total_fees + self.withheld_fees),
            "total_payments": major(sum(row.amount for row in self.instalments)),
            "apr_percent": str(self.apr_percent),
        }


def quote(request: QuoteRequest) -> Quote:
    """Return the schedule and the cost of a loan. Raises LoanTermsError when its terms make no schedule."""
    terms = request.terms
    schedule = schedule_of(plan_of(terms))
    return Quote(terms, schedule, sum(_withheld(terms)), quoted_rate(terms, schedule))


def quoted_rate(terms: LoanTerms, schedule: Schedule) -> Decimal:
    """Return the annual percentage rate of a schedule, fees included, in percent to 0.01.

    Due dates count before holidays move them, as Regulation Z, 1026.17(c)(3), allows.
    """
    payouts = [(terms.principal, terms.disbursed_on), *((move.amount, move.on) for move in terms.tranches)]
    advances = [Flow(Decimal(amount - fee), on) for (amount, on), fee in zip(payouts, _withheld(terms), strict=True)]
    payments = []
    before = None
    for row in schedule.instalments:
        payments.append(Flow(Decimal(row.amount), row.to_on, terms.every if before else None, before))
        before = row.to_on
    return annual_percentage_rate(advances, payments, terms.disbursed_on)


def _withheld(terms: LoanTerms) -> list[int]:
    """Return the fees withheld from each payout, the first one first, in minor units."""
    later = (terms.withheld(move.amount, first=False) for move in terms.tranches)
    return [terms.withheld(terms.principal, first=True), *later]


def apr_of_case(case: Mapping[str, object]) -> Decimal:
    """Return the annual percentage rate, in percent to 0.01, of advances and payments.

    `advance` on `advance_on`, or `advances` [{amount, on}]; `payments` [{count, amount, first_on, every}] or {amount, on}
    for one; optional `finance_charge_from`, the day the charge begins to be earned. Raises LoanTermsError.
    """
    refuse_misspelt(case, _CASE_FIELDS)
    advances = [
        _advance(item, index)
        for index, item in enumerate(read_items(case.get("advances"), "advances", MAX_PAYMENT_SERIES))
    ]
    if case.get("advance") is not None or not advances:
        on = read_date(required(case, "advance_on"), "advance_on")
        advances.append(Flow(_amount(required(case, "advance"), "advance"), on))
    series = read_items(required(case, "payments"), "payments", MAX_PAYMENT_SERIES)
    payments: list[Flow] = []
    for index, item in enumerate(series):
        payments.extend(_series(item, index, MAX_PAYMENTS - len(payments)))
    start = case.get("finance_charge_from")
    if start is None:
        return annual_percentage_rate(advances, payments)
    begin = read_date(start, "finance_charge_from")
    if any(payment.on <= begin for payment in payments):
        raise LoanTermsError(
            "finance_charge_from", "a payment is made by then.", advice="Send a day before the first payment."
        )
    return annual_percentage_rate(advances, payments, begin)


def _advance(item: object, index: int) -> Flow:
    data = read_object(item, f"advances[{index}]", _ADVANCE_FIELDS)
    return Flow(
        _amount(required(data, "amount", f"advances[{index}]"), f"advances[{index}].amount"),
        read_date(required(data, "on", f"advances[{index}]"), f"advances[{index}].on"),
    )


def _series(item: object, index: int, most: int) -> list[Flow]:
    field = f"payments[{index}]"
    data = read_object(item, field, _PAYMENT_FIELDS)
    amount = _amount(required(data, "amount", field), f"{field}.amount")
    count = read_count(1 if data.get("count") is None else data["count"], f"{field}.count", MAX_INSTALMENTS, least=1)
    first_on = read_date(data.get("on") or required(data, "first_on", field), f"{field}.first_on")
    if count == 1:
        return [Flow(amount, first_on)]
    every = Frequency.parse(str(required(data, "every", field)), f"{field}.every")
    if count > most:
        raise LoanTermsError("payments", "there are too many.", advice=f"Send at most {MAX_PAYMENTS} in all.")
    if first_on.year + count > LAST_YEAR:
        raise LoanTermsError(f"{field}.first_on", "the series would end too late.", advice="Send an earlier day.")
    days = [every.step(first_on, step) for step in range(count)]
    return [
        Flow(amount, first_on),
        *(Flow(amount, on, every, before) for before, on in pairwise(days)),
    ]


def _amount(value: object, field: str) -> Decimal:
    amount = read_decimal(value, field)
    if amount <= 0:
        raise LoanTermsError(field, f"{value} is not greater than zero.", advice="Send an amount greater than zero.")
    return amount
