"""Concurrent callers share one flush, hence one round trip and one commit.

Invariant: each caller gets the answer of its own item, or the error of a flush that held its item; a caller that gives up
or sends what cannot be flushed does no harm to the others. Nothing waits for a timer: alone, an item is flushed at once,
and whatever arrives while flushes are under way is the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import psycopg

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MAX_BATCH = 512
"""Most items of one flush."""
MAX_QUEUE = 8_192
"""Most items that wait; the next caller is refused."""
MAX_FLUSHES = 2
"""Most flushes at once: while one waits for the disk, another computes."""


TRANSACTION_ROLLBACK = "40"
"""SQLSTATE class of deadlocks and serialization failures."""


class GroupCommitFullError(Exception):
    """Too many items wait already. Nothing was done with this one; try again later."""


class GroupCommitClosedError(Exception):
    """The group takes no more items."""


def is_outage(error: Exception) -> bool:
    """Whether an error speaks of the connection or the server, so that other items would meet the same.

    Deadlocks and serialization failures are psycopg.OperationalError too, but belong to the items of one flush.
    """
    if isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(TRANSACTION_ROLLBACK):
        return False
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, OSError, TimeoutError))


class GroupCommit(Generic[Item, Answer]):
    """Collects items of concurrent callers and hands them to `flush`, which answers each, in order.

    A flush that raises is split in halves and tried again, down to single items, so that only the callers of items that
    fail by themselves see an error; at most 2n - 1 flushes for n items. An outage is not worth that: then every caller of
    the batch gets the error. Flushing an item again must change nothing, as an idempotent write does.

    Use it as an async context manager, or call `aclose` at the end. It belongs to one event loop.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[list[Answer]]],
        *,
        max_batch: int = MAX_BATCH,
        max_queue: int = MAX_QUEUE,
        max_flushes: int = MAX_FLUSHES,
        is_outage: Callable[[Exception], bool] = is_outage,
    ) -> None:
        if min(max_batch, max_queue, max_flushes) < 1:
            raise ValueError("The bounds of a group are at least 1.")
        self._flush = flush
        self._max_batch, self._max_queue, self._max_flushes = max_batch, max_queue, max_flushes
        self._is_outage = is_outage
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._drains: set[asyncio.Task[None]] = set()
        self._draining = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        """Take items."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the group."""
        await self.aclose()

    @property
    def closed(self) -> bool:
        """Whether the group takes no more items."""
        return self._closed

    @property
    def waiting(self) -> int:
        """How many items wait for a flush."""
        return len(self._waiting)

    async def submit(self, item: Item) -> Answer:
        """Return the answer to `item` once the flush that held it is done.

        Raises what flushing the item raises, GroupCommitFullError, or GroupCommitClosedError. Cancelling the caller takes
        the item back if it still waits; if its flush is under way, that runs on to its end.
        """
        if self._closed:
            raise GroupCommitClosedError("The group is closed.")
        if len(self._waiting) >= self._max_queue:
            raise GroupCommitFullError(f"{len(self._waiting)} items wait already.")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._draining < self._max_flushes:
            self._draining += 1
            drain = asyncio.create_task(self._drain())
            self._drains.add(drain)
            drain.add_done_callback(self._drains.discard)
        return await future

    async def aclose(self) -> None:
        """Take no more items, flush those that wait, and return when all are answered. Safe to repeat."""
        self._closed = True
        while self._drains:
            await asyncio.wait(tuple(self._drains))

    async def _drain(self) -> None:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        try:
            while batch := self._next_batch():
                await self._flush_batch(batch)
        except asyncio.CancelledError:
            for _, future in (*batch, *self._waiting):
                future.cancel()
            self._waiting.clear()
            raise
        finally:
            # In the same step that found nothing waiting: a caller that comes after it starts a new drain. Whether a
            # task is done would be known a step later, and an item that came between would wait for ever.
            self._draining -= 1

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._max_batch:
            item, future = self._waiting.popleft()
            if not future.done():  # its caller was cancelled while it waited
                batch.append((item, future))
        return batch

    async def _flush_batch(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        """Flush, splitting a batch that fails; the parts still to do are kept in order."""
        parts = [batch]
        while parts:
            part = parts.pop()
            try:
                answers = await self._flush([item for item, _ in part])
                if len(answers) != len(part):
                    raise RuntimeError(f"A flush of {len(part)} items gave {len(answers)} answers.")
            except Exception as error:  # noqa: BLE001 - it is handed to the callers, and must not end the group
                if self._is_outage(error):
                    _fail([part, *parts], error)
                    return
                if len(part) == 1:
                    _fail([part], error)
                else:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                continue
            for (_, future), answer in zip(part, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail(parts: list[list[tuple[Item, asyncio.Future[Answer]]]], error: Exception) -> None:
    for part in parts:
        for _, future in part:
            if not future.done():
                future.set_exception(error)
