"""`clearhold drill`: kill parts of the stack at random while clients pay, then prove the books.

Invariant: it exits 0 only when nothing was lost and nothing happened twice, and leaves no process behind, also on Ctrl-C.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from infra.cli.failures import reported

KILLABLE = {"synchronous_commit": "on"}
"""Enough where processes are killed and the machine is not: what was acknowledged is with the kernel."""


def drill(
    seed: Annotated[int, typer.Option(min=0, help="What to play and kill; the same seed plans the same.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.1, max=24 * 60, help="How long new payments begin.")] = 5.0,
    clients: Annotated[int, typer.Option(min=1, max=64, help="Clients that pay at the same time.")] = 8,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Worker processes.")] = 2,
    durable: Annotated[bool, typer.Option("--durable", help="Let PostgreSQL wait for the disk.")] = False,
) -> None:
    """Let clients pay while workers, API, Temporal, bank and database are killed; then compare every side of every payment."""
    from infra.drill.campaign import Drill, run_drill
    from infra.local.folder_lock import emptied
    from infra.local.progress import Progress
    from infra.local.stack import LocalStack, StackOptions
    from infra.settings import get_settings

    settings, progress = get_settings(), Progress()
    with reported(), emptied(settings.data_dir / "drill") as folder:
        options = StackOptions(folder, workers=workers, durable=durable, postgres_settings={} if durable else KILLABLE)
        try:
            with LocalStack(options, settings, progress) as stack:
                stack.start()
                verdict = asyncio.run(run_drill(stack, Drill(seed, minutes * 60, clients), progress))
        except KeyboardInterrupt:
            progress.say("stopped; nothing is left running")
            raise typer.Exit(130) from None
    raise typer.Exit(0 if verdict.passed else 1)
