"""The saga: what was done so far and how to undo it.

Invariants
- A compensation is added before its step runs, so a crash between the two loses nothing; it must therefore be a no-op when
  the step never happened, and safe to repeat.
- They run newest first. One that fails for good does not stop the others; it stays on the list, so that running the
  saga again tries only what is left.
- `shielded` carries a piece of work through any number of cancellations: one `asyncio.shield` alone does not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio.exceptions import ApplicationError, FailureError

Result = TypeVar("Result")

SAGA_FAILURES = (asyncio.CancelledError, FailureError, TimeoutError)
"""What ends a step and must be compensated: a cancellation while waiting, a failed activity, a local timeout. Anything else is
a defect in the workflow's code: it fails the workflow task, changes nothing, and goes on once the code is mended."""


@dataclass(frozen=True)
class Compensation:
    """How to undo one step; `name` is shown to operators."""

    name: str
    run: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class FailedCompensation:
    """A compensation that failed for good, and why."""

    name: str
    reason: str


class Saga:
    """The compensations of the steps done or begun, oldest first."""

    def __init__(self) -> None:
        self._compensations: list[Compensation] = []

    @property
    def names(self) -> list[str]:
        """The names of the compensations, in the order in which they would run."""
        return [compensation.name for compensation in reversed(self._compensations)]

    def add(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Register how to undo the step that is about to run. One of that name that is registered already stays as it is."""
        if name not in self.names:
            self._compensations.append(Compensation(name, run))

    def drop(self, name: str) -> None:
        """Forget a compensation whose step can no longer need it."""
        self._compensations = [kept for kept in self._compensations if kept.name != name]

    def forget(self) -> None:
        """Forget all: what was done stands."""
        self._compensations.clear()

    async def compensate(self) -> list[FailedCompensation]:
        """Run all, newest first, and return those that failed; these stay registered."""
        failed: list[FailedCompensation] = []
        for compensation in reversed(tuple(self._compensations)):
            try:
                await compensation.run()
            except SAGA_FAILURES as failure:
                failed.append(FailedCompensation(compensation.name, reason_of(failure)))
            else:
                self._compensations.remove(compensation)
        return failed


async def shielded(work: Coroutine[Any, Any, Result]) -> tuple[Result, bool]:
    """Run `work` to its end whatever cancels the caller; return its result and whether a cancellation came meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            cancelled = True
    return task.result(), cancelled


def reason_of(failure: BaseException) -> str:
    """Return the innermost message of a failure: what an operator needs to read."""
    innermost: BaseException = failure
    while innermost.__cause__ is not None:
        innermost = innermost.__cause__
    said = innermost.message if isinstance(innermost, FailureError) else str(innermost)
    return said or type(innermost).__name__


def code_of(failure: BaseException) -> str:
    """Return a failure's stable code: the type of the innermost application failure, in snake case."""
    code = type(failure).__name__
    innermost: BaseException | None = failure
    while innermost is not None:
        code = (innermost.type if isinstance(innermost, ApplicationError) else None) or code
        innermost = innermost.__cause__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in code).lstrip("_")
