"""`clearhold doctor`: what is missing or misconfigured here, each with its fix."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings for a machine.")] = False,
) -> None:
    """Check this machine and the stack that runs on it; the exit status is 1 when something needs fixing."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from infra.local.doctor import examine_here
    from infra.local.findings import State

    console = Console(highlight=False)
    signs = {State.OK: ("ok", "green"), State.SKIPPED: ("-", "dim"), State.PROBLEM: ("PROBLEM", "red")}
    findings = []
    for finding in examine_here():
        findings.append(finding)
        if not as_json:
            sign, style = signs[finding.state]
            console.print(f"{sign:>8}", style=style, end="  ")
            console.print(f"{finding.subject}: {finding.detail}", markup=False, soft_wrap=True)
            if finding.fix:
                console.print(f"{'':>8}  fix: {finding.fix}", markup=False, soft_wrap=True)
    if as_json:
        console.print_json(json.dumps([asdict(finding) for finding in findings]))
    if any(finding.state is State.PROBLEM for finding in findings):
        raise typer.Exit(1)
