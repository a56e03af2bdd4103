"""Who may import whom, and what a workflow or the domain may use of the world."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import FOLDERS, REPOSITORY, imports_of, name, python_files, tree_of

PURE_LIBRARIES = {"holidays"}
"""Third-party packages that neither read nor write anything; the domain may use them."""

THIRD_PARTY = {
    "domain": PURE_LIBRARIES,
    "activities": {"temporalio.activity", "temporalio.exceptions"},
    "workflows": {"temporalio.workflow", "temporalio.common", "temporalio.exceptions"},
}

NOT_REPEATABLE = {
    *("asyncio.subprocess", "concurrent", "ctypes", "ftplib", "glob", "http", "multiprocessing", "os", "pathlib"),
    *("random", "secrets", "select", "selectors", "shutil", "signal", "smtplib", "socket", "sqlite3", "ssl"),
    *("subprocess", "tempfile", "threading", "time", "urllib", "uuid"),
}
"""Modules of the standard library that give another answer when a workflow is replayed, or reach outside."""

CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


def lint_imports(config: Path, root: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--config", str(config), "--no-cache"],
        capture_output=True, text=True, timeout=120, check=False, cwd=root,
    )  # fmt: skip


def test_the_import_rules_of_the_design_hold() -> None:
    ended = lint_imports(REPOSITORY / ".importlinter", REPOSITORY)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]


def test_each_folder_has_an_import_rule() -> None:
    rules = configparser.ConfigParser()
    rules.read(REPOSITORY / ".importlinter")
    assert {f"importlinter:contract:{folder}" for folder in FOLDERS if folder != "tests"} < set(rules)


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("domain", "infra"),
        ("activities", "workflows"),
        ("workflows", "infra"),
        ("infra", "workers"),
        ("api", "activities"),
        ("workers", "api"),
    ],
)
def test_a_broken_import_rule_is_noticed(tmp_path: Path, importer: str, imported: str) -> None:
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "workers" / "resident.py").write_text("")
    (tmp_path / "api" / "__main__.py").write_text("import workers.resident\n")  # the one exception, which must exist
    (tmp_path / imported / "thing.py").write_text("")
    (tmp_path / importer / "careless.py").write_text(f"import {imported}.thing\n")
    (tmp_path / ".importlinter").write_text((REPOSITORY / ".importlinter").read_text())
    ended = lint_imports(tmp_path / ".importlinter", tmp_path)
    assert ended.returncode == 1, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert f"{importer}.careless -> {imported}.thing" in ended.stdout


@pytest.mark.parametrize("folder", THIRD_PARTY)
def test_the_inner_folders_use_no_other_packages_than_they_may(folder: str) -> None:
    allowed = THIRD_PARTY[folder]
    strangers = {
        f"{name(path)}: {imported}"
        for path in python_files(folder)
        for imported in imports_of(path)
        if imported.split(".")[0] not in {*sys.stdlib_module_names, *FOLDERS}
        and not any(imported == each or imported.startswith(f"{each}.") for each in allowed)
    }
    assert strangers == set()


def test_no_product_code_imports_the_tests() -> None:
    product = [folder for folder in FOLDERS if folder != "tests"]
    guilty = [
        name(path) for path in python_files(*product) if any(i.split(".")[0] == "tests" for i in imports_of(path))
    ]
    assert guilty == []


def test_no_import_is_relative() -> None:
    assert [name(path) for path in python_files() if ".relative" in imports_of(path)] == []


@pytest.mark.parametrize("folder", ["domain", "workflows"])
def test_what_is_replayed_imports_nothing_that_answers_differently_the_next_time(folder: str) -> None:
    guilty = {
        f"{name(path)}: {imported}"
        for path in python_files(folder)
        for imported in imports_of(path)
        if any(imported == module or imported.startswith(f"{module}.") for module in NOT_REPEATABLE)
    }
    assert guilty == set()


@pytest.mark.parametrize("folder", ["domain", "workflows"])
def test_what_is_replayed_reads_no_clock_of_the_machine(folder: str) -> None:
    guilty = set()
    for path in python_files(folder):
        for node in ast.walk(tree_of(path)):
            match node:
                case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=method):
                    if (owner, method) in CLOCKS:
                        guilty.add(f"{name(path)}:{node.lineno}")
    assert guilty == set()


def test_a_workflow_iterates_over_no_set() -> None:
    """The order of a set of strings differs from process to process."""
    guilty = set()
    for path in python_files("workflows"):
        for node in ast.walk(tree_of(path)):
            match node:
                case ast.For(iter=(ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")))):
                    guilty.add(f"{name(path)}:{node.lineno}")
                case ast.comprehension(
                    iter=(ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")))
                ):
                    guilty.add(f"{name(path)}:{node.iter.lineno}")
    assert guilty == set()
