"""CPU time and memory of processes and their children, from `/proc`.

Invariant: a reading counts each process of a tree once, and those of its children that ended (the kernel adds them to the
parent that waited for them), so the difference of two readings is all that the tree used in between.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14
"""Places after the name's closing parenthesis; see proc_pid_stat(5)."""

TREE_MAX = 4_096
"""Most processes looked at in one tree."""


def _tree(pid: int) -> Iterator[int]:
    waiting = [pid]
    for _ in range(TREE_MAX):
        if not waiting:
            return
        current = waiting.pop()
        yield current
        with suppress(OSError):
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting.extend(int(child) for child in (task / "children").read_text().split())


def cpu_ms(pid: int) -> float:
    """Return the CPU milliseconds, user and system, used so far by the process and all below it; 0 when it is gone."""
    ticks = 0
    for member in _tree(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(fields[place]) for place in (_UTIME, _STIME, _CUTIME, _CSTIME))
    return ticks * 1000 / _TICKS_PER_S


def resident_bytes(pid: int) -> int:
    """Return the resident memory of the process alone; 0 when it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


class CpuMeter:
    """Reads several named trees at once."""

    def __init__(self, pids: Mapping[str, tuple[int, ...]]) -> None:
        self._pids = dict(pids)

    def read(self) -> dict[str, float]:
        """Return CPU milliseconds so far by name."""
        return {name: sum(map(cpu_ms, pids)) for name, pids in self._pids.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what was used between two readings."""
    return {name: after[name] - before.get(name, 0.0) for name in after}
