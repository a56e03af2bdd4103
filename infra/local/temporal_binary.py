"""Finds a `temporal` program, which holds the development server, or gets one.

Looked for in this order: the settings, PATH, our cache, the SDK's own download, a build with Go. Invariant: whatever is
returned was run and answered with a version new enough; when nothing works, the error lists everything tried and why.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from infra.local.child import LocalStackError, ProcessFailedError, ProcessSpec
from infra.local.folder_lock import FolderLock
from infra.local.go_install import BUILD_TIMEOUT_S, GoProgram, install_with_go
from infra.local.processes import Supervisor
from infra.local.progress import Progress
from infra.settings import Settings

# The newest release that `go install` accepts: later ones carry replace directives.
TEMPORAL_CLI = GoProgram("github.com/temporalio/cli/cmd/temporal", "v1.5.1", go=(1, 25))
OLDEST_SERVER = (1, 28)  # Update-with-Start is on by default from here
VERSION_TIMEOUT_S = 30.0
DOWNLOAD_TIMEOUT_S = 20.0

Finder = Callable[[], Path | None]

_DOWNLOAD = """
import asyncio, sys
from temporalio.testing import WorkflowEnvironment

async def download():
    environment = await WorkflowEnvironment.start_local(download_dest_dir=sys.argv[1])
    await environment.shutdown()

asyncio.run(download())
"""


class UnusableBinaryError(LocalStackError):
    """A candidate is there but will not do; the message says why."""


def find_temporal(settings: Settings, progress: Progress) -> Path:
    """Return the path of a usable `temporal`, downloading or building one when there is none.

    Raises `LocalStackError` with everything that was tried and what to do. A path in the settings that will not do
    raises at once: whoever set it wants that one.
    """
    if settings.temporal_bin is not None:
        return require_usable(settings.temporal_bin)
    cache = cache_folder(settings.data_dir)
    tried: list[str] = []
    for label, finder in (("PATH", _on_path), (f"the cache {cache}", lambda: _in_cache(cache))):
        found = _attempt(label, finder, tried)
        if found is not None:
            return found
    lock = FolderLock(cache / ".setup.lock")
    _acquire(lock, progress)
    try:
        for label, finder in (
            (f"the cache {cache}", lambda: _in_cache(cache)),
            ("the SDK's download", lambda: _download(cache, progress)),
            (f"go install {TEMPORAL_CLI.package}@{TEMPORAL_CLI.version}", lambda: _build(cache, progress)),
        ):
            found = _attempt(label, finder, tried)
            if found is not None:
                return found
    finally:
        lock.release()
    attempts = "\n".join(f"  - {line}" for line in dict.fromkeys(tried))
    raise LocalStackError(
        f"no usable `temporal` program was found. Tried:\n{attempts}\n"
        "Install the Temporal CLI (https://docs.temporal.io/cli) or Go 1.25 and try again, "
        "or set CLEARHOLD_TEMPORAL_BIN to the path of a `temporal` program."
    )


def find_installed_temporal(settings: Settings) -> Path | None:
    """Return a usable `temporal` that is already here, or None; fetches nothing."""
    if settings.temporal_bin is not None:
        return require_usable(settings.temporal_bin)
    for finder in (_on_path, lambda: _in_cache(cache_folder(settings.data_dir))):
        found = _attempt("", finder, [])
        if found is not None:
            return found
    return None


def cache_folder(data_dir: Path) -> Path:
    """Return the folder for programs, shared by all checkouts of a user; below `data_dir` where there is no such."""
    root = os.environ.get("XDG_CACHE_HOME") or (Path(home) / ".cache" if (home := os.environ.get("HOME")) else None)
    if root is not None:
        folder = Path(root) / "clearhold" / "bin"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            pass
        else:
            if os.access(folder, os.W_OK):
                return folder
    folder = data_dir.absolute() / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def require_usable(path: Path) -> Path:
    """Return the path when it answers as a new enough `temporal`; raises `UnusableBinaryError`."""
    if not path.is_file():
        raise UnusableBinaryError(f"{path} is not a file")
    try:
        answer = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnusableBinaryError(f"{path} does not run: {error}") from error
    found = re.search(r"\(Server (\d+)\.(\d+)", answer.stdout)
    if answer.returncode != 0 or found is None:
        raise UnusableBinaryError(f"{path} --version answered {(answer.stdout + answer.stderr).strip()[:200]!r}")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST_SERVER:
        raise UnusableBinaryError(
            f"{path} holds server {version[0]}.{version[1]}, older than {OLDEST_SERVER[0]}.{OLDEST_SERVER[1]}"
        )
    return path


def _attempt(label: str, finder: Finder, tried: list[str]) -> Path | None:
    try:
        found = finder()
        if found is not None:
            return require_usable(found)
        tried.append(f"{label}: nothing there")
    except LocalStackError as error:
        tried.append(f"{label}: {error}")
    return None


def _acquire(lock: FolderLock, progress: Progress) -> None:
    try:
        lock.acquire()
    except LocalStackError:
        with progress.step("another setup is getting the Temporal program; waiting for it"):
            lock.acquire(timeout_s=BUILD_TIMEOUT_S)


def _on_path() -> Path | None:
    found = shutil.which("temporal")
    return Path(found) if found else None


def _in_cache(cache: Path) -> Path | None:
    candidates = (cache / "temporal", *sorted(cache.glob("temporal-sdk-python-*"), reverse=True))
    return next((path for path in candidates if path.is_file()), None)


def _download(cache: Path, progress: Progress) -> Path | None:
    """Let the SDK download its server, in a process of its own so that the wait for it has a bound."""
    log_path = cache / ".download.log"
    log_path.unlink(missing_ok=True)
    spec = ProcessSpec("download", (sys.executable, "-c", _DOWNLOAD, str(cache)), log_path)
    try:
        with progress.step("downloading the Temporal development server"), Supervisor() as supervisor:
            supervisor.run(spec, timeout_s=DOWNLOAD_TIMEOUT_S)
    except ProcessFailedError as error:
        raise LocalStackError((error.log_tail.splitlines() or ["failed without a word"])[-1]) from error
    return _in_cache(cache)


def _build(cache: Path, progress: Progress) -> Path:
    return install_with_go(TEMPORAL_CLI, cache, progress)
