"""Servers over folders that vanish afterwards, for tests and measurements.

Invariant: neither a process nor a file remains when the context is left.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.local.ports import PortAllocator
from infra.local.postgres import LocalPostgres
from infra.local.processes import Supervisor
from infra.local.progress import Progress
from infra.local.temporal import LocalTemporal
from infra.local.temporal_binary import find_temporal
from infra.settings import Settings


@contextmanager
def temporary_postgres(*, durable: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[LocalPostgres]:
    """Run a server over a new folder on a free port; both are gone afterwards. Made for tests and measurements."""
    folder = Path(tempfile.mkdtemp(prefix="clearhold-postgres-"))
    try:
        with Supervisor() as supervisor:
            server = LocalPostgres(
                supervisor,
                folder / "postgres",
                port=PortAllocator().free(),
                log_path=folder / "postgres.log",
                durable=durable,
                settings=settings,
            )
            server.start()
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_temporal(*, dynamic_config: Mapping[str, str] | None = None) -> Iterator[LocalTemporal]:
    """Run a Temporal development server over a new folder on free ports, with its search attributes registered."""
    folder = Path(tempfile.mkdtemp(prefix="clearhold-temporal-"))
    try:
        with Supervisor() as supervisor:
            ports = PortAllocator()
            server = LocalTemporal(
                supervisor,
                find_temporal(Settings(), Progress()),
                folder / "temporal",
                port=ports.free(),
                ui_port=ports.free(),
                log_path=folder / "temporal.log",
                dynamic_config=dynamic_config,
            )
            server.start()
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)
