"""The project's own source files, read as syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("domain", "activities", "workflows", "infra", "api", "workers", "tests")


def python_files(*folders: str) -> list[Path]:
    """Return the Python files of these folders of ours (none named: all), in order."""
    return sorted(path for folder in folders or FOLDERS for path in (REPOSITORY / folder).rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(), filename=str(path))


def imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything a file imports anywhere: `from a.b import c` is `a.b.c`."""
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                yield ".relative"


def name(path: Path) -> str:
    """Return a file's path within the repository."""
    return path.relative_to(REPOSITORY).as_posix()
