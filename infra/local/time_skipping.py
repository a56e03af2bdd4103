"""Temporal's test server, whose clock jumps to the next timer when nothing else is to be done: thirty years in a minute.

It is a Java program (io.temporal:temporal-test-server). Maven resolves it once, from whatever repositories this machine is set
up for, into the folder of our programs; `test_server.sha256` beside this file pins every jar.

Invariants
- Jars appear in the folder all together or not at all, each with its pinned checksum.
- There is one clock for the whole server: a server serves one test.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.child import LocalStackError, ProcessFailedError, ProcessSpec
from infra.local.folder_lock import FolderLock
from infra.local.ports import PortAllocator
from infra.local.processes import Supervisor
from infra.local.progress import Progress
from infra.local.readiness import LOOPBACK, tcp_probe
from infra.local.temporal_binary import cache_folder
from infra.settings import Settings

VERSION = "1.32.1"
CHECKSUMS = Path(__file__).with_name("test_server.sha256")
MAIN_CLASS = "io.temporal.testserver.TestServer"
OLDEST_JAVA = 11
MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
RESOLVE_TIMEOUT_S = 300.0
JAVA_VERSION_TIMEOUT_S = 60.0
HEAP = "-Xmx512m"


class NoTestServerError(LocalStackError):
    """What the server needs is not on this machine, and could not be got; the message says what."""


_PROJECT = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>clearhold</groupId>
  <artifactId>time-skipping-server</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>io.temporal</groupId>
      <artifactId>temporal-test-server</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def find_java() -> str:
    """Return the path of a Java that runs the server; raises `NoTestServerError` when there is none, or one too old."""
    java = shutil.which("java")
    if java is None:
        raise NoTestServerError("there is no `java` on PATH")
    answer = subprocess.run(
        [java, "-version"], capture_output=True, text=True, timeout=JAVA_VERSION_TIMEOUT_S, check=False
    )
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    if answer.returncode or found is None:
        raise NoTestServerError(f"{java} does not tell its version: {answer.stderr.strip()[:200]!r}")
    if int(found[1]) < OLDEST_JAVA:
        raise NoTestServerError(f"{java} is Java {found[1]}, and the time-skipping server needs {OLDEST_JAVA}")
    return java


def pinned_jars() -> dict[str, str]:
    """Return the SHA-256 of each jar by its name."""
    return {name: digest for digest, name in (line.split() for line in CHECKSUMS.read_text().splitlines())}


def find_test_server(data_dir: Path, progress: Progress) -> Path:
    """Return the folder with the server's jars, resolved by Maven unless they are there.

    Raises `NoTestServerError` when they cannot be had, `LocalStackError` when they are not the pinned ones.
    """
    folder = cache_folder(data_dir) / f"temporal-test-server-{VERSION}"
    if folder.is_dir():
        _require_pinned(folder)
        return folder
    lock = FolderLock(folder.parent / ".test-server.lock")
    lock.acquire(timeout_s=RESOLVE_TIMEOUT_S)
    try:
        if not folder.is_dir():
            _resolve(folder, progress)
    finally:
        lock.release()
    return folder


def _resolve(folder: Path, progress: Progress) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NoTestServerError("there is no `mvn` on PATH to get the time-skipping server with")
    staging = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        (staging / "pom.xml").write_text(_PROJECT)
        argv = (maven, "--batch-mode", "--quiet", MAVEN_GOAL, "-DoutputDirectory=jars", "-DincludeScope=runtime")
        spec = ProcessSpec("Maven", argv, staging / "maven.log", cwd=staging)
        with progress.step(f"resolving the time-skipping server {VERSION} with Maven"), Supervisor() as supervisor:
            supervisor.run(spec, timeout_s=RESOLVE_TIMEOUT_S)
        _require_pinned(staging / "jars")
        (staging / "jars").rename(folder)
    except ProcessFailedError as error:
        raise NoTestServerError(f"Maven could not resolve the time-skipping server: {error.log_tail}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _require_pinned(jars: Path) -> None:
    """Raise `LocalStackError` unless the folder holds the pinned jars and nothing else."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in jars.glob("*.jar")}
    pinned = pinned_jars()
    wrong = sorted(name for name in found.keys() | pinned.keys() if found.get(name) != pinned.get(name))
    if wrong:
        raise LocalStackError(
            f"jars in {jars} that are not as pinned: {', '.join(wrong)}; remove the folder to get them again"
        )


@contextmanager
def temporary_time_skipping_server() -> Iterator[str]:
    """Run a server on a free port while the block runs, and yield its address. Raises `LocalStackError`.

    Time skips from the beginning: lock it before the first workflow.
    """
    java = find_java()
    jars = find_test_server(Settings().data_dir, Progress())
    folder = Path(tempfile.mkdtemp(prefix="clearhold-time-skipping-"))
    port = PortAllocator().free()
    classpath = os.pathsep.join(str(path) for path in sorted(jars.glob("*.jar")))
    try:
        with Supervisor() as supervisor:
            supervisor.start(
                ProcessSpec(
                    "time-skipping server",
                    (java, HEAP, "-cp", classpath, MAIN_CLASS, str(port), "--enable-time-skipping"),
                    folder / "server.log",
                    ready=tcp_probe(port),
                )
            )
            yield f"{LOOPBACK}:{port}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
