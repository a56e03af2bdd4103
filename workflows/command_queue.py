"""Commands of clients, carried out one at a time: an update puts its command in line and waits for the outcome.

Invariant: every command that was let in is answered, with the outcome or with a refusal, before its workflow ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain.errors import DomainError

Command = TypeVar("Command")
Answer = TypeVar("Answer")

TOO_MANY_COMMANDS = "too_many_commands"
"""Failure type: the line is full; ask again later."""


@dataclass
class _Waiting(Generic[Command, Answer]):
    id: str
    command: Command
    outcome: asyncio.Future[Answer]
    context: Context


class CommandQueue(Generic[Command, Answer]):
    """The line. `take` begins a command, `answer` or `refuse` ends it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._line: deque[_Waiting[Command, Answer]] = deque()
        self._current: _Waiting[Command, Answer] | None = None

    def __len__(self) -> int:
        return len(self._line)

    @property
    def current_id(self) -> str:
        """The id of the command under way, which is its update's and so its client's; empty when there is none."""
        return self._current.id if self._current is not None else ""

    @property
    def is_idle(self) -> bool:
        """Whether no command waits and none is being carried out."""
        return self._current is None and not self._line

    def require_room(self) -> None:
        """Raise ApplicationError when the line is full. For validators."""
        if len(self._line) >= self._most:
            raise ApplicationError(
                f"{self._most} commands are waiting already.", type=TOO_MANY_COMMANDS, non_retryable=True
            )

    async def ask(self, command: Command) -> Answer:
        """Put the command of this update in line and return its outcome; raises ApplicationError when it is refused."""
        waiting: _Waiting[Command, Answer] = _Waiting(
            update_id(), command, asyncio.get_running_loop().create_future(), copy_context()
        )
        self._line.append(waiting)
        return await waiting.outcome

    def take(self) -> Command:
        """Begin the next command."""
        self._current = self._line.popleft()
        return self._current.command

    async def in_context_of_sender(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what the command under way asks for in the context of its sender, so that it stands in the trace of that call."""
        if self._current is None:
            await work
        else:
            await asyncio.create_task(work, context=self._current.context)

    def answer(self, outcome: Answer) -> None:
        """End the command under way, if there is one, with its outcome."""
        waiting, self._current = self._current, None
        if waiting is not None and not waiting.outcome.done():
            waiting.outcome.set_result(outcome)

    def refuse(self, refusal: DomainError | ApplicationError) -> None:
        """End the command under way, if there is one, with a refusal."""
        waiting, self._current = self._current, None
        if waiting is not None and not waiting.outcome.done():
            waiting.outcome.set_exception(as_failure(refusal))

    def close(
        self, outcome: Answer, check: Callable[[Command], None], is_done: Callable[[str], bool] = lambda _: False
    ) -> None:
        """Answer all that still wait: a refusal where `check` raises DomainError, else `outcome`, as those that are done already.

        `is_done` tells by its id whether a command was carried out before.
        """
        for waiting in self._line:
            try:
                if not is_done(waiting.id):
                    check(waiting.command)
            except DomainError as refusal:
                waiting.outcome.set_exception(as_failure(refusal))
            else:
                waiting.outcome.set_result(outcome)
        self._line.clear()


def update_id() -> str:
    """Return the id of the update that is being handled: it comes from its client's idempotency key. Empty outside of one."""
    info = workflow.current_update_info()
    return info.id if info is not None else ""


def as_failure(refusal: DomainError | ApplicationError) -> ApplicationError:
    """Return a refusal as a failure that reaches the client with its stable code and its advice."""
    if isinstance(refusal, ApplicationError):
        return refusal
    return ApplicationError(str(refusal), refusal.advice, type=refusal.code, non_retryable=True)
