"""The whole embedded stack: PostgreSQL, Temporal, the sandbox bank, workers and the API, each a process of its own.

Invariant: every part can be killed and started again alone, on the same port and over the same data; leaving the
context stops them all. Used by `clearhold up` and `demo`, by the crash tests and by the measurements.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local.child import LocalStackError, ManagedProcess, ProcessSpec
from infra.local.layout import RunningStack, StackPorts, settings_from_environment, withdraw_announcement
from infra.local.ports import PortAllocator
from infra.local.postgres import LocalPostgres
from infra.local.processes import Supervisor
from infra.local.progress import Progress
from infra.local.readiness import LOOPBACK, http_probe
from infra.local.temporal import LocalTemporal
from infra.local.temporal_binary import find_temporal
from infra.local.tending import Tending
from infra.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
POSTGRES, TEMPORAL, BANK, API = "postgres", "temporal", "bank", "api"
READY_PATH = "/readyz"
BANK_READY_PATH = "/health"
WORKERS_MAX = 32


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How a stack is to be run.

    `ports` None means free ones. `environment` adds `CLEARHOLD_*` variables to every process of ours (bank, worker,
    API); `postgres_settings` and `temporal_dynamic_config` go to those servers.
    """

    data_dir: Path
    ports: StackPorts | None = None
    workers: int = 1
    durable: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    postgres_settings: Mapping[str, str] = field(default_factory=dict)
    temporal_dynamic_config: Mapping[str, str] = field(default_factory=dict)


