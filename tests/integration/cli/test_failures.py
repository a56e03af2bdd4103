"""Whatever a person can mend ends a command with a sentence and a status, and the doctor finds it with its fix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.folder_lock import FolderLock, emptied
from infra.local.stack import PROJECT

TIMEOUT_S = 120.0
NOWHERE = "127.0.0.1:1"
"""An address where nothing listens: nobody but a system's own program may have the port."""

WRONG_PORT = {"CLEARHOLD_API_PORT": "eighty"}
TWO_WRONG = {"CLEARHOLD_API_WAIT_MAX_S": "0", "CLEARHOLD_BANK_URL": "localhost"}


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder of its own, without what the caller's environment says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEARHOLD_")}
    return subprocess.run(
        [sys.executable, "-m", "infra.cli.main", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(PROJECT), "CLEARHOLD_DATA_DIR": str(folder / "data"), **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("up",), WRONG_PORT, "CLEARHOLD_API_PORT: Input should be a valid integer"),
        (("demo",), TWO_WRONG, "CLEARHOLD_BANK_URL"),
        (("keys", "list"), {"CLEARHOLD_DATABASE_POOL_MIN": "50"}, "database_pool_min must not exceed"),
        (("up", "--free-ports"), {"CLEARHOLD_DATA_DIR": "/proc/clearhold"}, "/proc/clearhold cannot be used"),
        (("demo",), {"CLEARHOLD_DATA_DIR": "/proc/clearhold"}, "/proc/clearhold cannot be used"),
        (("up", "--free-ports"), {"CLEARHOLD_DATA_DIR": __file__}, "cannot be used: Not a directory"),
        (("payment", "create", "1"), {"CLEARHOLD_DATA_DIR": __file__}, "no API key"),
        (("up",), {"CLEARHOLD_TEMPORAL_UI_URL": "http://temporal.test"}, "http://temporal.test names no port"),
        (("payment", "show", "pay_a", "--api", f"http://{NOWHERE}", "--key", "k"), {}, "does not answer"),
        (("payment", "create", "1", "--api", f"http://{NOWHERE}", "--key", "k"), {}, "does not answer"),
        (("ledger", "verify", "--database-url", f"postgresql://x@{NOWHERE}/x"), {}, "the database cannot be reached"),
        (("keys", "list"), {"CLEARHOLD_OWNER_DATABASE_URL": f"postgresql://x@{NOWHERE}/x"}, "cannot be reached"),
        (("migrate",), {"CLEARHOLD_OWNER_DATABASE_URL": f"postgresql://x@{NOWHERE}/x"}, "cannot be reached"),
    ],
)  # fmt: skip
def test_what_a_person_can_mend_is_said_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    ended = run(tmp_path, *arguments, **environment)
    assert ended.returncode in (1, 2), ended
    assert words in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "eighty" not in ended.stderr, "a value may be a secret"


def _problems(folder: Path, **environment: str) -> dict[str, dict[str, str]]:
    ended = run(folder, "doctor", "--json", **environment)
    assert ended.returncode == 1, ended
    found = [finding for finding in json.loads(ended.stdout) if finding["state"] == "problem"]
    assert all(finding["fix"] for finding in found)
    return {finding["detail"]: finding for finding in found}


def test_the_doctor_names_every_wrong_setting(tmp_path: Path) -> None:
    problems = _problems(tmp_path, **TWO_WRONG)
    assert {detail.partition(":")[0] for detail in problems} == set(TWO_WRONG)


@pytest.mark.parametrize("data_dir", ["/proc/clearhold", __file__])
def test_the_doctor_finds_a_data_folder_that_cannot_be_used(tmp_path: Path, data_dir: str) -> None:
    problems = _problems(tmp_path, CLEARHOLD_DATA_DIR=data_dir)
    assert "data folder" in {finding["subject"] for finding in problems.values()}


def test_the_doctor_finds_an_address_without_a_port(tmp_path: Path) -> None:
    problems = _problems(tmp_path, CLEARHOLD_BANK_URL="http://bank.test")
    assert [detail for detail in problems if detail.startswith("http://bank.test names no port")]


@pytest.mark.parametrize("command", ["demo", "drill"])
def test_a_second_run_in_the_same_folder_is_refused_and_takes_nothing_from_the_first(
    tmp_path: Path, command: str
) -> None:
    with emptied(tmp_path / "data" / command) as folder:
        (folder / "postgres").mkdir(parents=True)
        (folder / "postgres" / "data").write_text("precious")
        second = run(tmp_path, command)
        assert second.returncode == 1
        assert f"{command} is in use by another run (process {os.getpid()})" in second.stderr
        assert (folder / "postgres" / "data").read_text() == "precious"


def test_a_folder_of_ones_own_is_empty_and_its_lock_is_let_go(tmp_path: Path) -> None:
    with emptied(tmp_path / "demo") as folder:
        folder.mkdir()
        (folder / "left").write_text("")
    assert not FolderLock(tmp_path / "demo.lock").is_held_elsewhere()
    with emptied(tmp_path / "demo") as folder:
        assert not folder.exists()
