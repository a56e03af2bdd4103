import sys
from pathlib import Path

import pytest

from infra.local.child import LocalStackError
from infra.local.progress import Progress
from infra.local.temporal_binary import UnusableBinaryError, find_installed_temporal, find_temporal
from infra.settings import Settings

USABLE = "temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)"


def _program(path: Path, answer: str, status: int = 0) -> Path:
    """A program that answers to --version and can do nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport sys\nprint({answer!r})\nsys.exit({status})\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a PATH with nothing on it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "cache" / "clearhold" / "bin"


def test_the_settings_come_first_then_path_then_the_cache(cache: Path, tmp_path: Path) -> None:
    cached = _program(cache / "temporal", USABLE)
    assert find_temporal(Settings(), Progress()) == cached
    on_path = _program(tmp_path / "path" / "temporal", USABLE)
    assert find_temporal(Settings(), Progress()) == on_path
    named = _program(tmp_path / "mine", USABLE)
    assert find_temporal(Settings(temporal_bin=named), Progress()) == named


def test_a_program_on_path_that_is_too_old_is_passed_over(cache: Path, tmp_path: Path) -> None:
    _program(tmp_path / "path" / "temporal", "temporal version 1.1.0 (Server 1.25.0, UI 2.30.0)")
    cached = _program(cache / "temporal", USABLE)
    assert find_temporal(Settings(), Progress()) == cached


def test_a_download_of_the_sdk_in_the_cache_is_used(cache: Path) -> None:
    downloaded = _program(cache / "temporal-sdk-python-1.35.0", USABLE)
    assert find_installed_temporal(Settings()) == downloaded


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ("temporal version 1.0.0 (Server 1.24.2, UI 2.28.0)", 0, "older than 1.28"),
        ("something else entirely", 0, "--version answered"),
        (USABLE, 1, "--version answered"),
    ],
)
def test_a_program_named_in_the_settings_that_will_not_do_is_refused_with_the_reason(
    tmp_path: Path, answer: str, status: int, reason: str
) -> None:
    named = _program(tmp_path / "mine", answer, status)
    with pytest.raises(UnusableBinaryError, match=reason):
        find_temporal(Settings(temporal_bin=named), Progress())


def test_a_path_in_the_settings_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableBinaryError, match="is not a file"):
        find_temporal(Settings(temporal_bin=tmp_path / "nothing"), Progress())


def test_where_nothing_works_the_error_lists_all_that_was_tried_and_what_to_do(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "path" / "temporal", "temporal version 1.0.0 (Server 1.24.2, UI 2.28.0)")
    monkeypatch.setenv(
        "HTTPS_PROXY", "http://127.0.0.1:9"
    )  # nobody is there: no download succeeds, whatever the network
    with pytest.raises(LocalStackError) as caught:
        find_temporal(Settings(), Progress())
    message = str(caught.value)
    for part in (
        "older than 1.28",
        f"the cache {cache}: nothing there",
        "the SDK's download: ",
        "go install github.com/temporalio/cli/cmd/temporal@v1.5.1: there is no `go` on PATH",
        "CLEARHOLD_TEMPORAL_BIN",
    ):
        assert part in message


def test_without_a_usable_cache_folder_programs_go_below_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setenv("PATH", "")
    kept = _program(tmp_path / "data" / "bin" / "temporal", USABLE)
    assert find_installed_temporal(Settings(data_dir=tmp_path / "data")) == kept