class LocalStack:
    """One stack over one data folder. A context manager; entering it starts nothing, `start` does."""

    def __init__(
        self, options: StackOptions, settings: Settings | None = None, progress: Progress | None = None
    ) -> None:
        if not 0 <= options.workers <= WORKERS_MAX:
            raise ValueError(f"between 0 and {WORKERS_MAX} workers, not {options.workers}")
        self.options = options
        self.data_dir = options.data_dir.absolute()
        self.allocator = PortAllocator()
        self.ports = options.ports or StackPorts.any_free(self.allocator)
        self.supervisor = Supervisor()
        self._base = settings or Settings()
        self._progress = progress or Progress()
        self._postgres: LocalPostgres | None = None
        self._temporal: LocalTemporal | None = None
        self._specs: dict[str, ProcessSpec] = {}
        self._worker_count = 0
        self._metrics_ports: dict[str, int] = {}
        self._announced = False
        self._tending = Tending(self.supervisor, self._begin, first=(POSTGRES, TEMPORAL))

    def __enter__(self) -> Self:
        self.supervisor.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._progress.step("stopping the stack"):
            self.stop()
        self.supervisor.__exit__(kind, error, trace)

    # The whole ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and return when all of it serves.

        Raises `LocalStackError` (with the end of the log of what failed) or what the migrations raise.
        """
        self.start_postgres()
        with self._progress.step("migrating the database"):
            self.migrate()
        self.start_temporal()
        with self._progress.step(f"starting the bank, {self.options.workers} worker(s) and the API"):
            self.start_services()
        self.announce()

    def stop(self) -> None:
        """Stop everything, last started first."""
        if self._announced:  # a stack that was refused the folder leaves the announcement of the one that has it
            withdraw_announcement(self.data_dir)
        self.supervisor.stop_all()
        for server in (self._temporal, self._postgres):
            if server is not None:
                server.stop()

    def announce(self) -> None:
        """Let other processes of this machine find the stack by its data folder."""
        RunningStack(os.getpid(), self.environment(), self.postgres.owner_url()).write(self.data_dir)
        self._announced = True

    # Its parts ------------------------------------------------------------------------------------------------------

    def start_postgres(self) -> LocalPostgres:
        """Start PostgreSQL, making its cluster the first time."""
        if self._postgres is None:
            self._postgres = LocalPostgres(
                self.supervisor,
                self.data_dir / POSTGRES,
                port=self.ports.postgres,
                log_path=self.log_path(POSTGRES),
                durable=self.options.durable,
                settings=self.options.postgres_settings,
                name=POSTGRES,
            )
        with self._progress.step("starting PostgreSQL"):
            self._postgres.start()
        return self._postgres

    def migrate(self) -> None:
        """Bring the database to the newest migration."""
        from infra.postgres.migrate import upgrade

        upgrade(self.postgres.owner_url())

    def start_temporal(self) -> LocalTemporal:
        """Start the Temporal development server, getting its program the first time."""
        if self._temporal is None:
            self._temporal = LocalTemporal(
                self.supervisor,
                find_temporal(self._base, self._progress),
                self.data_dir / TEMPORAL,
                port=self.ports.temporal,
                ui_port=self.ports.temporal_ui,
                log_path=self.log_path(TEMPORAL),
                namespace=self._base.temporal_namespace,
                dynamic_config=self.options.temporal_dynamic_config,
                name=TEMPORAL,
            )
        with self._progress.step("starting Temporal"):
            self._temporal.start()
        return self._temporal

    def start_services(self) -> None:
        """Start bank, workers and API, side by side."""
        names = [BANK, *(self._new_worker() for _ in range(self.options.workers)), API]
        for name in names:
            self.supervisor.launch(self._spec(name))
        for name in names:
            self.supervisor.get(name).wait_ready()

    def start_worker(self) -> str:
        """Start one more worker, wait until it serves, and return its name."""
        name = self._new_worker()
        self.supervisor.start(self._spec(name))
        return name

    def workers(self) -> tuple[str, ...]:
        """Names of the workers that were started and not killed or stopped, oldest first."""
        return tuple(name for name in self.supervisor.names() if name.startswith("worker-"))

    def kill(self, name: str) -> None:
        """SIGKILL one part: `postgres`, `temporal`, `bank`, `api` or a worker's name. Raises `KeyError`."""
        server = self._server(name)
        if server is not None:
            server.kill()
        else:
            self.supervisor.kill(name)

    def stop_part(self, name: str) -> None:
        """Stop one part with grace. Raises `KeyError`."""
        server = self._server(name)
        if server is not None:
            server.stop()
        else:
            self.supervisor.stop(name)

    def start_part(self, name: str) -> None:
        """Start one part again, where it was, and wait until it serves."""
        if name == POSTGRES:
            self.start_postgres()
        elif name == TEMPORAL:
            self.start_temporal()
        else:
            self.supervisor.start(self._spec(name))

    def tend(self) -> list[str]:
        """Start again what ended on its own; returns a line for each, once it serves or a while later.

        Raises `LocalStackError` when one part keeps ending.
        """
        return self._tending.look()

    def _begin(self, name: str) -> None:
        if self._server(name) is not None:
            self.start_part(name)
        else:
            self.supervisor.launch(self._spec(name))

    # What others need to know ---------------------------------------------------------------------------------------

    @property
    def postgres(self) -> LocalPostgres:
        """The PostgreSQL server; raises `LocalStackError` before it was started."""
        if self._postgres is None:
            raise LocalStackError("PostgreSQL was not started")
        return self._postgres

    @property
    def temporal(self) -> LocalTemporal:
        """The Temporal server; raises `LocalStackError` before it was started."""
        if self._temporal is None:
            raise LocalStackError("Temporal was not started")
        return self._temporal

    def environment(self) -> dict[str, str]:
        """Return the `CLEARHOLD_*` variables of the stack's processes."""
        return {
            "CLEARHOLD_DATABASE_URL": self.postgres.app_url(),
            "CLEARHOLD_TEMPORAL_ADDRESS": f"{LOOPBACK}:{self.ports.temporal}",
            "CLEARHOLD_TEMPORAL_NAMESPACE": self._base.temporal_namespace,
            "CLEARHOLD_TEMPORAL_UI_URL": self.ports.temporal_ui_url,
            "CLEARHOLD_BANK_URL": self.ports.bank_url,
            "CLEARHOLD_API_HOST": LOOPBACK,
            "CLEARHOLD_API_PORT": str(self.ports.api),
            "CLEARHOLD_API_PUBLIC_URL": self.ports.api_url,
            "CLEARHOLD_DATA_DIR": str(self.data_dir),
            **self.options.environment,
        }

    def settings(self) -> Settings:
        """Return settings of a process of the stack, with the schema owner's URL besides."""
        return settings_from_environment(
            {**self.environment(), "CLEARHOLD_OWNER_DATABASE_URL": self.postgres.owner_url()}
        )

    def log_path(self, name: str) -> Path:
        """Where the part logs to."""
        return self.data_dir / "logs" / f"{name}.log"

    def metrics_urls(self) -> dict[str, str]:
        """Where each worker in `workers()`, and the one within the API, shows its metrics, by its process's name."""
        names = [name for name in (*self.workers(), API) if name in self.supervisor.names()]
        return {name: f"http://{LOOPBACK}:{self._metrics_port(name)}/metrics" for name in names}

    def process(self, name: str) -> ManagedProcess:
        """Return the running part, for its pid and log; raises `KeyError`."""
        return self.supervisor.get(name)

    def _server(self, name: str) -> LocalPostgres | LocalTemporal | None:
        return {POSTGRES: self._postgres, TEMPORAL: self._temporal}.get(name)

    def _new_worker(self) -> str:
        if len(self.workers()) >= WORKERS_MAX:
            raise LocalStackError(f"{WORKERS_MAX} workers run already")
        self._worker_count += 1
        return f"worker-{self._worker_count}"

    def _spec(self, name: str) -> ProcessSpec:
        if name not in self._specs:
            self._specs[name] = self._make_spec(name)
        return self._specs[name]

    def _metrics_port(self, name: str) -> int:
        if name not in self._metrics_ports:
            self._metrics_ports[name] = self.allocator.free()
        return self._metrics_ports[name]

    def _make_spec(self, name: str) -> ProcessSpec:
        python = str(self._base.python_bin or sys.executable)
        environment: dict[str, str | None] = {**self.environment(), "CLEARHOLD_OWNER_DATABASE_URL": None}
        argv: tuple[str, ...]
        if name == BANK:
            data = self.data_dir / BANK / "bank.sqlite3"
            argv = (python, "-m", "infra.bank", "--port", str(self.ports.bank), "--data", str(data))
            ready = f"{self.ports.bank_url}{BANK_READY_PATH}"
        elif name == API:
            argv = (python, "-m", "api")
            ready = f"{self.ports.api_url}{READY_PATH}"
            environment["CLEARHOLD_API_WORKER_METRICS_PORT"] = str(self._metrics_port(name))
        else:
            port = self.allocator.free()
            argv = (python, "-m", "workers")
            ready = f"http://{LOOPBACK}:{port}{READY_PATH}"
            environment["CLEARHOLD_WORKER_HEALTH_PORT"] = str(port)
            environment["CLEARHOLD_WORKER_METRICS_PORT"] = str(self._metrics_port(name))
        return ProcessSpec(
            name=name, argv=argv, log_path=self.log_path(name), env=environment, cwd=PROJECT, ready=http_probe(ready)
        )
