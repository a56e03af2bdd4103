from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.bench.control import CommandFailed, ask
from infra.local.child import ProcessSpec
from infra.local.ports import PortAllocator
from infra.local.processes import Supervisor
from infra.local.readiness import tcp_probe

PROJECT = Path(__file__).resolve().parents[3]
ANSWER_TIMEOUT_S = 10.0
SERVER = """
import asyncio, sys
from infra.bench.control import serve_commands

async def handle(command):
    if command["do"] == "fail":
        raise ValueError("no such thing")
    return {"twice": 2 * command["number"]}

asyncio.run(serve_commands(int(sys.argv[1]), handle))
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    chosen = PortAllocator().free()
    log = tmp_path_factory.mktemp("control") / "log"
    with Supervisor() as supervisor:
        argv = (sys.executable, "-c", SERVER, str(chosen))
        supervisor.start(ProcessSpec("driver", argv, log, cwd=PROJECT, ready=tcp_probe(chosen)))
        yield chosen


def test_a_command_is_answered(port: int) -> None:
    assert ask(port, {"do": "double", "number": 21}, ANSWER_TIMEOUT_S) == {"twice": 42}


def test_a_command_that_fails_answers_why_and_the_process_goes_on(port: int) -> None:
    with pytest.raises(CommandFailed, match="ValueError: no such thing"):
        ask(port, {"do": "fail"}, ANSWER_TIMEOUT_S)
    assert ask(port, {"do": "double", "number": 1}, ANSWER_TIMEOUT_S) == {"twice": 2}


def test_a_process_that_ended_is_an_error_and_no_answer() -> None:
    free = PortAllocator().free()
    with pytest.raises(OSError, match="refused"):
        ask(free, {"do": "double", "number": 1}, ANSWER_TIMEOUT_S)


@pytest.mark.parametrize("module", ["infra.bench.http_driver", "infra.bench.empty_driver"])
def test_every_driver_tells_how_it_is_called(module: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=PROJECT, check=True
    )
    assert "--port" in answer.stdout
