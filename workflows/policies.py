"""How long each kind of step may take and how often it is tried. Every bound of the workflows has its name here."""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy

from activities.fast_lane import FAST_CALL_S
from activities.gateway import OUTCOME_UNKNOWN, REJECTED

FAST_CALL_TIMEOUT = timedelta(seconds=FAST_CALL_S + 1)
"""A gateway call within the workflow task: a little longer than the activity bounds it itself."""

ONCE = RetryPolicy(maximum_attempts=1)
"""A call within the workflow task is made once; what comes after is an ordinary activity."""

GATEWAY_CALL_TIMEOUT = timedelta(seconds=15)
"""One attempt of one gateway call: longer than the HTTP client's own timeouts, so a dead worker is the only way to reach it."""

GATEWAY_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=30),
    maximum_attempts=12,
    non_retryable_error_types=[OUTCOME_UNKNOWN, REJECTED],
)
"""A step forward: about three minutes of an unreachable gateway, then the payment is undone."""

INQUIRY_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=120,
    non_retryable_error_types=[REJECTED],
)
"""Asking about an unknown outcome: about two hours."""

MAX_RESENDS = 3
"""How often a request that the gateway says it never saw is sent again, under its own key."""

COMPENSATION_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=200,
    non_retryable_error_types=[REJECTED],
)
"""Undoing a step: about three hours, then a person must look. Never a schedule-to-close: it would end one half-way."""

BOOK_TIMEOUT = timedelta(seconds=10)
"""One attempt of one database step."""

BOOK_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=60_000,
)
"""A database out of reach: the payment waits for it, about a week."""

MAX_WAITING_COMMANDS = 8
"""Commands that wait their turn in one payment; Temporal allows 10 updates in flight."""

HOLD_GRACE = timedelta(days=3)
"""How long a ledger hold outlives the authorization it stands for: a backstop, the workflow releases it long before."""
