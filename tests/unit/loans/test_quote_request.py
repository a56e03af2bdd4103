"""Requests for quotes: what is read, and what is refused with the field named."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain.errors import DomainError, UnknownCurrency
from domain.loans.errors import LoanTermsError
from domain.loans.quote import QuoteRequest, apr_of_case, quote
from tests.unit.loans.builders import quoted

GOOD: dict[str, Any] = {
    "principal": "1000",
    "annual_rate_percent": "12",
    "instalments": 6,
    "every": "1 month",
    "disbursed_on": "2024-01-01",
    "method": "annuity",
}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"principal": None}, "principal"),
        ({"principal": "0"}, "principal"),
        ({"principal": "-5"}, "principal"),
        ({"principal": "10.001"}, "principal"),
        ({"principal": 10.5}, "principal"),
        ({"principal": "NaN"}, "principal"),
        ({"principal": "1e400"}, "principal"),
        ({"principal": "9" * 30}, "principal"),
        ({"principal": True}, "principal"),
        ({"principal": "1,000"}, "principal"),
        ({"annual_rate_percent": "-1"}, "annual_rate_percent"),
        ({"annual_rate_percent": "10001"}, "annual_rate_percent"),
        ({"instalments": 0}, "instalments"),
        ({"instalments": 2701}, "instalments"),
        ({"instalments": "2.5"}, "instalments"),
        ({"every": "sometimes"}, "every"),
        ({"disbursed_on": "2024-02-30"}, "disbursed_on"),
        ({"principal": "1_000"}, "principal"),
        ({"principal": "\u0661\u0660\u0660"}, "principal"),
        ({"disbursed_on": "9999-12-01"}, "disbursed_on"),
        ({"disbursed_on": "8999-12-01"}, "disbursed_on"),
        ({"disbursed_on": "0001-01-01"}, "disbursed_on"),
        ({"disbursed_on": "20240101"}, "disbursed_on"),
        ({"disbursed_on": 20240101}, "disbursed_on"),
        ({"first_due_on": "2024-W06-4"}, "first_due_on"),
        ({"method": "magic"}, "method"),
        ({"day_count": "actual/400"}, "day_count"),
        ({"rounding": "sideways"}, "rounding"),
        ({"instalment_rounding": "0.001"}, "instalment_rounding"),
        ({"first_due_on": "2024-01-01"}, "first_due_on"),
        ({"first_due": "2024-02-01"}, "first_due"),
        ({"first_due_onn": "2024-02-01"}, "first_due_onn"),
        ({"disbursements": "50"}, "disbursements"),
        ({"disbursements": [{"amount": "50"}]}, "disbursements[0].on"),
        ({"disbursements": [{"amount": "50", "on": "2023-12-31"}]}, "disbursements[0].on"),
        ({"disbursements": [{"amount": "50", "on": "2024-07-01"}]}, "disbursements[0].on"),
        ({"disbursements": [{"amount": "50", "on": "2024-03-01"}] * 241}, "disbursements"),
        ({"rate_changes": [{"annual_rate_percent": "5", "on": "2025-01-01"}]}, "rate_changes[0].on"),
        ({"fees": [{"name": "x"}]}, "fees[0]"),
        ({"fees": [{"amount": "1", "percent": "1"}]}, "fees[0]"),
        ({"fees": [{"percent": "101"}]}, "fees[0].percent"),
        ({"fees": [{"amount": "5", "when": "never"}]}, "fees[0].when"),
        ({"fees": "1000"}, "fees"),
        ({"fees": [{"percent": "1", "when": "instalment", "of": "balance"}]}, "fees[0].of"),
        ({"fees": [{"percent": "1", "of": "interest"}]}, "fees[0].of"),
        ({"fees": [{"amount": "1", "when": "instalment", "of": "interest"}]}, "fees[0].of"),
        ({"fees": [{"amount": "1", "when": "upfront", "on": "2024-02-01"}]}, "fees[0].on"),
        ({"fees": [{"amount": "1", "when": "disbursement", "on": "2024-01-01"}]}, "fees[0].on"),
        ({"fees": [{"amount": "1", "when": "instalment", "on": "2024-01-01"}]}, "fees[0].on"),
        ({"fees": [{"amount": "1", "on": "2024-07-02"}]}, "fees[0].on"),
        ({"fees": [{"amount": "1", "on": "yesterday"}]}, "fees[0].on"),
        ({"grace": {"principal": 6}}, "grace"),
        ({"grace": [1]}, "grace"),
        ({"balloon": "1000.01"}, "balloon"),
        ({"method": "interest_only", "balloon": "10"}, "balloon"),
        ({"business_day_convention": "whenever"}, "business_day_convention"),
        (
            {"instalments": 2000, "every": "1 week", "disbursements": [{"amount": "1", "on": "2024-03-01"}] * 30},
            "instalments",
        ),
    ],
)
def test_a_field_that_cannot_be_used_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(LoanTermsError) as refusal:
        QuoteRequest.parse(GOOD | change)
    assert refusal.value.field == field
    assert refusal.value.advice
    assert isinstance(refusal.value, DomainError)
    assert isinstance(refusal.value, ValueError)


def test_a_loan_whose_instalments_no_amount_can_hold_is_refused() -> None:
    with pytest.raises(LoanTermsError) as refusal:
        quoted(principal="10000000000000", annual_rate_percent="10000", every="12 months")
    assert refusal.value.field == "principal"


def test_a_remark_beside_the_fields_is_let_through() -> None:
    assert QuoteRequest.parse(GOOD | {"remark": "as agreed by telephone"}) == QuoteRequest.parse(GOOD)


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(UnknownCurrency):
        QuoteRequest.parse(GOOD | {"currency": "DOL"})


def test_the_answer_has_the_fields_as_published_cases_name_them() -> None:
    answer: Any = quote(QuoteRequest.parse(GOOD)).as_dict()
    assert answer["instalments"][0] == {
        "number": 1,
        "due_on": "2024-02-01",
        "amount": "172.55",
        "principal": "162.55",
        "interest": "10.00",
        "fees": "0.00",
        "balance_after": "837.45",
    }
    assert (answer["total_interest"], answer["apr_percent"], answer["currency"]) == ("35.28", "12.00", "USD")


def test_fees_withheld_from_the_payout_are_totalled_and_raise_the_rate() -> None:
    fees = [{"percent": "1"}, {"amount": "2.50", "when": "disbursement"}]
    answer: Any = quoted(principal="1000", fees=fees, disbursements=[{"amount": "500", "on": "2024-02-15"}]).as_dict()
    assert answer["total_fees"] == "15.00"
    assert Decimal(answer["apr_percent"]) > Decimal("9.48")


def test_a_fee_of_one_day_is_paid_once_with_the_first_instalment_due_then_or_after() -> None:
    paid = {"2024-01-02": 1, "2024-02-01": 1, "2024-02-02": 2, "2024-07-01": 6}
    for on, number in paid.items():
        rows = quoted(fees=[{"amount": "5", "on": on}]).instalments
        assert [row.number for row in rows if row.fees == 500] == [number]
        assert sum(row.fees for row in rows) == 500


def test_a_fee_of_the_day_of_the_payout_is_withheld_from_it() -> None:
    assert quoted(fees=[{"amount": "5", "on": "2024-01-01"}]) == quoted(fees=[{"amount": "5"}])


def test_a_percentage_of_an_instalment_may_be_of_one_part_of_it() -> None:
    parts = ("principal", "interest", "principal_and_interest")
    fees = [quoted(fees=[{"percent": "10", "when": "instalment", "of": of}]).instalments[0].fees for of in parts]
    assert fees == [163, 8, 171]


def test_one_fee_may_be_given_as_its_amount() -> None:
    assert (
        quoted(principal="1000", fees="10").apr_percent == quoted(principal="1000", fees=[{"amount": "10"}]).apr_percent
    )


def test_a_grace_may_be_given_flat_or_nested() -> None:
    nested = QuoteRequest.parse(GOOD | {"grace": {"principal": 2, "interest": 1, "interest_free": 1}})
    flat = QuoteRequest.parse(GOOD | {"grace_on_principal": 2, "grace_on_interest": 1, "interest_free": 1})
    assert nested == flat


CASE: dict[str, Any] = {"advance": "10", "advance_on": "2024-01-01"}
SERIES: dict[str, Any] = {"count": 12, "amount": "1", "first_on": "2024-02-01", "every": "1 month"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"advance": None}, "advance"),
        ({"advnace": "10"}, "advnace"),
        ({"advance_on": "0001-01-01"}, "advance_on"),
        ({"advances": [{"amount": "1"}]}, "advances[0].on"),
        ({"advances": [{"amount": "3", "on": "2026-01-01"}]}, "payments"),
        ({"payments": [{}]}, "payments[0].amount"),
        ({"payments": [{"amount": "11"}]}, "payments[0].first_on"),
        ({"payments": [SERIES | {"count": 0}]}, "payments[0].count"),
        ({"payments": [SERIES | {"first_on": "8999-06-01"}]}, "payments[0].first_on"),
        ({"payments": [SERIES | {"count": 2700, "every": "1 day"}] * 3}, "payments"),
        ({"finance_charge_from": "2024-02-01"}, "finance_charge_from"),
    ],
)
def test_advances_and_payments_without_a_rate_are_refused_with_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(LoanTermsError) as refusal:
        apr_of_case(CASE | {"payments": [SERIES]} | change)
    assert refusal.value.field == field
    assert refusal.value.advice


def test_a_payment_series_without_its_frequency_is_refused() -> None:
    with pytest.raises(LoanTermsError) as refusal:
        apr_of_case(
            {
                "advance": "10",
                "advance_on": "2024-01-01",
                "payments": [{"count": 2, "amount": "6", "first_on": "2024-02-01"}],
            }
        )
    assert refusal.value.field == "payments[0].every"
