"""The shape of the repository: names that collide with nobody's, files of readable length, no drawer for odds and ends."""

from __future__ import annotations

import ast
from importlib.metadata import distributions
from pathlib import PurePosixPath

from tests.architecture.source import FOLDERS, REPOSITORY, name, python_files, tree_of

MAX_LINES = 400
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc"}
OURS = "clearhold"


def test_no_installed_distribution_has_a_package_of_our_names() -> None:
    """Our folders are top-level packages: one of the same name in site-packages would be imported instead, or beside."""
    guilty = {
        f"{distribution.metadata['Name']}: {file}"
        for distribution in distributions()
        if distribution.metadata["Name"] != OURS
        for file in distribution.files or ()
        if _top_level(PurePosixPath(file)) in FOLDERS
    }
    assert guilty == set()


def test_no_file_is_longer_than_a_reader_bears() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in python_files()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    assert [name(path) for path in python_files() if path.stem in DRAWERS or path.parent.name in DRAWERS] == []


def test_every_folder_of_python_files_is_a_package() -> None:
    """Except for migrations, which Alembic loads by path."""
    folders = {path.parent for path in python_files() if "migrations" not in path.parts}
    assert sorted(name(folder) for folder in folders if not (folder / "__init__.py").exists()) == []


def test_every_module_of_the_product_says_what_it_is_for() -> None:
    product = python_files(*(folder for folder in FOLDERS if folder != "tests"))
    assert [name(path) for path in product if path.read_text() and not ast.get_docstring(tree_of(path))] == []


def test_no_test_uses_a_mock() -> None:
    guilty = [name(path) for path in python_files() if "unittest" + ".mock" in path.read_text()]
    assert guilty == []


def test_no_file_names_the_folder_it_was_written_in() -> None:
    """A path of the machine of whoever wrote it helps nobody else."""
    root = str(REPOSITORY)
    if root.count("/") < 2:  # a container's /app says nothing
        return
    assert [name(path) for path in python_files() if root in path.read_text()] == []


def _top_level(file: PurePosixPath) -> str:
    first = file.parts[0]
    return first.removesuffix(".py") if len(file.parts) == 1 else first
