"""What the demonstration prints: a line for every payment, and every expectation that failed."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from domain.money import Money
from infra.demo.proof import Check, PaymentProof
from infra.demo.purchases import CURRENCY

PAPER_WIDTH = 200
"""Columns where there is no terminal to ask."""


def console_for_tables() -> Console:
    """Return a console for standard output, wide enough for a table when it is a file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PAPER_WIDTH)


def payments_table(proofs: list[PaymentProof]) -> Table:
    """Return the table of all payments."""
    table = Table(title=f"{len(proofs)} card payments", expand=False)
    for name in ("#", "amount", "what happened", "status", "bank", "ledger", "Temporal UI"):
        right = name in ("#", "amount", "bank", "ledger")
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=name != "Temporal UI")
    for proof in proofs:
        failed = any(not check.holds for check in proof.checks)
        status = f"{proof.status}: {proof.failure}" if proof.status == "failed" else proof.status
        table.add_row(
            str(proof.plan.purchase.number),
            str(Money(proof.plan.purchase.amount_minor, CURRENCY).to_major()),
            str(proof.plan.story),
            status,
            str(Money(proof.bank_net_minor, CURRENCY).to_major()),
            str(Money(proof.ledger_net_minor, CURRENCY).to_major()),
            proof.temporal_url,
            style="red" if failed else None,
        )
    return table


def print_checks(console: Console, checks: list[Check]) -> int:
    """Print each check of the list, the failed ones in full; return how many failed."""
    failed = [check for check in checks if not check.holds]
    for check in failed:
        console.print(
            f"FAILED  {check.name}: expected {check.expected}, saw {check.seen}", style="bold red", markup=False
        )
    return len(failed)
