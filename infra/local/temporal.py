"""The Temporal development server with a file database, as a child process.

Invariant: a workflow it has acknowledged survives the death of the server, also by SIGKILL: the database is a file in
write-ahead mode. (Against a power failure only a cluster on PostgreSQL protects; that is what production runs.)
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from infra.local.child import ManagedProcess, ProcessSpec
from infra.local.folder_lock import FolderLock
from infra.local.processes import Supervisor
from infra.local.readiness import LOOPBACK, Probe, http_probe, tcp_probe
from infra.settings import Settings
from infra.temporal_namespace import SEARCH_ATTRIBUTES, connect, prepare_namespace

READY_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 60.0
STOP_GRACE_S = 10.0
POLL_INTERVAL_S = 0.1

SQLITE_PRAGMAS: Mapping[str, str] = {"journal_mode": "WAL", "synchronous": "NORMAL"}

DYNAMIC_CONFIG: Mapping[str, str] = {
    # A queue is polled at most so often per second and shard. The default of 20 makes every step wait 50 ms.
    "history.transferProcessorMaxPollRPS": "2000",
    # The same for timers: retries, timeouts and expiries fire when they are due, not up to 50 ms later.
    "history.timerProcessorMaxPollRPS": "200",
    # An activity may go straight to the worker that asked for it, instead of through matching and a poll.
    "system.enableActivityEagerExecution": "true",
    # The development server reads its search attributes from the database each time it needs them, four times a payment;
    # a cluster keeps them for a minute, and so does this one: ours are there before the first workflow.
    "system.forceSearchAttributesCacheRefreshOnRead": "false",
    # Bounds of a shared cluster, per second; on a machine of our own they would cap the rate before the CPU does.
    "frontend.rps": "20000",
    "frontend.namespaceRPS": "20000",
    "history.rps": "50000",
    "matching.rps": "20000",
}


class LocalTemporal:
    """One development server. `directory` holds its database and a lock that keeps a second server away."""

    def __init__(
        self,
        supervisor: Supervisor,
        binary: Path,
        directory: Path,
        *,
        port: int,
        ui_port: int,
        log_path: Path,
        namespace: str = "default",
        metrics_port: int = 0,
        dynamic_config: Mapping[str, str] | None = None,
        name: str = "temporal",
    ) -> None:
        self.name = name
        self.port = port
        self.ui_port = ui_port
        self.metrics_port = metrics_port
        self.namespace = namespace
        self._supervisor = supervisor
        self._binary = binary
        self._directory = directory.absolute()
        self._log_path = log_path
        self._dynamic_config = {**DYNAMIC_CONFIG, **(dynamic_config or {})}
        self._lock = FolderLock(self._directory / "lock")

    @property
    def address(self) -> str:
        """The gRPC address for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        """Base address of the UI."""
        return f"http://{LOOPBACK}:{self.ui_port}"

    @property
    def database(self) -> Path:
        """The SQLite file with every workflow."""
        return self._directory / "temporal.db"

    @property
    def process(self) -> ManagedProcess:
        """The running server; raises `KeyError` when it does not run."""
        return self._supervisor.get(self.name)

    def start(self) -> None:
        """Start the server and prepare its namespace.

        Raises `LocalStackError` when another stack uses the folder or the server does not come up, with its last log
        lines; `NamespaceError` when a search attribute cannot be had.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._discard_unfinished_database()
            self._supervisor.start(self._spec())
            with ThreadPoolExecutor(max_workers=1) as thread:  # the caller may be inside an event loop of its own
                thread.submit(asyncio.run, self._prepare_while_it_runs()).result()
            self._complete.touch()
        except BaseException:
            with suppress(KeyError):
                self._supervisor.stop(self.name)
            self._lock.release()
            raise

    def stop(self) -> None:
        """Stop the server; workflows stay in the file and go on after the next start."""
        with suppress(KeyError):
            self._supervisor.stop(self.name)
        self._lock.release()

    def kill(self) -> None:
        """SIGKILL the server."""
        with suppress(KeyError):
            self._supervisor.kill(self.name)
        self._lock.release()

    @property
    def _complete(self) -> Path:
        return self._directory / "complete"

    def _discard_unfinished_database(self) -> None:
        """Drop a database whose first start was interrupted: the server takes any file for one with a schema."""
        if not self._complete.exists():
            for path in self._directory.glob(f"{self.database.name}*"):
                path.unlink()

    def _spec(self) -> ProcessSpec:
        options: list[str] = []
        for key, value in SQLITE_PRAGMAS.items():
            options += ["--sqlite-pragma", f"{key}={value}"]
        for key, value in self._dynamic_config.items():
            options += ["--dynamic-config-value", f"{key}={value}"]
        for key, value in SEARCH_ATTRIBUTES.items():
            options += ["--search-attribute", f"{key}={value}"]
        if self.namespace != "default":
            options += ["--namespace", self.namespace]
        if self.metrics_port:
            options += ["--metrics-port", str(self.metrics_port)]
        return ProcessSpec(
            name=self.name,
            argv=(
                str(self._binary),
                *("server", "start-dev", "--ip", LOOPBACK, "--port", str(self.port), "--ui-port", str(self.ui_port)),
                *("--db-filename", str(self.database), "--log-format", "json", "--disable-config-file"),
                *options,
            ),
            log_path=self._log_path,
            ready=self._probe(),
            ready_timeout_s=READY_TIMEOUT_S,
            stop_signal=signal.SIGTERM,
            stop_grace_s=STOP_GRACE_S,
        )

    def _probe(self) -> Probe:
        grpc, ui = tcp_probe(self.port), http_probe(f"{self.ui_url}/healthz")
        return lambda: grpc() and ui()

    async def _prepare_while_it_runs(self) -> None:
        """Prepare the namespace; raises `ProcessFailedError` as soon as the server has ended, however patient a client is."""
        preparing = asyncio.create_task(self._prepare())
        while not preparing.done():
            if not self.process.is_running:
                preparing.cancel()
                raise self.process.failure("ended while its namespace was prepared")
            await asyncio.wait({preparing}, timeout=POLL_INTERVAL_S)
        await preparing

    async def _prepare(self) -> None:
        client = await connect(
            Settings(
                temporal_address=self.address,
                temporal_namespace=self.namespace,
                temporal_connect_timeout_s=CONNECT_TIMEOUT_S,
                temporal_tls=False,
                temporal_api_key=None,
            )
        )
        await prepare_namespace(client)
