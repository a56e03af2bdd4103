"""Waits for a condition with a bound, and looks at processes of this machine."""

import time
from collections.abc import Callable
from pathlib import Path

POLL_INTERVAL_S = 0.02


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Return when the condition holds; raises AssertionError after the bound."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not so within {timeout_s:g} s"
        time.sleep(POLL_INTERVAL_S)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def processes_naming(text: str) -> list[int]:
    """Ids of living processes whose command line holds the text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in command and is_alive(int(entry.name)):
                found.append(int(entry.name))
    return found
