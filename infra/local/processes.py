"""Starts, watches and stops child processes by name.

Invariant: no child outlives its supervisor. Each child leads a session of its own, so a Ctrl-C in the terminal reaches
only the supervisor, which stops the children in reverse order of their start; and when the supervisor itself is killed
with SIGKILL, the kernel ends them (Linux; see `exec_shim`).
"""

from __future__ import annotations

import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from infra.local.child import (
    LocalStackError,
    ManagedProcess,
    ProcessFailedError,
    ProcessSpec,
    child_environment,
    make_room,
    shim_command,
)

STOPPING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Owns children by name. A context manager: leaving it stops them all, however it is left.

    Used in the main thread it turns SIGTERM and SIGHUP into `SystemExit`, so that the same way out is taken as on
    Ctrl-C; a second signal while stopping skips the grace periods.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: dict[str, ManagedProcess] = {}
        self._closed = False
        self._hurry = threading.Event()
        # The kernel sends the death signal when the *thread* that forked ends: fork only from one that lives as long
        # as the supervisor, never from a caller's.
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING_SIGNALS:
                self._previous_handlers[number] = signal.signal(number, self._exit_on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._previous_handlers.items():
                signal.signal(number, handler)

    def launch(self, spec: ProcessSpec) -> ManagedProcess:
        """Start a child without waiting for it to be ready. The name must not belong to a running one."""
        try:
            return self._spawner.submit(self._spawn, spec).result()
        except RuntimeError as error:  # the spawner is shut down
            raise LocalStackError(f"{spec.name} was not started: the stack has stopped") from error

    def start(self, spec: ProcessSpec) -> ManagedProcess:
        """Start a child and wait until it is ready; on failure it is stopped and `ProcessFailedError` raised."""
        process = self.launch(spec)
        try:
            process.wait_ready()
        except ProcessFailedError:
            self.stop(spec.name)
            raise
        return process

    def run(self, spec: ProcessSpec, *, timeout_s: float) -> None:
        """Run a child to its end; raises `ProcessFailedError` when it fails or does not end in time."""
        process = self.launch(spec)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise process.failure(f"did not end within {timeout_s:g} s") from None
        finally:
            self.kill(spec.name)
        if code != 0:
            raise process.failure(f"ended with status {code}")

    def get(self, name: str) -> ManagedProcess:
        """Return the child of that name; raises `KeyError`."""
        with self._lock:
            return self._processes[name]

    def names(self) -> tuple[str, ...]:
        """Names of all children, in the order they were started."""
        with self._lock:
            return tuple(self._processes)

    def ended(self) -> tuple[ManagedProcess, ...]:
        """Children that ended without having been asked to."""
        with self._lock:
            return tuple(process for process in self._processes.values() if not process.is_running)

    def kill(self, name: str) -> None:
        """SIGKILL the child and forget it: what a crash looks like to everyone else."""
        self._forget(name).kill()

    def stop(self, name: str) -> None:
        """Stop the child with grace and forget it."""
        self._forget(name).terminate()

    def stop_all(self) -> None:
        """Stop every child, last started first. Safe to call twice; nothing can be started afterwards."""
        with self._lock:  # a start under way has finished and is known
            self._closed = True
        restore = self._hurry_on_signals()
        try:
            for name in reversed(self.names()):
                with suppress(subprocess.TimeoutExpired):  # not even SIGKILL ended it in time; the others still stop
                    self.get(name).terminate(hurry=self._hurry)
                    self._forget(name)
        finally:
            for number, handler in restore.items():
                signal.signal(number, handler)
            if not self.names():
                self._spawner.shutdown(wait=True)

    def _spawn(self, spec: ProcessSpec) -> ManagedProcess:
        with self._lock:
            if self._closed:
                raise LocalStackError(f"{spec.name} was not started: the stack is stopping")
            known = self._processes.get(spec.name)
            if known is not None and known.is_running:
                raise LocalStackError(f"{spec.name} is already running as process {known.pid}")
            make_room(spec.log_path)
            with spec.log_path.open("ab") as log:
                offset = log.tell()
                popen = subprocess.Popen(
                    shim_command(spec.argv, run_as=spec.run_as, death_signal=spec.death_signal),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=spec.cwd,
                    env=child_environment(spec),
                    start_new_session=True,
                )
            process = self._processes[spec.name] = ManagedProcess(spec, popen, offset)
            return process

    def _forget(self, name: str) -> ManagedProcess:
        with self._lock:
            return self._processes.pop(name)

    def _exit_on_signal(self, number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def _hurry_on_signals(self) -> dict[signal.Signals, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}

        def hurry(_number: int, _frame: FrameType | None) -> None:
            self._hurry.set()

        return {number: signal.signal(number, hurry) for number in (signal.SIGINT, *STOPPING_SIGNALS)}
