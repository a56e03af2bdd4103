from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from infra.bench.plan import Part, Plan
from infra.cli.bench import PARTS, bench

USAGE_ERROR = 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "payments,nothing"], "nothing"),
        (["--temporal", "cloud"], "dev, cluster, both"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(arguments: list[str], complaint: str) -> None:
    app = typer.Typer()
    app.command()(bench)
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == USAGE_ERROR
    assert complaint in result.output


def test_the_help_names_every_part() -> None:
    assert {name.strip() for name in PARTS.split(",")} == {part.value for part in Part}


def test_a_quick_run_measures_the_same_parts_in_less_time() -> None:
    quick, full = Plan.quick(), Plan()
    assert quick.parts == full.parts
    assert quick.window_s < full.window_s
    assert set(quick.levels) <= set(full.levels)
    assert max(full.ledger_rows) == 1_000_000
    assert min(full.ledger_rows) == 10_000
