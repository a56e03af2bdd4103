"""pgbench's TPC-B on the same server: what one PostgreSQL transaction costs, with nothing of ours around it.

Invariant: prepared statements and as many branches as clients, so that it is measured at its best; durability as the server
has it.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.bench.loops import DONE, PERCENTILES, Pace, percentile
from infra.local.postgres import LocalPostgres

CLIENTS = 16
THREADS = 2
SCALE = 16
DATABASE = "bench_pgbench"
LOGGED_SHARE = 0.1
INIT_TIMEOUT_S = 300.0
RUN_MARGIN_S = 60.0


class PgBench:
    """TPC-B in a database of its own. Raises `subprocess.CalledProcessError` when pgbench fails."""

    def __init__(self, server: LocalPostgres) -> None:
        self._server = server
        self.cpu_ms = 0.0

    def prepare(self) -> None:
        """Make the database and its tables anew."""
        self._server.drop_database(DATABASE)
        self._server.create_database(DATABASE)
        self._call(Path("/"), INIT_TIMEOUT_S, "--initialize", "--quiet", f"--scale={SCALE}")

    def run(self, pace: Pace) -> dict[str, Any]:
        """Run transactions for the length of the window, and describe them as `loops.run_load` does."""
        with tempfile.TemporaryDirectory(prefix="clearhold-pgbench-") as folder:
            output = self._call(
                Path(folder),
                pace.window_s + RUN_MARGIN_S,
                f"--client={CLIENTS}",
                f"--jobs={THREADS}",
                "--protocol=prepared",
                "--no-vacuum",
                f"--time={max(1, round(pace.window_s))}",
                "--log",
                f"--sampling-rate={LOGGED_SHARE}",
            )
            latencies = sorted(_latencies_ms(Path(folder)))
        done, rate = _number(r"actually processed: (\d+)", output), _number(r"tps = ([\d.]+)", output)
        return {
            "rate_per_s": rate,
            "latency_ms": {f"p{share}": percentile(latencies, share) for share in PERCENTILES},
            "outcomes": {DONE: int(done)},
            "skipped": 0,
            "window_unix_s": [0.0, 0.0],
        }

    def _call(self, folder: Path, timeout_s: float, *arguments: str) -> str:
        owner = urlsplit(self._server.owner_url(DATABASE))
        environment = {
            **os.environ,
            "PGHOST": str(owner.hostname),
            "PGPORT": str(owner.port),
            "PGUSER": str(owner.username),
            "PGPASSWORD": str(owner.password),
            "PGDATABASE": DATABASE,
        }
        before = os.times()
        done = subprocess.run(
            [str(self._server.binaries / "pgbench"), *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
        )
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        self.cpu_ms += used * 1000
        return done.stdout


def _latencies_ms(folder: Path) -> list[float]:
    """Read pgbench's log: client, transaction, latency in microseconds, script, second, microsecond."""
    return [
        int(line.split()[2]) / 1000 for log in folder.glob("pgbench_log.*") for line in log.read_text().splitlines()
    ]


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"pgbench answered without {pattern!r}:\n{text}")
    return float(found[1])
