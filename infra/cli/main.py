"""The command `clearhold`.

Invariant: nothing but registration stands here; what a command needs it imports when it is called, so that `--help`
answers at once.
"""

from __future__ import annotations

import sys

import typer

from infra.cli import bench, demo, doctor, drill, keys, ledger, loan, migrate, payment, up

app = typer.Typer(
    name="clearhold",
    help="Payments and loans as durable workflows over a double-entry ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold secrets
)
app.command("up")(up.up)
app.command("doctor")(doctor.doctor)
app.command("migrate")(migrate.migrate)
app.command("demo")(demo.demo)
app.command("drill")(drill.drill)
app.command("bench")(bench.bench)
app.add_typer(keys.app, name="keys")
app.add_typer(payment.app, name="payment")
app.add_typer(ledger.app, name="ledger")
app.add_typer(loan.app, name="loan")


def main() -> None:
    """Run the command that was asked for; what a person can mend ends in a sentence."""
    from infra.cli.failures import reported

    try:
        with reported():
            app()
    except typer.Exit as ended:  # raised outside of the application, which turns it into an exit status
        sys.exit(ended.exit_code)


if __name__ == "__main__":
    main()
