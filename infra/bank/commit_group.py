"""One writer thread that commits concurrent requests together.

Invariant: a caller gets its result only after the transaction holding its work is on disk, and commands run strictly
one after the other, so that a command may read, decide and write without any lock of its own. A command that raises
leaves nothing behind and does not disturb those it shares the commit with.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from infra.bank.errors import Refusal
from infra.bank.storage import open_writer

MAX_GROUP = 256
MAX_QUEUED = 4096
JOIN_TIMEOUT_S = 10.0

T = TypeVar("T")
Command = Callable[[sqlite3.Connection], Any]
_Job = tuple[Command, "asyncio.Future[Any]"]
_Settled = tuple["asyncio.Future[Any]", Any, BaseException | None]


class CommitGroup:
    """Runs commands on the bank's writing connection; whatever waits while one commit syncs is the next commit.

    There is no timer: alone, a command commits at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._serve, name="bank-writer", daemon=True)

    async def start(self) -> None:
        """Start the writer; raises what opening the data file raises."""
        self._thread.start()
        await self._opened

    async def run(self, command: Callable[[sqlite3.Connection], T]) -> T:
        """Run `command` in a shared transaction and return its result once that is committed.

        Raises whatever the command raises, and Refusal 503 when too many commands already wait.
        """
        if self._jobs.qsize() >= MAX_QUEUED:
            raise Refusal(503, "bank_busy", "Too many requests are waiting.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((command, future))
        return await future

    async def stop(self) -> None:
        """Commit what waits, then close the connection."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, JOIN_TIMEOUT_S)

    def _serve(self) -> None:
        try:
            connection = open_writer(self._path)
        except sqlite3.Error as error:
            self._loop.call_soon_threadsafe(self._opened.set_exception, error)
            return
        self._loop.call_soon_threadsafe(self._opened.set_result, None)
        try:
            while (group := self._next_group()) is not None:
                self._loop.call_soon_threadsafe(_deliver, _commit(connection, group))
        finally:
            connection.close()

    def _next_group(self) -> list[_Job] | None:
        """Wait for a job and take what else is there; None asks the thread to end."""
        job = self._jobs.get()
        if job is None:
            return None
        group = [job]
        while len(group) < MAX_GROUP:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            group.append(job)
        return group


def _commit(connection: sqlite3.Connection, group: list[_Job]) -> list[_Settled]:
    settled: list[_Settled] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for command, future in group:
            settled.append(_run_one(connection, command, future))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        # Nothing of this group is certain now: each caller learns that, none is told a result that may be lost.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return [(future, None, error) for _, future in group]
    return settled


def _run_one(connection: sqlite3.Connection, command: Command, future: "asyncio.Future[Any]") -> _Settled:
    connection.execute("SAVEPOINT command")
    try:
        result = command(connection)
    except Exception as error:  # noqa: BLE001 - it is handed to the caller, and must not end the writer
        connection.execute("ROLLBACK TO command")
        connection.execute("RELEASE command")
        return future, None, error
    connection.execute("RELEASE command")
    return future, result, None


def _deliver(settled: list[_Settled]) -> None:
    for future, result, error in settled:
        if future.done():  # its caller was cancelled meanwhile
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
