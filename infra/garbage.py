"""The garbage collector of a long-lived process that makes many short-lived objects.

Invariant: nothing is switched off. What was made while the process started is never looked at again, and the young are looked at
less often: CPython's defaults look at them every 700 objects, which is a few times in each payment.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 20_000
"""New objects before the youngest are looked at: a few megabytes."""

OLDER_AFTER = 20
"""Looks at the young before those that stayed are looked at, and so on."""


def settle() -> None:
    """Call it once, when everything is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, OLDER_AFTER, OLDER_AFTER)
