"""Chooses the TCP ports of the embedded stack.

Invariant: a chosen port lies below the range from which the kernel takes ports for outgoing connections, so that a
process killed and started again finds its own port still free.
"""

from __future__ import annotations

import secrets

from infra.local.readiness import port_is_free

FREE_PORT_FIRST = 20_000
FREE_PORT_LAST = 29_999
FREE_PORT_TRIES = 200


class PortAllocator:
    """Hands out ports of 127.0.0.1, each once."""

    def __init__(self) -> None:
        self._given: set[int] = set()
        self.notes: list[str] = []

    def free(self) -> int:
        """Any free port; raises `RuntimeError` when a bounded number of tries finds none."""
        for _ in range(FREE_PORT_TRIES):
            port = FREE_PORT_FIRST + secrets.randbelow(FREE_PORT_LAST - FREE_PORT_FIRST + 1)
            if port not in self._given and port_is_free(port):
                self._given.add(port)
                return port
        raise RuntimeError(f"no free port between {FREE_PORT_FIRST} and {FREE_PORT_LAST} in {FREE_PORT_TRIES} tries")

    def prefer(self, port: int, purpose: str) -> int:
        """Give the named port, or any free one when it is taken, which `notes` then says."""
        if port not in self._given and port_is_free(port):
            self._given.add(port)
            return port
        other = self.free()
        self.notes.append(f"port {port} is taken; {purpose} listens on {other} instead")
        return other
