"""Every path, gathered: importing this fills `PATHS`."""

from __future__ import annotations

from tests.replay import paths_card, paths_reconciliation, paths_refund, paths_saga, paths_wallet
from tests.replay.scene import PATHS

__all__ = ["PATHS", "paths_card", "paths_reconciliation", "paths_refund", "paths_saga", "paths_wallet"]
