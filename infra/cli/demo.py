"""`clearhold demo`: the main job, on real parts, proved and cleaned up.

Invariant: it exits 0 only when every expectation held, and leaves no process behind, also on Ctrl-C.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from infra.cli.failures import reported

PAYMENTS = 300
WORKERS = 2


def demo(
    payments: Annotated[int, typer.Option(min=20, max=6000, help="How many purchases to play.")] = PAYMENTS,
) -> None:
    """Play real purchases against the whole stack, kill a worker meanwhile, and prove the books."""
    from infra.cli.access import ensure_development_key
    from infra.demo.run import run_demo
    from infra.local.folder_lock import emptied
    from infra.local.progress import Progress
    from infra.local.stack import LocalStack, StackOptions
    from infra.settings import get_settings

    settings, progress = get_settings(), Progress()
    with reported(), emptied(settings.data_dir / "demo") as folder:
        try:
            with LocalStack(StackOptions(folder, workers=WORKERS), settings, progress) as stack:
                stack.start()
                key = ensure_development_key(folder, stack.postgres.owner_url())
                failed = asyncio.run(run_demo(stack, key, progress, payments))
        except KeyboardInterrupt:
            progress.say("stopped; nothing is left running")
            raise typer.Exit(130) from None
    raise typer.Exit(1 if failed else 0)
