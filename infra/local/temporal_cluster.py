"""A Temporal cluster on PostgreSQL as production runs it, in one process and without containers: for measurements and tests.

Invariant: frontend, history, matching and worker services are the released server's own; history and visibility are in databases
of the PostgreSQL server beside it, as durable as that server is. It takes the place of the development server and keeps to
its interface, except that it has no UI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.child import ProcessSpec
from infra.local.go_install import GoProgram, install_with_go
from infra.local.ports import PortAllocator
from infra.local.postgres import LocalPostgres
from infra.local.processes import Supervisor
from infra.local.progress import Progress
from infra.local.readiness import LOOPBACK, Probe, tcp_probe
from infra.local.stack import TEMPORAL, LocalStack
from infra.local.temporal import READY_TIMEOUT_S, LocalTemporal
from infra.local.temporal_binary import cache_folder

SERVER = GoProgram("go.temporal.io/server/cmd/server", "v1.31.2", go=(1, 25))
SQL_TOOL = GoProgram("go.temporal.io/server/cmd/tools/sql", "v1.31.2", go=(1, 25))
PLUGIN = "postgres12"
STORES = {"temporal": "postgresql/v12/temporal", "temporal_visibility": "postgresql/v12/visibility"}
"""Databases, and the schema of each, which the tool carries within itself."""

SERVICES = ("frontend", "history", "matching", "worker")
HISTORY_SHARDS = 4
STORE_CONNECTIONS_MAX = 20
VISIBILITY_CONNECTIONS_MAX = 10
SCHEMA_TIMEOUT_S = 120.0


class LocalTemporalCluster(LocalTemporal):
    """All four services in one process. `directory` holds the configuration; the data is in `postgres`."""

    def __init__(
        self,
        supervisor: Supervisor,
        programs: Path,
        directory: Path,
        postgres: LocalPostgres,
        allocator: PortAllocator,
        *,
        port: int,
        log_path: Path,
        namespace: str = "default",
        dynamic_config: Mapping[str, str] | None = None,
    ) -> None:
        """`programs` is the folder with `server` and `sql`; see `find_cluster_programs`."""
        super().__init__(
            supervisor,
            programs / SERVER.name,
            directory,
            port=port,
            ui_port=port,
            log_path=log_path,
            namespace=namespace,
            dynamic_config=dynamic_config,
            name=TEMPORAL,
        )
        self._sql_tool = programs / SQL_TOOL.name
        self._postgres = postgres
        self._ports = {service: (allocator.free(), allocator.free()) for service in SERVICES}
        self._ports["frontend"] = (port, self._ports["frontend"][1])

    def start(self) -> None:
        """Bring the databases to this release's schema, start the server and prepare its namespace."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for database, schema in STORES.items():
            if not self._complete.exists():
                self._postgres.drop_database(database)
                self._postgres.create_database(database)
                self._run_sql_tool(database, "setup-schema", "--version", "0.0")
            self._run_sql_tool(database, "update-schema", "--schema-name", schema)
        super().start()

    def _run_sql_tool(self, database: str, *arguments: str) -> None:
        owner = urlsplit(self._postgres.owner_url())
        environment = {
            "SQL_HOST": LOOPBACK,
            "SQL_PORT": str(self._postgres.port),
            "SQL_USER": owner.username,
            "SQL_PASSWORD": owner.password,
            "SQL_PLUGIN": PLUGIN,
            "SQL_DATABASE": database,
        }
        self._supervisor.run(
            ProcessSpec(f"{self.name}-schema", (str(self._sql_tool), *arguments), self._log_path, environment),
            timeout_s=SCHEMA_TIMEOUT_S,
        )

    def _spec(self) -> ProcessSpec:
        settings, dynamic = self._directory / "server.yaml", self._directory / "dynamic-config.yaml"
        # JSON is YAML too.
        dynamic.write_text(
            json.dumps({key: [{"value": json.loads(value)}] for key, value in self._dynamic_config.items()}, indent=1)
        )
        settings.touch(mode=0o600)  # it holds a password
        settings.write_text(json.dumps(self._configuration(dynamic), indent=1))
        return ProcessSpec(
            name=self.name,
            argv=(str(self._binary), "--config-file", str(settings), "--allow-no-auth", "start"),
            log_path=self._log_path,
            cwd=self._directory,
            ready=self._probe(),
            ready_timeout_s=READY_TIMEOUT_S,
        )

    def _probe(self) -> Probe:
        return tcp_probe(self.port)

    def _configuration(self, dynamic: Path) -> dict[str, object]:
        return {
            "log": {"stdout": True, "level": "warn"},
            "persistence": {
                "defaultStore": "default",
                "visibilityStore": "visibility",
                "numHistoryShards": HISTORY_SHARDS,
                "datastores": {
                    "default": {"sql": self._store("temporal", STORE_CONNECTIONS_MAX)},
                    "visibility": {"sql": self._store("temporal_visibility", VISIBILITY_CONNECTIONS_MAX)},
                },
            },
            "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": LOOPBACK}},
            "services": {
                service: {"rpc": {"grpcPort": grpc, "membershipPort": membership, "bindOnIP": LOOPBACK}}
                for service, (grpc, membership) in self._ports.items()
            },
            "clusterMetadata": {
                "enableGlobalNamespace": False,
                "failoverVersionIncrement": 10,
                "masterClusterName": "active",
                "currentClusterName": "active",
                "clusterInformation": {
                    "active": {
                        "enabled": True,
                        "initialFailoverVersion": 1,
                        "rpcName": "frontend",
                        "rpcAddress": f"{LOOPBACK}:{self.port}",
                    }
                },
            },
            "dcRedirectionPolicy": {"policy": "noop"},
            "dynamicConfigClient": {"filepath": str(dynamic), "pollInterval": "10s"},
        }

    def _store(self, database: str, connections_max: int) -> dict[str, object]:
        owner = urlsplit(self._postgres.owner_url())
        return {
            "pluginName": PLUGIN,
            "databaseName": database,
            "connectAddr": f"{LOOPBACK}:{self._postgres.port}",
            "connectProtocol": "tcp",
            "user": owner.username,
            "password": owner.password,
            "maxConns": connections_max,
            "maxIdleConns": connections_max,
            "maxConnLifetime": "1h",
        }


class ClusterStack(LocalStack):
    """A stack whose Temporal is a cluster on its PostgreSQL server."""

    def start_temporal(self) -> LocalTemporal:
        """Start the cluster, building its programs the first time."""
        if self._temporal is None:
            self._temporal = LocalTemporalCluster(
                self.supervisor,
                find_cluster_programs(self.data_dir, self._progress),
                self.data_dir / TEMPORAL,
                self.postgres,
                self.allocator,
                port=self.ports.temporal,
                log_path=self.log_path(TEMPORAL),
                namespace=self._base.temporal_namespace,
                dynamic_config=self.options.temporal_dynamic_config,
            )
        with self._progress.step("starting the Temporal cluster"):
            self._temporal.start()
        return self._temporal


def find_cluster_programs(data_dir: Path, progress: Progress) -> Path:
    """Return the folder with the server and its SQL tool, building them with Go when they are missing.

    Raises `LocalStackError` when there is no Go, or a build fails.
    """
    folder = cache_folder(data_dir)
    for program in (SERVER, SQL_TOOL):
        install_with_go(program, folder, progress)
    return folder
