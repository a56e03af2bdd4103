"""`clearhold loan`, as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli.main import app

VECTORS = Path(__file__).parents[2] / "vectors"
PNG = b"\x89PNG"
runner = CliRunner()


def cases(*names: str) -> list[dict[str, object]]:
    """The published cases of some files."""
    return [case for name in names for case in json.loads((VECTORS / name).read_text())]


@pytest.mark.parametrize(
    "case", cases("loan_schedules.json", "loan_schedules_fineract.json"), ids=lambda case: str(case["name"])
)
def test_a_quote_answers_the_published_interest(case: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(case))
    result = runner.invoke(app, ["loan", "quote", "--file", str(file), "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    if "interest" in case:
        assert [line["interest"] for line in answer["instalments"]] == case["interest"]
    else:
        assert float(answer["total_interest"]) == float(str(case["total_interest"]))


@pytest.mark.parametrize("case", cases("apr.json", "apr_more.json"), ids=lambda case: str(case["name"]))
def test_the_annual_percentage_rate_is_the_published_one(case: dict[str, object]) -> None:
    result = runner.invoke(app, ["loan", "apr", "--file", "-", "--json"], input=json.dumps(case))
    assert json.loads(result.stdout) == {"apr_percent": case["apr_percent"]}


def test_a_quote_is_a_table_for_people_and_a_picture(tmp_path: Path) -> None:
    file, picture = tmp_path / "case.json", tmp_path / "plan.png"
    file.write_text(json.dumps(cases("loan_schedules.json")[0]))
    result = runner.invoke(app, ["loan", "quote", "--file", str(file), "--plot", str(picture)])
    assert "total interest 2.78" in result.stdout
    assert picture.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 200_000,
        '{"principal": "abc"}',
        '{"principal": "-1", "annual_rate_percent": "1", "instalments": 1}',
    ],
)
def test_what_is_no_loan_is_refused_with_a_sentence(text: str) -> None:
    result = runner.invoke(app, ["loan", "quote", "--file", "-"], input=text)
    assert result.exit_code == 2
    assert "error:" in result.output
    assert "Traceback" not in result.output


def test_a_picture_that_cannot_be_written_is_refused_with_a_sentence(tmp_path: Path) -> None:
    case = json.dumps(cases("loan_schedules.json")[0])
    for picture in (tmp_path / "nowhere" / "plan.png", tmp_path / "plan.txt"):
        result = runner.invoke(app, ["loan", "quote", "--file", "-", "--plot", str(picture)], input=case)
        assert result.exit_code == 2
        assert "cannot be drawn" in result.output
