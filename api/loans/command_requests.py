"""What clients and the lender's people send to a loan that exists.

Invariant: unknown fields are refused; amounts are integers in minor units of the loan's currency. Who acts is named in a header,
not in a body: authentication will fill it in one day without a change here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from api.loans.problems import of_terms
from api.loans.terms import Day, DecimalText, Name
from api.payments.requests import Amount, PaymentMethod, WireModel
from domain.errors import DomainError
from domain.loans.allocation import Portion
from domain.loans.changes import Restructure, RestructureKind
from domain.loans.frequency import Frequency
from domain.loans.restructure import HolidayInterest, PrepaymentEffect
from domain.loans.terms import MAX_INSTALMENTS

_TEXT = Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})
Note = Annotated[str, StringConstraints(max_length=500), _TEXT]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=200), _TEXT]
InstalmentCount = Annotated[StrictInt, Field(ge=1, le=MAX_INSTALMENTS)]


class EmptyBody(WireModel):
    """Nothing needs to be said."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


class NoteBody(WireModel):
    """A word for the timeline."""

    note: Note = Field(default="", description="Why, for the timeline.")

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"note": "payslips seen"}]})


class WithdrawBody(WireModel):
    """Give the application up."""

    reason: Reason = Field(default="requested_by_client", description="Why, for the timeline.")

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"reason": "found another lender"}]})


class RepayBody(WireModel):
    """A repayment."""

    amount: Amount = Field(description="In minor units.")
    effect: PrepaymentEffect | None = Field(
        default=None,
        description="What a part in advance makes smaller. None: it pays the next instalments ahead.",
    )
    source: PaymentMethod | None = Field(default=None, description="What pays; none: the loan's mandate.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": 10662}, {"amount": 50000, "effect": "reduce_term"}]}
    )


class PayoffBody(WireModel):
    """Pay all that is owed today."""

    source: PaymentMethod | None = Field(default=None, description="What pays; none: the loan's mandate.")

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


class RecoverBody(WireModel):
    """Money on a loan that was written off."""

    amount: Amount
    source: PaymentMethod | None = Field(default=None, description="What pays; none: the loan's mandate.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": 5000}]})


class ReverseBody(WireModel):
    """A repayment that was taken back: a chargeback, or a return by the bank."""

    repayment: InstalmentCount = Field(description="The number of the repayment, as the schedule lists it.")
    reason: Reason = Field(description="Why, such as the bank's return code.", examples=["R01"])

    model_config = ConfigDict(json_schema_extra={"examples": [{"repayment": 2, "reason": "R01"}]})


class ChargeBody(WireModel):
    """A fee charged by hand."""

    amount: Amount
    note: Note = Field(default="", description="What for; the timeline shows it.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": 2500, "note": "copy of the contract"}]})


class WaiveBody(WireModel):
    """An unpaid fee or penalty to give up."""

    instalment: InstalmentCount
    portion: Annotated[Portion, Field(description="`fee` or `penalty`.")]
    amount: Amount
    note: Note = ""

    model_config = ConfigDict(json_schema_extra={"examples": [{"instalment": 1, "portion": "fee", "amount": 1500}]})


class PauseBody(WireModel):
    """Rest collections, late fees and penalty interest until a day."""

    until: Day
    note: Note = ""

    model_config = ConfigDict(json_schema_extra={"examples": [{"until": "2026-06-01", "note": "hospital"}]})


class RestructureBody(WireModel):
    """Other terms; which fields count depends on `kind`.

    `re_age`: `first_due_on`, `instalments`, optional `every`, `capitalize_interest`. `re_amortize`: none. `change_rate`:
    `effective_on`, `annual_rate_percent`. `payment_holiday`: `instalments` (no more than are left, and at most 24),
    `holiday_interest`, `extend_term`. `reschedule`: `instalments`, optional `first_due_on`, `every`, `annual_rate_percent`; the
    loan is closed as rescheduled, and another loan takes its place, whose principal is what this one owed.
    """

    kind: RestructureKind
    first_due_on: Day | None = None
    instalments: InstalmentCount | None = None
    every: Name | None = None
    capitalize_interest: StrictBool = False
    effective_on: Day | None = None
    annual_rate_percent: DecimalText | None = None
    holiday_interest: HolidayInterest = HolidayInterest.PAID
    extend_term: StrictBool = True
    note: Note = Field(default="", description="Why, for the timeline and the second person.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "re_age", "first_due_on": "2026-09-01", "instalments": 10, "note": "new job"},
                {"kind": "change_rate", "effective_on": "2026-07-01", "annual_rate_percent": "9.5"},
                {"kind": "reschedule", "instalments": 24, "annual_rate_percent": "8"},
            ]
        }
    )

    def change(self) -> Restructure:
        """Return the change as the domain takes it. Raises Problem 422."""
        try:
            every = None if self.every is None else Frequency.parse(self.every)
        except DomainError as error:
            raise of_terms(error) from None
        rate = self.annual_rate_percent
        return Restructure(
            self.kind,
            self.first_due_on,
            self.instalments,
            every,
            self.capitalize_interest,
            self.effective_on,
            None if rate is None else Decimal(rate),
            self.holiday_interest,
            self.extend_term,
        )


class DecideProposalBody(WireModel):
    """A second person's word on a proposal."""

    note: Note = Field(default="", description="Why, for the timeline.")

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"note": "agreed"}]})
