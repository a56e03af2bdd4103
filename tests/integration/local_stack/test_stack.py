import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from infra.local.child import LocalStackError, ProcessFailedError, ProcessSpec
from infra.local.doctor import examine
from infra.local.findings import State
from infra.local.layout import find_running_stack
from infra.local.processes import Supervisor
from infra.local.readiness import Probe
from infra.local.stack import BANK, POSTGRES, TEMPORAL, LocalStack, StackOptions
from infra.local.tending import RESTARTS_MAX, SERVE_TIMEOUT_S, Tending
from infra.settings import Settings
from tests.integration.local_stack.conditions import is_alive, wait_until


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """PostgreSQL, Temporal and the bank: what neither workers nor API are needed for."""
    with LocalStack(StackOptions(tmp_path_factory.mktemp("stack"), durable=False)) as running:
        running.start_postgres()
        running.start_temporal()
        running.start_part(BANK)
        running.announce()
        yield running


def _bank_answers(stack: LocalStack) -> bool:
    return httpx.get(f"{stack.ports.bank_url}/health", trust_env=False).is_success


def _end_bank(stack: LocalStack) -> None:
    process = stack.process(BANK)
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.is_running)


def test_each_part_can_be_killed_and_started_again_where_it_was(stack: LocalStack) -> None:
    for name in (BANK, TEMPORAL, POSTGRES):
        before = stack.process(name).pid
        stack.kill(name)
        assert not is_alive(before)
        stack.start_part(name)
        assert stack.process(name).pid != before
    assert _bank_answers(stack)
    with psycopg.connect(stack.settings().database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_part_that_ends_on_its_own_is_started_again(stack: LocalStack) -> None:
    process = stack.process(BANK)
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.is_running)
    assert stack.tend() == ["bank ended with status -9; started again"]
    assert stack.tend() == []
    assert _bank_answers(stack)


def test_a_second_stack_runs_beside_the_first(stack: LocalStack, tmp_path: Path) -> None:
    with LocalStack(StackOptions(tmp_path, durable=False)) as other:
        other.start_postgres()
        assert other.postgres.port != stack.postgres.port
        with psycopg.connect(other.settings().database_url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("clearhold_app",)


def test_a_second_stack_over_the_same_data_is_refused_and_the_first_is_still_found(stack: LocalStack) -> None:
    with (
        LocalStack(StackOptions(stack.data_dir)) as other,
        pytest.raises(LocalStackError, match="in use by another run"),
    ):
        other.start_postgres()
    assert find_running_stack(stack.data_dir) is not None, "the refused one took the announcement with it"


def test_a_stack_is_found_by_its_folder_with_the_settings_to_reach_it(stack: LocalStack) -> None:
    stack.announce()
    found = find_running_stack(stack.data_dir)
    assert found is not None
    assert found.pid == os.getpid()
    assert found.settings().database_url == stack.postgres.app_url()
    assert "CLEARHOLD_OWNER_DATABASE_URL" not in found.environment


def test_the_doctor_sees_what_runs_and_names_a_fix_for_what_does_not(stack: LocalStack) -> None:
    stack.announce()
    findings = {finding.subject: finding for finding in examine(Settings(data_dir=stack.data_dir))}
    for subject in (
        "Python",
        "disk",
        "PostgreSQL",
        "Temporal program",
        "database",
        "clock",
        "Temporal",
        "sandbox bank",
    ):
        assert findings[subject].state is State.OK, findings[subject]
    assert findings["search attributes"].state is State.OK
    for subject in ("workers for payments", "workers for loans", "API", "migrations"):
        assert findings[subject].state is State.PROBLEM, findings[subject]
        assert findings[subject].fix


def test_the_doctor_skips_the_stack_when_none_runs(tmp_path: Path) -> None:
    findings = {finding.subject: finding for finding in examine(Settings(data_dir=tmp_path))}
    assert findings["running stack"].state is State.SKIPPED
    assert not any(tmp_path.iterdir())


def test_a_part_that_keeps_ending_is_given_up_with_its_log(tmp_path: Path) -> None:
    with LocalStack(StackOptions(tmp_path, durable=False)) as stack:
        stack.start_postgres()
        stack.start_part(BANK)
        for _ in range(RESTARTS_MAX):
            _end_bank(stack)
            assert len(stack.tend()) == 1
        _end_bank(stack)
        with pytest.raises(ProcessFailedError, match=rf"bank ended {RESTARTS_MAX} times within 60 s"):
            stack.tend()


def test_what_ends_again_before_it_serves_brings_nothing_down_and_what_others_need_comes_back_first(
    tmp_path: Path,
) -> None:
    begun: list[str] = []
    away = 2  # how often the server dies while it is started

    with Supervisor() as supervisor:

        def begin(name: str) -> None:
            begun.append(name)
            if name == "server" and begun.count(name) <= away:
                supervisor.start(_spec(tmp_path, name, "exit 3", ready=lambda: False))
            else:
                supervisor.launch(_spec(tmp_path, name, "exec sleep 60"))

        for name in ("client", "server"):
            supervisor.launch(_spec(tmp_path, name, "exit 1"))
        wait_until(lambda: len(supervisor.ended()) == 2)
        tending = Tending(supervisor, begin, first=("server",))
        first = tending.look()
        assert "server ended with status 1; it is started again, once more: server ended with status 3" in first[0]
        assert first[1] == "client ended with status 1; started again"
        while lines := tending.look():
            last = lines
        assert last == ["server did not come back; started again"]
        assert begun == ["server", "client", "server", "server"]
        assert not supervisor.ended()


def test_a_part_that_comes_back_slowly_keeps_no_other_away(tmp_path: Path) -> None:
    """An API waits for its database: one that dies meanwhile is seen at once, not when the API is given up."""
    with Supervisor() as supervisor:
        tending = Tending(
            supervisor,
            lambda name: _launch(supervisor, _spec(tmp_path, name, "exec sleep 60", ready=lambda: name != "api")),
            first=("database",),
        )
        _launch(supervisor, _spec(tmp_path, "api", "exit 1"))
        _launch(supervisor, _spec(tmp_path, "database", "sleep 1; exit 2"))
        wait_until(lambda: bool(supervisor.ended()))
        began = time.monotonic()
        assert tending.look() == ["api ended with status 1; started again"]
        assert tending.look() == ["database ended with status 2; started again"]
        assert time.monotonic() - began < SERVE_TIMEOUT_S


def _launch(supervisor: Supervisor, spec: ProcessSpec) -> None:
    supervisor.launch(spec)


def _spec(folder: Path, name: str, script: str, *, ready: Probe | None = None) -> ProcessSpec:
    return ProcessSpec(name=name, argv=("/bin/sh", "-c", script), log_path=folder / f"{name}.log", ready=ready)


def test_a_number_of_workers_out_of_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="between 0 and 32 workers"):
        LocalStack(StackOptions(tmp_path, workers=33))
