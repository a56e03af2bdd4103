"""One child process: what to run, how to tell that it serves, and how to end it.

Invariant: a child leads a session of its own, and ending it ends its whole process group.

    LocalStackError
    ├── ProcessFailedError   a child ended, or was not ready in time; carries the end of its log
    └── UnusableBinaryError  (temporal_binary)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.readiness import Probe

READY_TIMEOUT_S = 60.0
STOP_GRACE_S = 15.0
KILL_TIMEOUT_S = 10.0
POLL_INTERVAL_S = 0.02
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 64 * 1024
LOG_MAX_BYTES = 64 * 1024 * 1024
SHIM = Path(__file__).with_name("exec_shim.py")


class LocalStackError(Exception):
    """Something the embedded stack needs could not be had; the message says what, and what to do."""


class ProcessFailedError(LocalStackError):
    """A child ended when it should not have, or did not become ready within its bound."""

    def __init__(self, name: str, reason: str, log_path: Path, log_tail: str) -> None:
        super().__init__(f"{name} {reason}; the end of {log_path}:\n{log_tail or '(nothing was logged)'}")
        self.name = name
        self.log_path = log_path
        self.log_tail = log_tail


@dataclass(frozen=True, slots=True)
class RunAs:
    """The system user of a child, for a supervisor that runs as root.

    `capability` is a Linux capability number the child keeps, or -1.
    """

    uid: int
    gid: int
    capability: int = -1


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run, how to tell that it is ready, and how to stop it. Durations in seconds.

    `env` is added to this process's environment; None takes a variable out of it.
    """

    name: str
    argv: tuple[str, ...]
    log_path: Path
    env: Mapping[str, str | None] = field(default_factory=dict)
    cwd: Path | None = None
    ready: Probe | None = None
    ready_timeout_s: float = READY_TIMEOUT_S
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = STOP_GRACE_S
    death_signal: signal.Signals = signal.SIGKILL
    run_as: RunAs | None = None


class ManagedProcess:
    """One child, from its start until it was reaped."""

    def __init__(self, spec: ProcessSpec, popen: subprocess.Popen[bytes], log_offset: int) -> None:
        self.spec = spec
        self.started_at = time.monotonic()
        self._popen = popen
        self._log_offset = log_offset

    @property
    def name(self) -> str:
        """The name in its spec."""
        return self.spec.name

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Exit status; negative the signal that ended it; None while it runs."""
        return self._popen.poll()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.returncode is None

    def log_tail(self) -> str:
        """Return the last lines logged since this start."""
        with suppress(OSError), self.spec.log_path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_offset, end - LOG_TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        return ""

    def wait_ready(self) -> None:
        """Poll until the probe holds; raises `ProcessFailedError` when the child ends first or the bound is reached."""
        deadline = time.monotonic() + self.spec.ready_timeout_s
        while True:
            code = self.returncode
            if code is not None:
                raise self.failure(f"ended with status {code} before it was ready")
            if self.spec.ready is None or self.spec.ready():
                return
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready within {self.spec.ready_timeout_s:g} s")
            time.sleep(POLL_INTERVAL_S)

    def failure(self, reason: str) -> ProcessFailedError:
        """Make an error about this child which shows the end of its log."""
        return ProcessFailedError(self.name, reason, self.spec.log_path, self.log_tail())

    def kill(self) -> None:
        """End it and its process group at once with SIGKILL, and reap it."""
        self._signal_group(signal.SIGKILL)
        self._popen.wait(timeout=KILL_TIMEOUT_S)

    def terminate(self, *, hurry: threading.Event | None = None) -> None:
        """Ask it to stop, give it its grace, then kill what is left of its process group."""
        if self.is_running:
            with suppress(ProcessLookupError):
                self._popen.send_signal(self.spec.stop_signal)
        deadline = time.monotonic() + self.spec.stop_grace_s
        while self.is_running and time.monotonic() < deadline and not (hurry and hurry.is_set()):
            time.sleep(POLL_INTERVAL_S)
        self.kill()

    def wait(self, timeout_s: float) -> int:
        """Wait for its end and return the exit status; raises `subprocess.TimeoutExpired`."""
        return self._popen.wait(timeout=timeout_s)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def child_environment(spec: ProcessSpec) -> dict[str, str]:
    """Return the whole environment of the child."""
    merged: dict[str, str | None] = {**os.environ, "PYTHONUNBUFFERED": "1", **spec.env}
    return {key: value for key, value in merged.items() if value is not None}


def make_room(log_path: Path) -> None:
    """Start a new log when the old one is long; one generation is kept, as `<name>.1`."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > LOG_MAX_BYTES:
        log_path.replace(log_path.with_name(f"{log_path.name}.1"))


def shim_command(
    argv: tuple[str, ...], *, run_as: RunAs | None = None, death_signal: signal.Signals = signal.SIGKILL
) -> list[str]:
    """Return the command line that runs `argv` through the shim, as a child of this process."""
    who = run_as or RunAs(uid=-1, gid=-1)
    options = (os.getpid(), int(death_signal), who.uid, who.gid, who.capability)
    return [sys.executable, "-I", "-S", str(SHIM), *(str(option) for option in options), *argv]
