"""`python -m workers.replay [DIR]`: replays workflow histories against the workflows as they are now.

Invariant: what replays here is what a worker serves: its workflows, converter, interceptors and sandbox, nothing else. A
replay of nothing is a failure: it would prove nothing.

A history replays `cached` in one go, as in a worker that has kept the workflow in memory. It replays `uncached` once for each
of its workflow tasks, every time from its first event, as in a worker that keeps nothing (`max_cached_workflows=0`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer, WorkflowRunner
from temporalio.workflow import NondeterminismError

from infra.local.layout import find_running_stack
from infra.sampled_tracing import SampledTracing
from infra.settings import Settings, get_settings
from infra.temporal_client import connect
from infra.temporal_converter import data_converter
from workers.call_trace import CallTrace
from workers.registry import LOAN_WORKFLOWS, WORKFLOWS, sandbox

MAX_CUTS = 6
"""Places at which one history is cut: each is replayed from the beginning, so all of a long one would take its square."""

SERVED: Sequence[type] = (*WORKFLOWS, *LOAN_WORKFLOWS)

NEWEST_DEFAULT = 20
NEWEST_MAX = 1_000
"""Histories of one workflow type that are fetched from a server."""

CONNECT_TIMEOUT_S = 5.0
RPC_TIMEOUT = timedelta(seconds=20)
MESSAGE_MAX_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Failure:
    """A history that the workflows of today would not have made."""

    workflow_id: str
    run_id: str
    uncached: bool
    error: Exception

    @property
    def is_nondeterminism(self) -> bool:
        """Whether the workflow went another way, rather than raising."""
        return isinstance(self.error, NondeterminismError)

    def __str__(self) -> str:
        how = "uncached" if self.uncached else "cached"
        return f"{self.workflow_id} ({how}): {str(self.error)[:MESSAGE_MAX_CHARACTERS]}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many histories replayed, and which did not."""

    histories: int
    failures: list[Failure]

    @property
    def passed(self) -> bool:
        """Whether there was something to replay, and all of it replayed."""
        return self.histories > 0 and not self.failures


def replayer(workflows: Sequence[type] = SERVED, runner: WorkflowRunner | None = None) -> Replayer:
    """Return a replayer that treats workflows as a worker does."""
    return Replayer(
        workflows=workflows,
        workflow_runner=runner or sandbox(),
        data_converter=data_converter,
        interceptors=[SampledTracing(), CallTrace()],
    )


async def replay(
    histories: Iterable[WorkflowHistory], workflows: Sequence[type] = SERVED, runner: WorkflowRunner | None = None
) -> Replayed:
    """Replay each history cached and, if that goes well, uncached. Histories without a workflow task are left out."""
    whole = [history for history in histories if is_replayable(history)]
    failures = await _failures(whole, replayer(workflows, runner), uncached=False)
    failed = {failure.run_id for failure in failures}
    cuts = (cut for history in whole if history.run_id not in failed for cut in cut_at_tasks(history))
    failures += await _failures(cuts, replayer(workflows, runner), uncached=True)
    return Replayed(len(whole), failures)


def is_replayable(history: WorkflowHistory) -> bool:
    """Tell whether a worker has seen the workflow: the replayer would wait for ever for a first task that is not there."""
    return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED for event in history.events)


def cut_at_tasks(history: WorkflowHistory) -> Iterator[WorkflowHistory]:
    """Yield the history as it stood after each of its completed workflow tasks; after `MAX_CUTS` of them if there are more."""
    ends: list[int] = []
    seen_task = False
    for position, event in enumerate(history.events):
        if seen_task and event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            ends.append(position)
        seen_task = seen_task or event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    if seen_task:
        ends.append(len(history.events))
    for end in _spread(ends):
        yield history if end == len(history.events) else WorkflowHistory(history.workflow_id, history.events[:end])


