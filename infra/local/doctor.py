"""Looks for what is missing or misconfigured on this machine, and in the stack that runs over the data folder.

Invariant: it changes nothing that stays, every check ends within a bound, and every problem names its fix. What only a
running stack can answer is skipped when none runs.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from infra.local.child import LocalStackError
from infra.local.findings import Finding, ok, problem, skipped
from infra.local.go_install import find_go
from infra.local.layout import RunningStack, find_running_stack, preferred_ports
from infra.local.readiness import port_is_free
from infra.local.running import examine_running
from infra.local.temporal_binary import TEMPORAL_CLI, UnusableBinaryError, find_installed_temporal
from infra.local.temporary import temporary_postgres
from infra.settings import Settings, complaints, get_settings

OLDEST_PYTHON = (3, 11)
DISK_NEEDED_BYTES = 2 * 1024**3


def examine_here() -> Iterator[Finding]:
    """Read the settings of this process and examine what they describe; as long as they are wrong, they are all there is."""
    try:
        settings = get_settings()
    except ValidationError as error:
        yield _python()
        for complaint in complaints(error):
            yield problem("settings", complaint, "correct or unset it, in the environment or in .env")
        return
    yield from examine(settings)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield each finding as it is made; the whole takes a few seconds."""
    stack = find_running_stack(settings.data_dir)
    yield _python()
    yield _data_folder(settings.data_dir)
    yield _disk(settings.data_dir)
    yield from _ports(settings, stack)
    yield _postgres()
    yield _temporal_program(settings)
    if stack is not None:
        yield from asyncio.run(examine_running(stack.settings()))
    elif "database_url" in settings.model_fields_set:  # told where production is
        yield from asyncio.run(examine_running(settings))
    else:
        yield skipped("running stack", f"none runs over {settings.data_dir}; `make run` starts one")


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < OLDEST_PYTHON:
        return problem("Python", version, "install Python 3.11 or newer, then `make setup`")
    return ok("Python", version)


def _data_folder(data_dir: Path) -> Finding:
    """Write where the stack will: in the folder, or where it would be made."""
    folder = _existing(data_dir)
    try:
        with tempfile.TemporaryDirectory(prefix=".clearhold-doctor-", dir=folder) as probe:
            (Path(probe) / "file").write_text("written")
    except OSError as error:
        fix = "make it writable for you, or set CLEARHOLD_DATA_DIR to a folder that is"
        return problem("data folder", f"{folder} cannot be written: {error.strerror}", fix)
    return ok("data folder", f"{data_dir.absolute()} can be written")


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _disk(data_dir: Path) -> Finding:
    folder = _existing(data_dir)
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free at {folder}"
    if free < DISK_NEEDED_BYTES:
        return problem(
            "disk", detail, f"free at least {DISK_NEEDED_BYTES / 1024**3:.0f} GiB, or set CLEARHOLD_DATA_DIR"
        )
    return ok("disk", detail)


def _ports(settings: Settings, stack: RunningStack | None) -> Iterator[Finding]:
    if stack is not None:
        yield ok("ports", f"in use by the running stack, process {stack.pid}")
        return
    try:
        wanted = preferred_ports(settings)
    except LocalStackError as error:
        yield problem("ports", str(error), "add a port to that address; production needs none")
        return
    taken = {name: port for name, port in wanted.items() if not port_is_free(port)}
    for name, port in taken.items():
        yield problem(f"port {port}", f"{name} wants it and another program has it", f"stop the program on port {port}; "
                      "or leave it: the stack takes a free port instead and says so")  # fmt: skip
    if not taken:
        yield ok("ports", ", ".join(str(port) for port in wanted.values()) + " are free")


def _postgres() -> Finding:
    try:
        with temporary_postgres() as server:
            user = server.process.spec.run_as
            runs_as = "the present user" if user is None else f"user {user.uid}, since this is root"
            return ok("PostgreSQL", f"starts, run by {runs_as}; programs in {server.binaries}")
    except LocalStackError as error:
        return problem("PostgreSQL", str(error), "run `make setup` again; if it stays, the text above names the cause")


def _temporal_program(settings: Settings) -> Finding:
    try:
        path = find_installed_temporal(settings)
    except UnusableBinaryError as error:
        return problem("Temporal program", str(error), "correct or unset CLEARHOLD_TEMPORAL_BIN")
    if path is not None:
        return ok("Temporal program", str(path))
    try:
        go = find_go(TEMPORAL_CLI)
    except LocalStackError as error:
        return problem(
            "Temporal program",
            f"none is here, and it cannot be built: {error}",
            "install the Temporal CLI, or Go 1.25 or newer; or set CLEARHOLD_TEMPORAL_BIN",
        )
    return ok(
        "Temporal program", f"none is here yet; the first start gets it, if need be with {go} (about three minutes)"
    )
