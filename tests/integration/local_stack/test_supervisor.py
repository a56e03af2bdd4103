import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infra.local.child import LocalStackError, ProcessFailedError, ProcessSpec
from infra.local.ports import PortAllocator
from infra.local.processes import Supervisor
from infra.local.readiness import http_probe
from tests.integration.local_stack.conditions import is_alive, processes_naming, wait_until

PROJECT = Path(__file__).resolve().parents[3]
SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)
PARENT_OF_ONE = (
    sys.executable,
    "-c",
    "import subprocess, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)",
)


def _says_up(log: Path) -> bool:
    return log.exists() and b"up" in log.read_bytes()


def test_a_child_is_returned_once_it_serves_and_is_gone_after_the_block(tmp_path: Path) -> None:
    port = PortAllocator().free()
    with Supervisor() as supervisor:
        server = supervisor.start(
            ProcessSpec(
                "web",
                (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"),
                tmp_path / "web.log",
                cwd=tmp_path,
                ready=http_probe(f"http://127.0.0.1:{port}/"),
            )
        )
        assert server.is_running
        assert supervisor.names() == ("web",)
    assert not is_alive(server.pid)


def test_a_child_that_ends_early_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    failing = (sys.executable, "-c", "import sys; print('no such ledger', file=sys.stderr); sys.exit(3)")
    with (
        Supervisor() as supervisor,
        pytest.raises(ProcessFailedError, match=r"status 3(.|\n)*no such ledger") as caught,
    ):
        supervisor.start(ProcessSpec("worker", failing, tmp_path / "worker.log", ready=lambda: False))
    assert caught.value.name == "worker"
    assert caught.value.log_tail == "no such ledger"


def test_a_log_of_an_earlier_run_is_kept_but_not_shown_for_a_later_failure(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("from yesterday\n")
    with Supervisor() as supervisor, pytest.raises(ProcessFailedError) as caught:
        supervisor.start(ProcessSpec("worker", ("false",), log, ready=lambda: False))
    assert "from yesterday" not in str(caught.value)
    assert log.read_text().startswith("from yesterday\n")


def test_a_child_that_never_serves_is_stopped_after_its_bound(tmp_path: Path) -> None:
    spec = ProcessSpec("mute", SLEEPER, tmp_path / "mute.log", ready=lambda: False, ready_timeout_s=0.5)
    with Supervisor() as supervisor:
        with pytest.raises(ProcessFailedError, match=r"was not ready within 0\.5 s"):
            supervisor.start(spec)
        assert supervisor.names() == ()


def test_a_program_that_does_not_exist_is_reported_by_name(tmp_path: Path) -> None:
    with Supervisor() as supervisor, pytest.raises(ProcessFailedError, match="no-such-program"):
        supervisor.start(ProcessSpec("ghost", ("no-such-program",), tmp_path / "ghost.log", ready=lambda: False))


def test_killing_a_child_takes_its_own_children_along(tmp_path: Path) -> None:
    log = tmp_path / "family.log"
    with Supervisor() as supervisor:
        supervisor.launch(ProcessSpec("family", PARENT_OF_ONE, log))
        wait_until(lambda: log.read_text().strip().isdigit())
        grandchild = int(log.read_text())
        supervisor.kill("family")
        wait_until(lambda: not is_alive(grandchild))
        assert supervisor.names() == ()


def test_a_child_deaf_to_the_stop_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    log = tmp_path / "deaf.log"
    with Supervisor() as supervisor:
        process = supervisor.launch(ProcessSpec("deaf", STUBBORN, log, stop_grace_s=0.3))
        wait_until(lambda: _says_up(log))
        supervisor.stop("deaf")
    assert process.returncode == -signal.SIGKILL


def test_children_are_stopped_in_the_reverse_order_of_their_start(tmp_path: Path) -> None:
    record = tmp_path / "record"
    program = (
        "import signal, sys, time\n"
        "def leave(*_):\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2])\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    with Supervisor() as supervisor:
        for name in "abc":
            log = tmp_path / f"{name}.log"
            supervisor.launch(ProcessSpec(name, (sys.executable, "-c", program, str(record), name), log))
            wait_until(lambda log=log: _says_up(log))
    assert record.read_text() == "cba"


def test_nothing_can_be_started_once_the_supervisor_has_stopped(tmp_path: Path) -> None:
    supervisor = Supervisor()
    with supervisor:
        supervisor.launch(ProcessSpec("one", SLEEPER, tmp_path / "one.log"))
    with pytest.raises(LocalStackError, match="two was not started"):
        supervisor.launch(ProcessSpec("two", SLEEPER, tmp_path / "two.log"))


def test_a_name_in_use_is_refused_and_its_process_left_alone(tmp_path: Path) -> None:
    spec = ProcessSpec("one", SLEEPER, tmp_path / "one.log")
    with Supervisor() as supervisor:
        process = supervisor.launch(spec)
        with pytest.raises(LocalStackError, match="already running"):
            supervisor.launch(spec)
        assert process.is_running


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    with Supervisor() as supervisor:
        thread = threading.Thread(target=supervisor.launch, args=(ProcessSpec("one", SLEEPER, log),))
        thread.start()
        thread.join()
        wait_until(lambda: _says_up(log))
        assert supervisor.get("one").is_running


def test_a_child_that_ended_unasked_is_listed(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.launch(ProcessSpec("brief", ("true",), tmp_path / "brief.log"))
        supervisor.launch(ProcessSpec("long", SLEEPER, tmp_path / "long.log"))
        wait_until(lambda: [process.name for process in supervisor.ended()] == ["brief"])


def test_a_variable_set_to_none_is_taken_out_of_the_childs_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARHOLD_OWNER_DATABASE_URL", "postgresql://owner")
    program = (sys.executable, "-c", "import os; print(os.environ.get('CLEARHOLD_OWNER_DATABASE_URL'))")
    spec = ProcessSpec("child", program, tmp_path / "child.log", env={"CLEARHOLD_OWNER_DATABASE_URL": None})
    with Supervisor() as supervisor:
        supervisor.run(spec, timeout_s=20)
    assert (tmp_path / "child.log").read_text() == "None\n"


HOLDER = """
import signal, sys, time
from pathlib import Path
from infra.local.child import ProcessSpec
from infra.local.processes import Supervisor

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
folder = Path(sys.argv[1])
with Supervisor() as supervisor:
    for name in ("first", "second"):
        program = (sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1], name)
        supervisor.launch(ProcessSpec(name, program, folder / f"{name}.log"))
    print("holding", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, {1, -signal.SIGINT}),
        (signal.SIGTERM, {128 + signal.SIGTERM}),
        (signal.SIGHUP, {128 + signal.SIGHUP}),
        pytest.param(
            signal.SIGKILL,
            {-signal.SIGKILL},
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died"),
        ),
    ],
)
def test_no_child_outlives_a_supervisor_ended_by_a_signal(
    tmp_path: Path, number: signal.Signals, status: set[int]
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holding\n"
        wait_until(lambda: len(processes_naming(str(tmp_path))) == 3)
        holder.send_signal(number)
        assert holder.wait(timeout=30) in status
    wait_until(lambda: processes_naming(str(tmp_path)) == [])
