"""`clearhold loan`: quote a loan, find the annual percentage rate of payments, report on real applications."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from domain.loans.quote import Quote

app = typer.Typer(help="Loan mathematics and credit decisions.", no_args_is_help=True)

File = Annotated[Path, typer.Option("--file", help="A JSON object; `-` reads standard input.", exists=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
PLOT_SIZE_INCHES = (9, 5)
MANY_BARS = 60
"""Of more bars the gaps between them would be all one sees."""


@app.command("quote")
def quote(
    file: File,
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Draw principal, interest and balance over time (PNG).")] = None,
) -> None:
    """Print the schedule of a loan: what is due when, the interest in all, and the annual percentage rate."""
    from domain.loans.quote import QuoteRequest
    from domain.loans.quote import quote as make_quote

    request = _read(file)
    made = _checked(lambda: make_quote(QuoteRequest.parse(request)))
    if as_json:
        typer.echo(json.dumps(made.as_dict(), indent=2))
    else:
        _print_table(made)
    if plot is not None:
        try:
            _draw(made, plot)
        except (OSError, ValueError) as error:
            typer.secho(f"error: {plot} cannot be drawn: {error}", fg="red", err=True)
            raise typer.Exit(2) from error
        typer.echo(f"drawn: {plot}", err=True)


@app.command("apr")
def apr(file: File, as_json: AsJson = False) -> None:
    """Print the annual percentage rate of advances and payments, by the actuarial method, to 0.01."""
    from domain.loans.quote import apr_of_case

    case = _read(file)
    percent = _checked(lambda: apr_of_case(case))
    typer.echo(json.dumps({"apr_percent": str(percent)}) if as_json else f"{percent} %")


@app.command("report")
def report(
    file: Annotated[Path | None, typer.Option("--file", help="A CSV of applications; none: the real ones.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decide on real mortgage applications by our rules, and compare with what the lender decided."""
    from domain.loans.credit import Outcome
    from infra.demo.applications import APPLICATIONS, decide_all, matrix_table, read_applications, reasons_table
    from infra.demo.report import console_for_tables

    chosen = file or APPLICATIONS
    try:
        comparison = _checked(lambda: decide_all(read_applications(chosen)))
    except (OSError, KeyError, ValueError) as error:
        typer.secho(f"error: {chosen} cannot be read as applications: {error}", fg="red", err=True)
        raise typer.Exit(2) from error
    if as_json:
        counts = {
            outcome.value: {
                "approved_by_lender": comparison.count(outcome, denied=False),
                "denied_by_lender": comparison.count(outcome, denied=True),
            }
            for outcome in Outcome
        }
        reasons = [
            {"outcome": outcome.value, "reason": reason.value, "count": count}
            for (outcome, reason), count in comparison.reasons.most_common()
        ]
        answer = {"decisions": counts, "reasons": reasons, "decided": comparison.alone, "agreed": comparison.agreed}
        typer.echo(json.dumps(answer, indent=2))
        return
    console = console_for_tables()
    console.print(matrix_table(comparison))
    console.print(reasons_table(comparison))
    for line in comparison.summary():
        console.print(line, markup=False)


def _read(file: Path) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        read = json.loads(text, parse_float=str)
    except (OSError, ValueError, RecursionError) as error:
        typer.secho(f"error: {file} cannot be read as JSON: {error}", fg="red", err=True)
        raise typer.Exit(2) from error
    if not isinstance(read, dict):
        typer.secho(f"error: {file} must hold one JSON object", fg="red", err=True)
        raise typer.Exit(2)
    return read


def _checked(make: Any) -> Any:
    from domain.errors import DomainError
    from domain.loans.errors import LoanTermsError

    try:
        return make()
    except (LoanTermsError, DomainError) as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        typer.echo(getattr(error, "advice", ""), err=True)
        raise typer.Exit(2) from error


def _print_table(made: Quote) -> None:
    from rich.table import Table

    from infra.demo.report import console_for_tables

    columns = ("number", "due_on", "amount", "principal", "interest", "fees", "balance_after")
    table = Table()
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    answer: dict[str, Any] = made.as_dict()
    for line in answer["instalments"]:
        table.add_row(*(str(line[name]) for name in columns))
    console = console_for_tables()
    console.print(table)
    console.print(f"total interest {answer['total_interest']}, APR {answer['apr_percent']} %", markup=False)


def _draw(made: Quote, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    answer: dict[str, Any] = made.as_dict()
    lines = answer["instalments"]
    days = [line["due_on"] for line in lines]
    numbers = range(len(days))
    principal = [float(line["principal"]) for line in lines]
    interest = [float(line["interest"]) for line in lines]
    figure, bars = plt.subplots(figsize=PLOT_SIZE_INCHES)
    width = 1.0 if len(days) > MANY_BARS else 0.8
    bars.bar(numbers, principal, width, label="principal")
    bars.bar(numbers, interest, width, bottom=principal, label="interest")
    bars.set_ylabel(f"instalment, {answer['currency']}")
    step = max(1, len(days) // 12)
    bars.set_xticks(list(numbers)[::step], days[::step], rotation=45, ha="right")
    balance = bars.twinx()
    balance.plot(numbers, [float(line["balance_after"]) for line in lines], color="black", label="balance after")
    balance.set_ylabel(f"balance, {answer['currency']}")
    balance.set_ylim(bottom=0)
    figure.legend(loc="upper center", ncols=3)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(path, dpi=120)
    plt.close(figure)
