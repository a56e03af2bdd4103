from pathlib import Path

import pytest

from infra.local.clean import main
from infra.local.folder_lock import FolderLock


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for folder in (".clearhold/logs", ".mypy_cache", "domain/__pycache__", ".venv/lib/__pycache__", "docs"):
        (project / folder).mkdir(parents=True)
        (project / folder / "file").write_text("")
    return project


def test_data_and_caches_go_and_everything_else_stays(project: Path) -> None:
    assert main(project) == 0
    left = sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())
    assert left == [".venv/lib/__pycache__/file", "docs/file"]


def test_cleaning_twice_is_harmless(project: Path) -> None:
    assert main(project) == 0
    assert main(project) == 0


def test_a_link_to_a_folder_outside_is_removed_and_the_folder_kept(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "__pycache__").mkdir(parents=True)
    (outside / "precious").write_text("")
    (project / ".ruff_cache").symlink_to(outside)
    (project / "linked").symlink_to(outside)
    assert main(project) == 0
    assert not (project / ".ruff_cache").exists()
    assert sorted(path.name for path in outside.iterdir()) == ["__pycache__", "precious"]


def test_data_in_use_is_kept(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for held in ("postgres/lock", "demo/postgres/lock", "demo.lock", "setup.lock"):
        with FolderLock(project / ".clearhold" / held):
            assert main(project) == 1, held
        assert "stop it first" in capsys.readouterr().err
    assert (project / ".clearhold" / "logs" / "file").exists()
