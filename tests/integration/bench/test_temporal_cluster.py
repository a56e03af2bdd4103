"""The cluster's programs take minutes to build: where they are not in the cache yet, its test is left out."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from temporalio.client import Client

from infra.local.ports import PortAllocator
from infra.local.postgres import LocalPostgres
from infra.local.processes import Supervisor
from infra.local.temporal_binary import cache_folder
from infra.local.temporal_cluster import SERVER, SQL_TOOL, STORES, LocalTemporalCluster
from infra.settings import Settings
from infra.temporal_namespace import missing_search_attributes

PROGRAMS = cache_folder(Settings().data_dir)


@pytest.mark.skipif(
    not all((PROGRAMS / program.name).exists() for program in (SERVER, SQL_TOOL)), reason="the programs are not built"
)
async def test_a_cluster_keeps_its_workflows_in_postgresql_over_a_restart(
    postgres_server: LocalPostgres, tmp_path: Path
) -> None:
    ports = PortAllocator()
    with Supervisor() as supervisor:
        cluster = LocalTemporalCluster(
            supervisor, PROGRAMS, tmp_path, postgres_server, ports, port=ports.free(), log_path=tmp_path / "log"
        )
        cluster.start()
        client = await Client.connect(cluster.address)
        assert await missing_search_attributes(client) == {}
        await client.start_workflow("Nobody", id="kept", task_queue="nobody")
        cluster.kill()
        cluster.start()
        description = await client.get_workflow_handle("kept").describe()
        cluster.stop()
    with psycopg.connect(postgres_server.superuser_url("temporal")) as connection:
        row = connection.execute("SELECT count(*) FROM executions").fetchone()
    for database in STORES:
        postgres_server.drop_database(database)
    assert description.id == "kept"
    assert row is not None
    assert row[0] >= 1
