from __future__ import annotations

import os
import subprocess
import sys

from infra.bench.cpu import CpuMeter, cpu_ms, resident_bytes, spent

BURN_S = 0.4
BURN_MS = BURN_S * 1000 * 0.9
"""Less a clock tick or two, in which the kernel counts."""
BURN = f"import time\nwhile time.process_time() < {BURN_S}: pass\n"
WAIT_FOR_INPUT = "input()\n"


def test_cpu_of_a_process_includes_children_that_still_run_and_children_that_ended() -> None:
    script = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {BURN!r}], check=True)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {BURN + 'print(flush=True)' + chr(10) + WAIT_FOR_INPUT!r}],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print('both burned', flush=True)\n"
        "input()\n"
        "child.communicate(b'\\n')\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"both burned\n"
        used = cpu_ms(process.pid)
        process.communicate(b"\n")
    assert used >= 2 * BURN_MS


def test_a_meter_tells_what_each_name_used_between_two_readings() -> None:
    meter = CpuMeter({"me": (os.getpid(),), "nobody": (2**22 + 1,)})
    before = meter.read()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    used = spent(before, meter.read())
    assert used["me"] >= BURN_MS
    assert used["nobody"] == 0


def test_resident_memory_grows_with_what_is_kept() -> None:
    before = resident_bytes(os.getpid())
    kept = bytearray(os.urandom(32 * 1024 * 1024))
    assert resident_bytes(os.getpid()) - before > 24 * 1024 * 1024
    del kept
    assert resident_bytes(2**22 + 1) == 0
