import shutil
import sys
from pathlib import Path

import pytest

from infra.local.child import LocalStackError
from infra.local.go_install import GoProgram, install_with_go
from infra.local.progress import Progress

PROGRAM = GoProgram("example.org/tools/cmd/teller", "v1.2.3", go=(1, 25))


def _fake_go(folder: Path, install: str, version: str = "go1.26.0") -> None:
    """A `go` that tells its version, and on `install` runs the given lines with `target` where the program belongs."""
    folder.mkdir()
    program = folder / "go"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, pathlib, sys\n"
        "if sys.argv[1:] == ['env', 'GOVERSION']:\n"
        f"    print({version!r})\n"
        "    sys.exit()\n"
        "assert sys.argv[1] == 'install' and sys.argv[-1] == 'example.org/tools/cmd/teller@v1.2.3'\n"
        "target = pathlib.Path(os.environ['GOBIN']) / 'teller'\n" + install
    )
    program.chmod(0o755)


def test_the_built_program_appears_whole_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_go(tmp_path / "go", "target.write_text('built')\n")
    monkeypatch.setenv("PATH", str(tmp_path / "go"))
    built = install_with_go(PROGRAM, tmp_path / "bin", Progress())
    assert built == tmp_path / "bin" / "teller"
    assert built.read_text() == "built"
    assert sorted(path.name for path in built.parent.iterdir()) == [".teller.lock", "teller"]


def test_a_program_that_is_there_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_go(tmp_path / "go", "sys.exit('built twice')\n")
    monkeypatch.setenv("PATH", str(tmp_path / "go"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "teller").write_text("built before")
    assert install_with_go(PROGRAM, tmp_path / "bin", Progress()).read_text() == "built before"


def test_a_failed_build_shows_what_go_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_go(tmp_path / "go", "target.write_text('half')\nsys.exit('no space left on device')\n")
    monkeypatch.setenv("PATH", str(tmp_path / "go"))
    with pytest.raises(LocalStackError, match="no space left on device"):
        install_with_go(PROGRAM, tmp_path / "bin", Progress())
    assert [path.name for path in (tmp_path / "bin").iterdir()] == [".teller.lock"]


def test_a_go_too_old_to_fetch_a_newer_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_go(tmp_path / "go", "", version="go1.19.8")
    monkeypatch.setenv("PATH", str(tmp_path / "go"))
    with pytest.raises(LocalStackError, match=r"is go1\.19\.8, and teller needs go1\.25"):
        install_with_go(PROGRAM, tmp_path / "bin", Progress())


@pytest.mark.skipif(shutil.which("go") is None, reason="asks the real Go for a module it cannot fetch")
def test_a_module_that_cannot_be_fetched_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    nowhere = GoProgram("localhost.invalid/no/such/module", "v0.0.1", go=(1, 25))
    with pytest.raises(LocalStackError, match="module lookup disabled"):
        install_with_go(nowhere, tmp_path / "bin", Progress())
