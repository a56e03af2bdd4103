"""How long each step of a loan may take and how often it is tried; the bounds of loan workflows have their names here."""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy

from activities.loan_checks import SCREENING_REJECTED

CHECK_TIMEOUT = timedelta(seconds=20)
"""One question to a screening provider or a bureau."""

CHECK_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(hours=1),
    maximum_attempts=200,
    non_retryable_error_types=[SCREENING_REJECTED],
)
"""A provider that does not answer is asked for about a week, then a person must look."""

FAILED_STEP_PAUSE = timedelta(minutes=5)
"""After a step that failed for good, such as one the ledger refuses, before it is tried again."""

ADOPTION_PAUSE_MIN, ADOPTION_PAUSE_MAX = timedelta(seconds=1), timedelta(hours=1)
"""Between two looks at a payment that an earlier run began; it doubles."""
MAX_ADOPTION_POLLS = 2_000
"""About eighty days; a payment that waits for a person so long is a case for one."""

MAX_UNWRITTEN_POLLS = 7
"""About two minutes; a payment whose workflow was ended, and which has no row by then, was never begun."""

MAX_DAYS_PER_RUN = 120
"""Days with events that one run serves before it continues as new: about 4,000 history events at most."""

MAX_COMMANDS_PER_RUN = 500
"""Commands that one run carries out before it continues as new; Temporal allows 2,000 updates in a run."""

MAX_RECENT_UPDATES = 100
"""Ids of commands remembered across runs, so that a repeated one is answered and not done again."""