def _spread(ends: list[int]) -> list[int]:
    """Return at most `MAX_CUTS` of them, the first and the last among them."""
    if len(ends) <= MAX_CUTS:
        return ends
    last = len(ends) - 1
    return [ends[number * last // (MAX_CUTS - 1)] for number in range(MAX_CUTS)]


async def _failures(histories: Iterable[WorkflowHistory], by: Replayer, *, uncached: bool) -> list[Failure]:
    failures: dict[str, Failure] = {}
    async with by.workflow_replay_iterator(_feed(histories)) as results:
        async for result in results:
            if result.replay_failure is not None:
                run_id = result.history.run_id
                failure = Failure(result.history.workflow_id, run_id, uncached, result.replay_failure)
                failures.setdefault(run_id, failure)
    return list(failures.values())


async def _feed(histories: Iterable[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in histories:
        yield history


def read_histories(folder: Path) -> list[WorkflowHistory]:
    """Read the recorded histories (`*.json`) of a folder; each is known by its file's name."""
    return [WorkflowHistory.from_json(path.stem, path.read_text()) for path in sorted(folder.glob("*.json"))]


async def newest_histories(client: Client, newest: int, workflows: Sequence[type] = SERVED) -> list[WorkflowHistory]:
    """Fetch the histories of the `newest` workflows of each type, running ones included. Raises RPCError."""
    histories: list[WorkflowHistory] = []
    for workflow_type in workflows:
        query = f"WorkflowType = '{workflow_type.__name__}'"
        async for found in client.list_workflows(query, limit=newest, rpc_timeout=RPC_TIMEOUT):
            handle = client.get_workflow_handle(found.id, run_id=found.run_id)
            try:
                histories.append(await handle.fetch_history(rpc_timeout=RPC_TIMEOUT))
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:  # its retention may have ended meanwhile
                    raise
    return histories


async def _of_server(settings: Settings, newest: int) -> list[WorkflowHistory]:
    """Return the newest histories of a server. Raises RuntimeError when it does not answer."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        client = await connect(settings)
    return await newest_histories(client, newest)


async def run(folder: Path | None, settings: Settings, newest: int, *, server_expected: bool) -> int:
    """Replay a folder and a server, say how it went, and return the exit status."""
    recorded = read_histories(folder) if folder is not None else []
    _say(f"{len(recorded)} recorded histories in {folder}" if folder is not None else "no folder of histories named")
    try:
        live = await _of_server(settings, newest)
        _say(f"{len(live)} histories of the Temporal server at {settings.temporal_address}")
    except (RuntimeError, TimeoutError, RPCError) as error:
        _say(f"no Temporal server answers at {settings.temporal_address}")
        if server_expected:
            _say(f"FAILED: {str(error)[:MESSAGE_MAX_CHARACTERS] or type(error).__name__}")
            return 1
        live = []
    replayed = await replay([*recorded, *live])
    for failure in replayed.failures:
        _say(f"FAILED: {failure}")
    if folder is not None and not recorded:
        _say(f"FAILED: {folder} holds no histories; record some with `python -m tests.replay.record`")
        return 1
    if replayed.histories == 0:
        _say("FAILED: nothing was replayed")
    elif replayed.passed:
        _say(f"all {replayed.histories} replay, cached and uncached")
    return 0 if replayed.passed else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _newest(text: str) -> int:
    number = int(text)
    if not 1 <= number <= NEWEST_MAX:
        raise argparse.ArgumentTypeError(f"must be between 1 and {NEWEST_MAX}")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay what the command line names; the exit status is 0 when something was replayed and nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m workers.replay", description="Replay workflow histories.")
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="recorded histories, *.json")
    parser.add_argument(
        "--address", help="host:port of a Temporal server that must answer (default: one that happens to)"
    )
    parser.add_argument("--namespace", help="its namespace")
    parser.add_argument("--newest", type=_newest, default=NEWEST_DEFAULT, help="histories of each type to fetch")
    options = parser.parse_args(arguments)
    configured = get_settings()
    stack = find_running_stack(configured.data_dir)
    named = {"temporal_address": options.address, "temporal_namespace": options.namespace}
    settings = (stack.settings() if stack is not None else configured).model_copy(
        update={name: value for name, value in named.items() if value is not None}
    )
    status = asyncio.run(run(options.folder, settings, options.newest, server_expected=options.address is not None))
    gc.collect()  # lets the client and the replayer go before the interpreter: threads of theirs must not outlive it
    return status


if __name__ == "__main__":
    sys.exit(main())
