import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.local.child import LocalStackError
from infra.local.ports import PortAllocator
from infra.local.postgres import LocalPostgres
from infra.local.processes import Supervisor
from infra.local.temporary import temporary_postgres
from tests.integration.local_stack.conditions import is_alive, wait_until

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with temporary_postgres() as postgres:
        yield postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose parents let no other user in, as a home folder of root does."""
    path = Path(tempfile.mkdtemp(prefix="clearhold-test-"))
    yield path
    shutil.rmtree(path)


def _durable(supervisor: Supervisor, folder: Path) -> LocalPostgres:
    return LocalPostgres(supervisor, folder / "postgres", port=PortAllocator().free(), log_path=folder / "postgres.log")


def _ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def test_the_owner_makes_tables_and_the_application_only_uses_what_it_is_granted(server: LocalPostgres) -> None:
    with psycopg.connect(server.owner_url()) as owner:
        owner.execute("CREATE TABLE granted (i integer); GRANT SELECT, INSERT ON granted TO clearhold_app")
        owner.execute("CREATE TABLE kept (i integer)")
    with psycopg.connect(server.app_url(), autocommit=True) as app:
        app.execute("INSERT INTO granted VALUES (1)")
        for refused in (
            "SELECT * FROM kept",
            "DELETE FROM granted",
            "CREATE TABLE own (i integer)",
            "SET ROLE postgres",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(refused)


def test_nobody_gets_in_without_the_right_password(server: LocalPostgres) -> None:
    for role in ("clearhold_app", "clearhold_owner", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgresql://{role}:guess@127.0.0.1:{server.port}/clearhold")


def test_it_listens_on_loopback_only(server: LocalPostgres) -> None:
    assert _ask(server.superuser_url(), "SHOW listen_addresses") == "127.0.0.1"


def test_statements_are_counted_for_profiles(server: LocalPostgres) -> None:
    _ask(server.app_url(), "SELECT 41 + 1 AS told_apart")
    found = _ask(
        server.superuser_url(),
        "SELECT sum(calls) FROM pg_stat_statements WHERE query LIKE '%told_apart%' AND calls > 0",
    )
    assert found


def test_a_database_is_copied_from_a_template_and_dropped_while_in_use(server: LocalPostgres) -> None:
    server.create_database("template_source")
    with psycopg.connect(server.owner_url("template_source")) as connection:
        connection.execute("CREATE TABLE copied AS SELECT 7 AS i")
    server.create_database("copy", template="template_source")
    in_use = psycopg.connect(server.owner_url("copy"))
    assert in_use.execute("SELECT i FROM copied").fetchone() == (7,)
    server.drop_database("copy")
    in_use.close()
    with pytest.raises(psycopg.OperationalError, match='database "copy" does not exist'):
        psycopg.connect(server.owner_url("copy"))


def test_a_durable_server_gives_up_no_safety(folder: Path) -> None:
    with Supervisor() as supervisor:
        postgres = _durable(supervisor, folder)
        postgres.start()
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert _ask(postgres.superuser_url(), f"SHOW {setting}") == "on"


def test_what_was_committed_survives_sigkill_and_what_was_not_is_undone(folder: Path) -> None:
    with Supervisor() as supervisor:
        postgres = _durable(supervisor, folder)
        postgres.start()
        with psycopg.connect(postgres.owner_url()) as connection:
            connection.execute("CREATE TABLE entry (i integer)")
            connection.execute("INSERT INTO entry VALUES (1)")
        half_done = psycopg.connect(postgres.owner_url())
        half_done.execute("INSERT INTO entry VALUES (2)")
        postgres.kill()
        postgres.start()
        half_done.close()
        assert _ask(postgres.owner_url(), "SELECT array_agg(i) FROM entry") == [1]


def test_a_pid_file_that_names_a_strangers_process_does_not_keep_it_from_starting(folder: Path) -> None:
    with Supervisor() as supervisor:
        postgres = _durable(supervisor, folder)
        postgres.start()
        pid_file = (postgres.data / "postmaster.pid").read_text()
        postgres.kill()
        stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        try:
            lines = [str(stranger.pid), *pid_file.splitlines()[1:]]
            (postgres.data / "postmaster.pid").write_text("\n".join(lines) + "\n")
            postgres.start()
            assert _ask(postgres.app_url(), "SELECT 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


def test_passwords_and_data_stay_over_a_restart_and_are_private(folder: Path) -> None:
    with Supervisor() as supervisor:
        first = _durable(supervisor, folder)
        first.start()
        before = first.app_url().rsplit("@")[0]
        first.stop()
        second = _durable(supervisor, folder)
        second.start()
        assert second.app_url().rsplit("@")[0] == before
        assert _ask(second.app_url(), "SELECT 1") == 1
    assert stat.S_IMODE((folder / "postgres" / "credentials.json").stat().st_mode) == 0o600
    assert not (folder / "postgres" / "initdb-password").exists()


def test_an_interrupted_first_start_is_made_good_by_the_next(folder: Path) -> None:
    unfinished = folder / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with Supervisor() as supervisor:
        postgres = _durable(supervisor, folder)
        postgres.start()
        assert _ask(postgres.app_url(), "SELECT 1") == 1
    assert not unfinished.exists()


def test_a_second_server_over_the_same_folder_is_refused(folder: Path) -> None:
    with Supervisor() as supervisor:
        first = _durable(supervisor, folder)
        first.start()
        second = LocalPostgres(
            supervisor, folder / "postgres", port=PortAllocator().free(), log_path=folder / "2.log", name="second"
        )
        with pytest.raises(LocalStackError, match=rf"in use by another run \(process {os.getpid()}\)"):
            second.start()
        assert _ask(first.app_url(), "SELECT 1") == 1


def test_lost_passwords_are_named_as_the_reason(folder: Path) -> None:
    with Supervisor() as supervisor:
        postgres = _durable(supervisor, folder)
        postgres.start()
        postgres.stop()
        (folder / "postgres" / "credentials.json").unlink()
        with pytest.raises(LocalStackError, match=r"credentials\.json is missing"):
            _durable(supervisor, folder).start()


def test_the_folder_of_another_major_version_is_left_alone(folder: Path) -> None:
    with Supervisor() as supervisor:
        postgres = _durable(supervisor, folder)
        postgres.start()
        postgres.stop()
        (postgres.data / "PG_VERSION").write_text("15\n")
        with pytest.raises(LocalStackError, match="initialized by PostgreSQL version 15"):
            postgres.start()


HOLDER = """
import sys, time
from pathlib import Path
from infra.local.ports import PortAllocator
from infra.local.postgres import LocalPostgres
from infra.local.processes import Supervisor

folder = Path(sys.argv[1])
with Supervisor() as supervisor:
    server = LocalPostgres(supervisor, folder / "postgres", port=PortAllocator().free(), log_path=folder / "log")
    server.start()
    print(server.process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_server_dies_with_its_supervisor_and_the_next_one_takes_over(folder: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        holder.send_signal(signal.SIGKILL)
    with Supervisor() as supervisor:
        postgres = _durable(supervisor, folder)
        postgres.start()
        assert _ask(postgres.app_url(), "SELECT 1") == 1
    wait_until(lambda: not is_alive(pid))
