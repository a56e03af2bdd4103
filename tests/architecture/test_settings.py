"""Every setting does something: one that nothing reads misleads whoever sets it."""

from __future__ import annotations

import re

from infra.settings import Settings
from tests.architecture.source import FOLDERS, python_files


def test_every_setting_is_read_somewhere() -> None:
    product = python_files(*(folder for folder in FOLDERS if folder != "tests"))
    read = "\n".join(path.read_text() for path in product if path.name != "settings.py")
    idle = [name for name in Settings.model_fields if not re.search(rf"\.{name}\b", read)]
    own = {"owner_database_url"}  # read through `require_owner_database_url`
    assert set(idle) - own == set()
