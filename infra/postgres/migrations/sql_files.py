"""Runs the SQL files of a version.

Invariant: a version's files run in the order of their names, in the transaction of the migration.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op


def run_sql(version_file: str, pattern: str) -> None:
    """Run the files that match `pattern` in the folder named like the version's module; at least one must match."""
    folder = Path(version_file).with_suffix("")
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"No {pattern} in {folder}.")
    for path in paths:
        # A colon would start a bind parameter, and the SQL has none.
        op.execute(sa.text(path.read_text(encoding="utf-8").replace(":", "\\:")))
