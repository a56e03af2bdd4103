"""Builds a Go program from the Go module proxy into a folder of ours.

Invariant: the program appears in the folder whole or not at all, and two builds of it never run at once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from infra.local.child import LocalStackError, ManagedProcess, ProcessSpec
from infra.local.folder_lock import FolderLock
from infra.local.processes import Supervisor
from infra.local.progress import Progress

BUILD_TIMEOUT_S = 1_800.0
GO_VERSION_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.2
OLDEST_GO_THAT_UPGRADES_ITSELF = (1, 21)


@dataclass(frozen=True, slots=True)
class GoProgram:
    """A main package at a version. `go` is the language version its module asks for."""

    package: str
    version: str
    go: tuple[int, int]

    @property
    def name(self) -> str:
        """The name of the built file: the last part of the package path."""
        return self.package.rsplit("/", 1)[-1]


def install_with_go(program: GoProgram, folder: Path, progress: Progress) -> Path:
    """Build the program into `folder`, unless it is there, and return its path.

    Raises `LocalStackError` when there is no Go or one too old, the build fails, or it takes longer than its bound.
    """
    target = folder / program.name
    go = find_go(program)
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder / f".{program.name}.lock") as lock:
        del lock
        if target.exists():
            return target
        staging = folder / f".{program.name}.unfinished"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            _build(go, program, staging, progress)
            (staging / program.name).rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def find_go(program: GoProgram) -> str:
    """Return the path of a Go that can build the program; raises `LocalStackError`."""
    go = shutil.which("go")
    if go is None:
        raise LocalStackError("there is no `go` on PATH")
    answer = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, timeout=GO_VERSION_TIMEOUT_S, check=False
    )
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    if found is None:
        raise LocalStackError(f"{go} does not tell its version: {answer.stderr.strip() or answer.stdout.strip()!r}")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST_GO_THAT_UPGRADES_ITSELF:
        raise LocalStackError(
            f"{go} is {answer.stdout.strip()}, and {program.name} needs go{program.go[0]}.{program.go[1]}"
        )
    return go


def _build(go: str, program: GoProgram, staging: Path, progress: Progress) -> None:
    log_path = staging / "build.log"
    spec = ProcessSpec(
        name=f"build of {program.name}",
        argv=(go, "install", "-v", "-trimpath", "-ldflags=-s -w", f"{program.package}@{program.version}"),
        log_path=log_path,
        env={"GOBIN": str(staging.absolute()), **_go_folders(staging.parent)},
        cwd=Path("/"),  # away from any go.mod
    )
    with Supervisor() as supervisor:
        process = supervisor.launch(spec)
        title = f"building {program.name} {program.version} with Go (minutes, the first time)"
        with progress.step(title, lambda: _how_far(log_path)):
            _wait(process)


def _wait(process: ManagedProcess) -> None:
    deadline = time.monotonic() + BUILD_TIMEOUT_S
    while (code := process.returncode) is None:
        if time.monotonic() > deadline:
            raise process.failure(f"did not end within {BUILD_TIMEOUT_S:g} s")
        time.sleep(POLL_INTERVAL_S)
    if code != 0:
        raise process.failure(f"ended with status {code}")


def _go_folders(folder: Path) -> dict[str, str]:
    """Without a home, Go does not know where to keep its caches: give it places beside the program."""
    if os.environ.get("HOME"):
        return {}
    return {
        "GOPATH": os.environ.get("GOPATH", str(folder / ".go")),
        "GOCACHE": os.environ.get("GOCACHE", str(folder / ".go-build")),
    }


def _how_far(log_path: Path) -> str:
    """Read off Go's own log: it first names each module it downloads, then each package it has compiled."""
    try:
        lines = log_path.read_text(errors="replace").splitlines()
    except OSError:
        return "starting"
    downloads = sum(line.startswith("go: downloading") for line in lines)
    packages = len(lines) - downloads
    if packages == 0:
        return f"{downloads} modules downloaded"
    return f"{downloads} modules downloaded, {packages} packages compiled"
