from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from infra.local.child import LocalStackError
from infra.local.ports import PortAllocator
from infra.local.processes import Supervisor
from infra.local.progress import Progress
from infra.local.temporal import LocalTemporal
from infra.local.temporal_binary import find_temporal
from infra.settings import Settings
from infra.temporal_namespace import RETENTION, missing_search_attributes, prepare_namespace


@pytest.fixture(scope="module")
def binary() -> Path:
    return find_temporal(Settings(), Progress())


@pytest.fixture
def server(tmp_path: Path, binary: Path) -> Iterator[LocalTemporal]:
    ports = PortAllocator()
    with Supervisor() as supervisor:
        temporal = LocalTemporal(
            supervisor,
            binary,
            tmp_path / "temporal",
            port=ports.free(),
            ui_port=ports.free(),
            log_path=tmp_path / "temporal.log",
        )
        temporal.start()
        yield temporal


async def test_the_namespace_has_every_search_attribute_and_keeps_closed_workflows_for_a_year(
    server: LocalTemporal,
) -> None:
    client = await Client.connect(server.address)
    assert await missing_search_attributes(client) == {}
    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    assert found.config.workflow_execution_retention_ttl.ToTimedelta() == RETENTION >= timedelta(days=365)


async def test_a_new_namespace_is_registered_with_its_search_attributes_and_preparing_it_again_changes_nothing(
    server: LocalTemporal,
) -> None:
    client = await Client.connect(server.address, namespace="clearhold-production")
    await prepare_namespace(client)
    assert await missing_search_attributes(client) == {}
    await prepare_namespace(client)


def test_the_ui_is_served(server: LocalTemporal) -> None:
    answer = httpx.get(f"{server.ui_url}/", trust_env=False, follow_redirects=True)
    assert answer.status_code == 200
    assert answer.text.startswith("<!doctype html>")


async def test_a_workflow_started_before_sigkill_is_there_afterwards(server: LocalTemporal) -> None:
    client = await Client.connect(server.address)
    await client.start_workflow("Anything", id="kept", task_queue="nobody-listens")
    server.kill()
    server.start()
    again = await Client.connect(server.address)
    description = await again.get_workflow_handle("kept").describe()
    assert description.workflow_type == "Anything"


def test_a_database_whose_first_start_was_cut_short_is_made_anew(tmp_path: Path, binary: Path) -> None:
    folder = tmp_path / "temporal"
    folder.mkdir()
    (folder / "temporal.db").write_bytes(b"")
    ports = PortAllocator()
    with Supervisor() as supervisor:
        server = LocalTemporal(
            supervisor, binary, folder, port=ports.free(), ui_port=ports.free(), log_path=tmp_path / "log"
        )
        server.start()
        assert server.process.is_running
    assert server.database.stat().st_size > 0


def test_a_second_server_over_the_same_database_is_refused(server: LocalTemporal, tmp_path: Path, binary: Path) -> None:
    ports = PortAllocator()
    with Supervisor() as supervisor:
        second = LocalTemporal(
            supervisor,
            binary,
            tmp_path / "temporal",
            port=ports.free(),
            ui_port=ports.free(),
            log_path=tmp_path / "second.log",
        )
        with pytest.raises(LocalStackError, match="in use by another run"):
            second.start()
    assert server.process.is_running
