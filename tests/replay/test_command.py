"""`python -m workers.replay`: what it says and how it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.settings import Settings
from tests.replay.record import HISTORIES
from workers.replay import NEWEST_MAX, main, run

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = "127.0.0.1:1"
ALONE = Settings(temporal_address=NOBODY)


def test_the_command_passes_a_folder_of_good_histories_without_a_server(tmp_path: Path) -> None:
    shutil.copy(HISTORIES / "charged_at_once.json", tmp_path)
    elsewhere = {"CLEARHOLD_DATA_DIR": str(tmp_path / "data"), "CLEARHOLD_TEMPORAL_ADDRESS": NOBODY}
    ended = subprocess.run(
        [sys.executable, "-m", "workers.replay", str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False, cwd=REPOSITORY, env=os.environ | elsewhere,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 recorded histories" in ended.stdout
    assert f"no Temporal server answers at {NOBODY}" in ended.stdout
    assert "all 1 replay, cached and uncached" in ended.stdout


async def test_a_history_that_does_not_replay_is_named_and_fails_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (HISTORIES / "gateway_unreachable_for_a_while.json").read_text()
    (tmp_path / "tampered.json").write_text(text.replace('"name":"authorize"', '"name":"void"'))
    assert await run(tmp_path, ALONE, 1, server_expected=False) == 1
    assert "FAILED: tampered (cached)" in capsys.readouterr().out


async def test_a_replay_of_nothing_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(tmp_path, ALONE, 1, server_expected=False) == 1
    assert "holds no histories" in capsys.readouterr().out
    assert await run(None, ALONE, 1, server_expected=False) == 1
    assert "nothing was replayed" in capsys.readouterr().out


async def test_a_server_that_was_named_must_answer_even_when_the_folder_is_good(tmp_path: Path) -> None:
    shutil.copy(HISTORIES / "charged_at_once.json", tmp_path)
    assert await run(tmp_path, ALONE, 1, server_expected=True) == 1


@pytest.mark.parametrize("newest", ["0", str(NEWEST_MAX + 1), "many"])
def test_the_number_of_histories_to_fetch_has_bounds(newest: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--newest", newest])
    assert ended.value.code == 2
