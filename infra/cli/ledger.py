"""`clearhold ledger`: prove the books."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="The double-entry ledger.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """The double-entry ledger."""


@app.command("verify")
def verify(
    database_url: Annotated[
        str | None, typer.Option(help="The owner's URL; by default the stack of this folder, or the settings.")
    ] = None,
) -> None:
    """Derive every balance again from the transfers, and what loans owe from their schedules; exit 1 when anything disagrees."""
    import psycopg

    from infra.cli.failures import reported
    from infra.local.layout import find_running_stack
    from infra.postgres.ledger_verify import verify as verify_books
    from infra.postgres.loan_proof import verify_every_loan
    from infra.settings import get_settings

    settings = get_settings()
    running = find_running_stack(settings.data_dir)
    url = database_url or (running.settings().owner_database_url if running else settings.owner_database_url)
    with reported(), psycopg.connect(url or settings.database_url) as connection:
        findings = [*verify_books(connection), *verify_every_loan(connection)]
        row = connection.execute(
            "SELECT (SELECT count(*) FROM ledger_transfers), (SELECT count(*) FROM loans)"
        ).fetchone()
    for finding in findings:
        typer.secho(str(finding), fg="red")
    if findings:
        raise typer.Exit(1)
    transfers, loans = row or (0, 0)
    proved = (
        f"{transfers} transfers, every currency sums to zero; the receivables of {loans} loans equal their schedules"
    )
    typer.secho(f"the books are in order: {proved}", fg="green")
