"""`python -m tests.replay.record [PATH ...]`: plays paths on a Temporal server of its own and writes the histories.

Without a name, all of them; a name may be a pattern: `'loan_*'` are the paths of loans.

Run it after a change to a workflow that nobody has released; a change to a released one ships with `workflow.patched`, and
then the old histories stay beside the new (copy them to another name first). A history whose story did not change keeps its
file, so that what `git diff` shows is what changed. The paths run over fakes of database and bank: a history holds what
server and worker exchanged, and these are real.
"""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from temporalio.client import Client

from infra.local.temporal import LocalTemporal
from tests.replay.canonical import canonical, story
from tests.replay.loan_scene import LoanScene
from tests.replay.paths import LOAN_PATHS, PATHS
from tests.replay.scene import Scene
from tests.support.loan_world import loan_world
from tests.support.payment_world import payment_world
from tests.support.temporal import client_of, running_temporal

HISTORIES = Path(__file__).parent / "histories"
ALL_PATHS = frozenset(PATHS) | frozenset(LOAN_PATHS)
AT_ONCE = 4
PATH_TIMEOUT_S = 60.0
LINES_TOLD = 200
"""Last lines of the workers' complaints that are shown when recording fails."""


async def play(client: Client, name: str, *, max_cached_workflows: int = 100) -> dict[str, str]:
    """Play one path on a worker of its own; return its histories in canonical form, by name."""
    async with asyncio.timeout(PATH_TIMEOUT_S):
        if name in LOAN_PATHS:
            async with loan_world(client, max_cached_workflows=max_cached_workflows) as lending:
                loan_scene = LoanScene(name, lending)
                await LOAN_PATHS[name](loan_scene)
                histories, task_queue = await loan_scene.histories(), lending.task_queue
        else:
            async with payment_world(client, max_cached_workflows=max_cached_workflows) as world:
                scene = Scene(name, world)
                await PATHS[name](scene)
                histories, task_queue = await scene.histories(), world.task_queue
    return {each: canonical(history, task_queue) for each, history in histories.items()}


async def play_all(client: Client, names: Sequence[str]) -> dict[str, str]:
    """Play paths, a few at once."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> dict[str, str]:
        async with turns:
            return await play(client, name)

    async with asyncio.TaskGroup() as group:
        played = [group.create_task(one(name)) for name in names]
    return {name: text for task in played for name, text in task.result().items()}


def write(recorded: dict[str, str], folder: Path, *, complete: bool, force: bool) -> dict[str, list[str]]:
    """Write the histories; return the names that were added, changed, kept, and, when all paths ran, removed."""
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[str, list[str]] = {"added": [], "changed": [], "kept": [], "removed": []}
    for name, text in recorded.items():
        file = folder / f"{name}.json"
        known = file.exists()
        if known and not force and story(file.read_text()) == story(text):
            done["kept"].append(name)
            continue
        file.write_text(text)
        done["changed" if known else "added"].append(name)
    for file in sorted(folder.glob("*.json")) if complete else ():
        if file.stem not in recorded:
            file.unlink()
            done["removed"].append(file.stem)
    return done


async def _record(server: LocalTemporal, names: Sequence[str]) -> dict[str, str]:
    client = await client_of(server)
    return await play_all(client, names)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what workers say about the faults that the paths play, unless recording fails."""
    streams = (sys.stdout, sys.stderr)
    with tempfile.TemporaryFile("w+") as said:
        for stream in streams:
            stream.flush()
        kept = [os.dup(stream.fileno()) for stream in streams]
        failed = True
        try:
            for stream in streams:
                os.dup2(said.fileno(), stream.fileno())
            yield
            failed = False
        finally:
            for stream, descriptor in zip(streams, kept, strict=True):
                stream.flush()
                os.dup2(descriptor, stream.fileno())
                os.close(descriptor)
            if failed:
                said.seek(0)
                sys.stderr.writelines(said.readlines()[-LINES_TOLD:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the paths that the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.replay.record", description="Record workflow histories.")
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help=f"paths to record, or patterns (default: all {len(ALL_PATHS)})"
    )
    parser.add_argument("--force", action="store_true", help="write also the histories whose story did not change")
    options = parser.parse_args(arguments)
    unknown = sorted(pattern for pattern in options.paths if not fnmatch.filter(ALL_PATHS, pattern))
    if unknown:
        parser.error(f"no path is named {', '.join(unknown)}; there are: {', '.join(sorted(ALL_PATHS))}")
    chosen = {name for pattern in options.paths for name in fnmatch.filter(ALL_PATHS, pattern)}
    trace.set_tracer_provider(TracerProvider())  # histories of production carry traces, so these do
    began = time.monotonic()
    with _quiet(), running_temporal() as server:
        recorded = asyncio.run(_record(server, sorted(chosen or ALL_PATHS)))
    done = write(recorded, HISTORIES, complete=not options.paths, force=options.force)
    counts = ", ".join(f"{len(names)} {what}" for what, names in done.items())
    sys.stdout.write(f"{len(recorded)} histories in {time.monotonic() - began:.0f} s: {counts}\n")
    for what in ("added", "changed", "removed"):
        sys.stdout.writelines(f"{what}: {name}\n" for name in done[what])
    gc.collect()  # lets the client go before the interpreter: its threads must not outlive it
    return 0


if __name__ == "__main__":
    sys.exit(main())
