"""Quotes over HTTP are those of the published cases, and say which field is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_world import ApiWorld

VECTORS = Path(__file__).parents[2] / "vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "loan_schedules.json").read_text())
MORE_CASES: list[dict[str, Any]] = json.loads((VECTORS / "loan_schedules_fineract.json").read_text())

COLUMNS = {"instalment": "amount", "interest": "interest", "fees_due": "fees", "balance_after": "balance_after"}


def money(text: str) -> str:
    return f"{float(text):.2f}"


async def quoted(world: ApiWorld, body: Any) -> tuple[int, dict[str, Any]]:
    answer = await world.http.post("/v1/loan_quotes", json=body)
    return answer.status_code, answer.json()


async def test_every_published_schedule_is_quoted_to_the_cent(idle_world: ApiWorld) -> None:
    for case in CASES + MORE_CASES:
        status, quote = await quoted(idle_world, case)
        assert status == 200, (case["name"], quote)
        rows = quote["instalments"]
        assert len(rows) == case["instalments"]
        for field, column in COLUMNS.items():
            if field in case:
                assert [row[column] for row in rows] == [money(text) for text in case[field]], (case["name"], field)
        if "total_interest" in case:
            assert quote["total_interest"] == money(case["total_interest"])
        if "instalment_last" in case:
            assert {row["amount"] for row in rows[:-1]} == {money(case["instalment_all_but_last"])}
            assert rows[-1]["amount"] == money(case["instalment_last"])
        assert rows[-1]["balance_after"] == "0.00"
        assert list(rows[0]) == ["number", "due_on", "amount", "principal", "interest", "fees", "balance_after"]


async def test_fees_and_tranches_are_in_the_annual_percentage_rate(idle_world: ApiWorld) -> None:
    body = CASES[0] | {"principal": "1000", "annual_rate_percent": "10"}
    _, plain = await quoted(idle_world, body)
    _, costly = await quoted(idle_world, body | {"fees": [{"amount": "25.00", "when": "upfront"}]})
    assert float(costly["apr_percent"]) > float(plain["apr_percent"])
    assert costly["total_fees"] == "25.00"
    status, tranches = await quoted(idle_world, body | {"disbursements": [{"amount": "500", "on": "2024-02-15"}]})
    assert status == 200
    assert sum(float(row["principal"]) for row in tranches["instalments"]) == pytest.approx(1500)


async def test_a_currency_without_decimals_is_quoted_in_whole_units(idle_world: ApiWorld) -> None:
    _, quote = await quoted(idle_world, CASES[0] | {"principal": "100000", "currency": "JPY"})
    assert all("." not in row["amount"] for row in quote["instalments"])


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"principal": "0"}, "/principal", "invalid_loan_terms"),
        ({"principal": "1.005"}, "/principal", "invalid_loan_terms"),
        ({"principal": 1.5}, "/principal", "validation_failed"),
        ({"principal": True}, "/principal", "validation_failed"),
        ({"instalments": 0}, "/instalments", "invalid_loan_terms"),
        ({"every": "1 moon"}, "/every", "invalid_loan_terms"),
        ({"method": "hire_purchase"}, "/method", "validation_failed"),
        ({"disbursed_on": "2024-02-30"}, "/disbursed_on", "validation_failed"),
        ({"disbursed_on": "0001-01-01"}, "/disbursed_on", "invalid_loan_terms"),
        ({"disbursed_on": "9999-12-31"}, "/disbursed_on", "invalid_loan_terms"),
        ({"principal": "10000000000000", "annual_rate_percent": "10000"}, "/principal", "invalid_loan_terms"),
        ({"fees": [{"amount": "1", "when": "upfront", "on": "2024-03-01"}]}, "/fees/0/on", "invalid_loan_terms"),
        ({"first_due_on": "2023-12-31"}, "/first_due_on", "invalid_loan_terms"),
        ({"day_cuont": "30/360"}, "/day_cuont", "invalid_loan_terms"),
        ({"fees": [{"amount": "1", "percent": "1"}]}, "/fees/0", "invalid_loan_terms"),
        ({"fees": [{"amount": "1000"}]}, "/fees", "invalid_loan_terms"),
        ({"disbursements": [{"amount": "1", "on": "2030-01-01"}]}, "/disbursements/0/on", "invalid_loan_terms"),
    ],
)
async def test_terms_that_cannot_be_are_refused_with_the_field(
    idle_world: ApiWorld, change: dict[str, Any], pointer: str, code: str
) -> None:
    status, problem = await quoted(idle_world, CASES[0] | change)
    assert (status, problem["code"]) == (422, code), problem
    assert pointer in {error["pointer"] for error in problem["errors"]}
    assert problem["advice"]


async def test_a_missing_field_is_named(idle_world: ApiWorld) -> None:
    body = {name: value for name, value in CASES[0].items() if name != "principal"}
    status, problem = await quoted(idle_world, body)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/principal")


async def test_an_unknown_currency_has_its_own_problem(idle_world: ApiWorld) -> None:
    status, problem = await quoted(idle_world, CASES[0] | {"currency": "XXX"})
    assert (status, problem["code"]) == (422, "unknown_currency")


async def test_a_quote_needs_a_key_of_the_api(idle_world: ApiWorld) -> None:
    answer = await idle_world.http.post("/v1/loan_quotes", json=CASES[0], headers={"Authorization": "Bearer no"})
    assert answer.status_code == 401
