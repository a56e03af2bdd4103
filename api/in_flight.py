"""How many requests that move money are under way, and what happens to one too many.

Invariant: a request beyond the bound is turned away before anything is done for it, so that turning away costs little however
many come; what was let in is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from api import problems
from api.problems import RETRY_AFTER, Problem

_MONEY = ("/v1/payments", "/v1/refunds", "/v1/loans")
"""Where each POST moves money, or leads to it."""


@dataclass(slots=True)
class InFlight:
    """Counts the requests that move money, and turns away those beyond `most`."""

    most: int
    now: int = 0
    on_shed: Callable[[], None] = field(default=lambda: None)

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place while the block runs. Raises Problem 503 when there is none."""
        self.require_room()
        self.now += 1
        try:
            yield
        finally:
            self.now -= 1

    @property
    def is_full(self) -> bool:
        """Whether there is no place."""
        return self.now >= self.most

    def must_shed(self, method: str, path: str) -> bool:
        """Tell from a request's head that there is no place for it: asked before it is traced through any layer."""
        return self.is_full and method == "POST" and path.startswith(_MONEY)

    def require_room(self) -> None:
        """Raise Problem 503 when there is no place: asked before a body is read, which holds no place however slowly it comes."""
        if self.is_full:
            self.on_shed()
            raise self.refusal()

    def refusal(self) -> Problem:
        """Return what a request is told for which there is no place."""
        return Problem(problems.OVERLOADED, f"{self.most} requests that move money are under way.", headers=RETRY_AFTER)
