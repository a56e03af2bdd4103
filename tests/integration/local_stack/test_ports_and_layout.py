import os
import socket
import stat
from pathlib import Path

from infra.local.folder_lock import FolderLock
from infra.local.layout import RunningStack, StackPorts, find_running_stack, preferred_ports, withdraw_announcement
from infra.local.ports import FREE_PORT_LAST, PortAllocator
from infra.local.readiness import port_is_free
from infra.settings import Settings


def test_no_port_is_given_twice_and_all_lie_below_those_of_outgoing_connections() -> None:
    allocator = PortAllocator()
    ports = [allocator.free() for _ in range(50)]
    assert len(set(ports)) == 50
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) <= FREE_PORT_LAST < first_outgoing


def test_a_wanted_port_that_is_taken_is_replaced_and_the_change_is_noted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        allocator = PortAllocator()
        given = allocator.prefer(taken, "the API")
    assert given != taken
    assert allocator.notes == [f"port {taken} is taken; the API listens on {given} instead"]


def test_the_ports_named_in_the_settings_are_taken_when_they_are_free() -> None:
    wanted = [PortAllocator().free() for _ in range(4)]
    settings = Settings(
        temporal_address=f"127.0.0.1:{wanted[0]}",
        temporal_ui_url=f"http://127.0.0.1:{wanted[1]}",
        bank_url=f"http://127.0.0.1:{wanted[2]}",
        api_port=wanted[3],
    )
    ports = StackPorts.from_settings(settings, PortAllocator())
    assert [ports.temporal, ports.temporal_ui, ports.bank, ports.api] == wanted
    assert ports.postgres == preferred_ports(settings)["PostgreSQL"] or not port_is_free(5433)


def test_a_stack_is_found_while_it_runs_and_not_afterwards(tmp_path: Path) -> None:
    stack = RunningStack(
        pid=os.getpid(),
        environment={"CLEARHOLD_API_PORT": "20001", "CLEARHOLD_DATABASE_URL": "postgresql://app:secret@127.0.0.1:1/x"},
        owner_database_url="postgresql://owner:secret@127.0.0.1:1/x",
    )
    lock = FolderLock(tmp_path / "postgres" / "lock")
    with lock:
        assert find_running_stack(tmp_path) is None  # it is starting
        stack.write(tmp_path)
        found = find_running_stack(tmp_path)
        assert found == stack
        assert found.settings().api_port == 20001
        assert found.settings().require_owner_database_url().startswith("postgresql://owner:")
        assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert find_running_stack(tmp_path) is None  # it died without a word
    withdraw_announcement(tmp_path)
    assert not (tmp_path / "stack.json").exists()
