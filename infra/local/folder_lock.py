"""A lock on a folder, held by one process at a time and let go by the kernel when that process dies.

Invariant: two stacks never run over the same data.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local.child import LocalStackError

POLL_INTERVAL_S = 0.1


class FolderLock:
    """An exclusive lock in the file `path`, which also names its holder for the error message of the others.

    `guards` is the folder it keeps the others from, by default the one it lies in.
    """

    def __init__(self, path: Path, guards: Path | None = None) -> None:
        self._path = path
        self._guards = guards or path.parent
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self, *, timeout_s: float = 0.0) -> None:
        """Take the lock, waiting up to `timeout_s` seconds; raises `LocalStackError` when another process keeps it."""
        if self._descriptor is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                    os.close(descriptor)
                    raise LocalStackError(f"{self._guards} is in use by another run (process {holder})") from None
                time.sleep(POLL_INTERVAL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def is_held_elsewhere(self) -> bool:
        """Whether another process, or another lock object of this one, holds it now."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def release(self) -> None:
        """Let go; harmless when the lock is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """Have a folder to oneself, without what an earlier run left there.

    Raises `LocalStackError` while another run has it, whose data stay.
    """
    with FolderLock(folder.with_name(f"{folder.name}.lock"), guards=folder):
        shutil.rmtree(folder, ignore_errors=True)
        yield folder
