"""How the time-skipping server is got: from Maven, whole, and only as pinned."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from infra.local import time_skipping
from infra.local.child import LocalStackError
from infra.local.progress import Progress
from infra.local.time_skipping import (
    MAVEN_GOAL,
    NoTestServerError,
    find_java,
    find_test_server,
    pinned_jars,
)

JAR = b"a jar"
PINNED = hashlib.sha256(JAR).hexdigest()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH and cache of the test's own, and one jar that is pinned."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    checksums = tmp_path / "pinned.sha256"
    checksums.write_text(f"{PINNED}  server.jar\n")
    monkeypatch.setattr(time_skipping, "CHECKSUMS", checksums)
    return folder


def _program(folder: Path, name: str, lines: str) -> None:
    program = folder / name
    program.write_text(f"#!{sys.executable}\nimport pathlib, sys\n{lines}")
    program.chmod(0o755)


def _maven_that_copies(folder: Path, jar: bytes) -> None:
    _program(
        folder,
        "mvn",
        f"assert {MAVEN_GOAL!r} in sys.argv and pathlib.Path('pom.xml').exists()\n"
        f"pathlib.Path('jars').mkdir()\npathlib.Path('jars/server.jar').write_bytes({jar!r})\n",
    )


def test_the_jars_are_resolved_once(tools: Path, tmp_path: Path) -> None:
    _maven_that_copies(tools, JAR)
    folder = find_test_server(tmp_path, Progress())
    assert [path.name for path in folder.iterdir()] == ["server.jar"]
    _program(tools, "mvn", "sys.exit('resolved twice')\n")
    assert find_test_server(tmp_path, Progress()) == folder


def test_a_jar_that_is_not_the_pinned_one_is_refused_and_not_kept(tools: Path, tmp_path: Path) -> None:
    _maven_that_copies(tools, b"another jar")
    with pytest.raises(LocalStackError, match=r"not as pinned: server\.jar") as refused:
        find_test_server(tmp_path, Progress())
    assert not isinstance(refused.value, NoTestServerError)
    _maven_that_copies(tools, JAR)
    folder = find_test_server(tmp_path, Progress())
    (folder / "server.jar").write_bytes(b"changed since")
    with pytest.raises(LocalStackError, match="not as pinned"):
        find_test_server(tmp_path, Progress())


def test_without_java_or_maven_it_says_what_is_missing(tools: Path, tmp_path: Path) -> None:
    with pytest.raises(NoTestServerError, match="no `java`"):
        find_java()
    _program(tools, "java", "print('openjdk version \"1.8.0\"', file=sys.stderr)\n")
    with pytest.raises(NoTestServerError, match="needs 11"):
        find_java()
    with pytest.raises(NoTestServerError, match="no `mvn`"):
        find_test_server(tmp_path, Progress())
    _program(tools, "mvn", "sys.exit('no repository answers')\n")
    with pytest.raises(NoTestServerError, match="no repository answers"):
        find_test_server(tmp_path, Progress())
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_dir() and "unfinished" in path.name]


def test_every_jar_of_the_server_is_pinned() -> None:
    pinned = pinned_jars()
    assert f"temporal-test-server-{time_skipping.VERSION}.jar" in pinned
    assert all(len(digest) == 64 and name.endswith(".jar") for name, digest in pinned.items())
