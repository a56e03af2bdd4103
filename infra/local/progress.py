"""Shows a person that something long moves.

Invariant: nothing that takes longer than two seconds is silent. A terminal gets a spinner with the seconds; a log gets
a line at the start, one every ten seconds, and one at the end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

LOG_INTERVAL_S = 10.0
TERMINAL_INTERVAL_S = 0.5
QUIET_S = 2.0

Detail = Callable[[], str]


class Progress:
    """Reports steps on a console, by default standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, markup=False)

    @contextmanager
    def step(self, title: str, detail: Detail | None = None) -> Iterator[None]:
        """Show that `title` is under way until the block ends; `detail` says each time how far it is."""
        started = time.monotonic()
        stop = threading.Event()
        watch = self._spin if self.console.is_terminal else self._log
        thread = threading.Thread(target=watch, args=(title, detail, started, stop), name="progress", daemon=True)
        thread.start()
        outcome = "stopped"
        try:
            yield
            outcome = "done"
        finally:
            stop.set()
            thread.join()
            self.say(f"{title}: {outcome} ({time.monotonic() - started:.1f} s)")

    def _spin(self, title: str, detail: Detail | None, started: float, stop: threading.Event) -> None:
        with self.console.status(title) as status:
            while not stop.wait(TERMINAL_INTERVAL_S):
                status.update(_line(title, detail, started))

    def _log(self, title: str, detail: Detail | None, started: float, stop: threading.Event) -> None:
        pause = QUIET_S
        while not stop.wait(pause):
            self.say(_line(title, detail, started))
            pause = LOG_INTERVAL_S


def _line(title: str, detail: Detail | None, started: float) -> str:
    more = f", {detail()}" if detail else ""
    return f"{title} … {time.monotonic() - started:.0f} s{more}"
