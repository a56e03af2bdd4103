"""Every path, gathered: importing this fills `PATHS` and `LOAN_PATHS`."""

from __future__ import annotations

from tests.replay import (
    paths_card,
    paths_loan_origination,
    paths_loan_payout,
    paths_loan_portfolio,
    paths_loan_reconciliation,
    paths_loan_servicing,
    paths_loan_undone,
    paths_reconciliation,
    paths_refund,
    paths_saga,
    paths_wallet,
)
from tests.replay.loan_scene import LOAN_PATHS
from tests.replay.paths_loan_reconciliation import RECONCILIATION, RECOVERED
from tests.replay.paths_loan_servicing import SECOND_RUN
from tests.replay.paths_loan_undone import SUCCESSOR
from tests.replay.scene import PATHS

LOAN_SECOND_RUNS = frozenset({SECOND_RUN, SUCCESSOR, RECOVERED, RECONCILIATION})
"""Histories of a further run of a path of loans."""

__all__ = [
    "LOAN_PATHS",
    "LOAN_SECOND_RUNS",
    "PATHS",
    "paths_card",
    "paths_loan_origination",
    "paths_loan_payout",
    "paths_loan_portfolio",
    "paths_loan_reconciliation",
    "paths_loan_servicing",
    "paths_loan_undone",
    "paths_reconciliation",
    "paths_refund",
    "paths_saga",
    "paths_wallet",
]
