"""Deletes what running the project left in its folder: what `make clean` runs. Standard library only.

Invariant: it deletes nothing outside the project's folder, follows no link, and touches no data a running stack uses.
"""

import fcntl
import shutil
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DATA = ".clearhold"
LOCKS = "*lock"
"""How the files are named that whoever uses data, wherever in the folder it lies, holds locked."""
CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache", "build", "docs/_build")
KEPT = {".git", ".venv"}


def main(project: Path = PROJECT) -> int:
    """Delete the data folder and the caches; the exit status is 1 when a stack still runs over the data."""
    for lock in (project / DATA).rglob(LOCKS):
        if _is_held(lock):
            sys.stderr.write(f"something is running over {project / DATA} (see {lock}); stop it first\n")
            return 1
    for name in (DATA, *CACHES):
        delete(project / name)
    for cache in _compiled(project):
        delete(cache)
    return 0


def delete(path: Path) -> None:
    """Delete a folder, or the link to one; nothing when it is not there."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _compiled(project: Path) -> "list[Path]":
    found: list[Path] = []
    for entry in project.iterdir():
        if entry.is_dir() and not entry.is_symlink() and entry.name not in KEPT:
            found += [entry] if entry.name == "__pycache__" else sorted(entry.rglob("__pycache__"))
    return found


def _is_held(lock: Path) -> bool:
    if not lock.is_file():
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
