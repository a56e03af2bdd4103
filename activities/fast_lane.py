"""Whether the first call to a gateway may be made within the workflow task, where it costs least and an operator cannot see it.

Invariant: the lane is open only while the gateway answers fast. One call that was slow, lost or refused a connection closes it
for `CLOSED_S`; until then every call is an activity of its own, with its attempts and its last failure in the Temporal UI.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FAST_CALL_S = 2.0
"""How long a call in the lane may take; after it the outcome counts as unknown, and the gateway is asked."""

CLOSED_S = 15.0
"""How long one slow call closes the lane, in this worker process."""


class FastLane:
    """The lane of every gateway, by name. `clock` returns seconds, never going back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._closed_until: dict[str, float] = {}

    def is_open(self, gateway: str) -> bool:
        """Tell whether a call to this gateway may be made at once."""
        return self._clock() >= self._closed_until.get(gateway, float("-inf"))

    def close(self, gateway: str) -> None:
        """Take note that a call was slow or lost."""
        self._closed_until[gateway] = self._clock() + CLOSED_S
