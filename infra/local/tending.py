"""Starts again what ended on its own, as long as it does not keep ending.

Invariant: one part that comes back slowly, or dies again before it serves, keeps no other part away, and does not bring the stack
down before it has ended `RESTARTS_MAX` times within `RESTART_WINDOW_S`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import psycopg
from temporalio.service import RPCError

from infra.local.child import LocalStackError, ManagedProcess, ProcessFailedError
from infra.local.processes import Supervisor
from infra.temporal_namespace import NamespaceError

RESTARTS_MAX = 5
RESTART_WINDOW_S = 60.0
SERVE_TIMEOUT_S = 30.0
"""How long parts started again are waited for; they go on starting afterwards."""

POLL_INTERVAL_S = 0.1


class Tending:
    """Watches over the parts of one supervisor. `begin` starts a part again, by its name.

    `first` names the parts that others need, in the order in which they come back.
    """

    def __init__(self, supervisor: Supervisor, begin: Callable[[str], None], first: tuple[str, ...]) -> None:
        self._supervisor = supervisor
        self._begin = begin
        self._first = first
        self._restarts: dict[str, deque[float]] = {}
        self._failures: dict[str, Exception] = {}

    def look(self) -> list[str]:
        """Start again what has ended, wait a while until it serves, and return a line for each start.

        Raises `LocalStackError` for a part that keeps ending, with the end of its log.
        """
        ended = {process.name: process for process in self._supervisor.ended()}
        fallen = sorted({*ended, *self._failures}, key=self._rank)
        lines = [self._revive(name, ended.get(name)) for name in fallen]
        self._wait_for(fallen)
        return lines

    def _rank(self, name: str) -> tuple[int, str]:
        return (self._first.index(name) if name in self._first else len(self._first), name)

    def _revive(self, name: str, ended: ManagedProcess | None) -> str:
        failure = self._failures.pop(name, None)
        self._count(name, ended, failure)
        why = f"ended with status {ended.returncode}" if ended is not None else "did not come back"
        try:
            self._begin(name)
        except (ProcessFailedError, NamespaceError, RPCError, psycopg.OperationalError) as error:
            self._failures[name] = error
            return f"{name} {why}; it is started again, once more: {str(error).partition(chr(10))[0]}"
        return f"{name} {why}; started again"

    def _count(self, name: str, ended: ManagedProcess | None, failure: Exception | None) -> None:
        history = self._restarts.setdefault(name, deque(maxlen=RESTARTS_MAX))
        now = time.monotonic()
        if len(history) == RESTARTS_MAX and now - history[0] < RESTART_WINDOW_S:
            reason = f"ended {RESTARTS_MAX} times within {RESTART_WINDOW_S:g} s"
            if ended is not None:
                raise ended.failure(reason)
            raise LocalStackError(f"{name} {reason}; at last: {failure}")
        history.append(now)

    def _wait_for(self, names: list[str]) -> None:
        """Return when all of them serve, or something has ended again, or after a while."""
        deadline = time.monotonic() + SERVE_TIMEOUT_S
        while names and not self._failures and time.monotonic() < deadline:
            if self._supervisor.ended() or all(self._serves(name) for name in names):
                return
            time.sleep(POLL_INTERVAL_S)

    def _serves(self, name: str) -> bool:
        try:
            process = self._supervisor.get(name)
        except KeyError:  # somebody else has stopped it meanwhile
            return True
        return process.spec.ready is None or process.spec.ready()
