"""Every published case of `tests/vectors`, to the cent."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.loans.quote import QuoteRequest, apr_of_case, quote

VECTORS = Path(__file__).parents[2] / "vectors"
COLUMNS = {"instalment": "amount", "interest": "interest", "fees_due": "fees", "balance_after": "balance_after"}


def cases(*files: str) -> list[dict[str, Any]]:
    """The published cases of some files."""
    return [case for file in files for case in json.loads((VECTORS / file).read_text())]


SCHEDULES = cases("loan_schedules.json", "loan_schedules_fineract.json")
RATES = cases("apr.json", "apr_more.json")


@pytest.mark.parametrize("case", SCHEDULES, ids=lambda case: case["name"])
def test_a_published_schedule_is_met_to_the_cent(case: dict[str, Any]) -> None:
    answer: Any = quote(QuoteRequest.parse(case)).as_dict()
    rows = answer["instalments"]
    checked = 0
    for published, column in COLUMNS.items():
        if published in case:
            assert [row[column] for row in rows] == case[published]
            checked += 1
    if "instalment_last" in case:
        assert {Decimal(row["amount"]) for row in rows[:-1]} == {Decimal(case["instalment_all_but_last"])}
        assert Decimal(rows[-1]["amount"]) == Decimal(case["instalment_last"])
        checked += 1
    if "total_interest" in case:
        assert Decimal(answer["total_interest"]) == Decimal(case["total_interest"])
    assert checked
    assert len(rows) == case["instalments"]


@pytest.mark.parametrize("case", RATES, ids=lambda case: case["name"])
def test_a_published_annual_percentage_rate_is_met_to_a_hundredth(case: dict[str, Any]) -> None:
    assert str(apr_of_case(case)) == case["apr_percent"]
