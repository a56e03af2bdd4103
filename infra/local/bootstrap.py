"""Makes `.venv` from the pinned requirements: what `make setup` runs, with any Python and nothing installed.

Invariant: only files whose hashes stand in `requirements/dev.txt` are installed, wheels only, and a second run with
the same requirements does nothing. Standard library only, and no newer syntax before the version is checked.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

OLDEST_PYTHON = (3, 11)
OTHER_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.14")
PROJECT = Path(__file__).resolve().parents[2]
VENV = PROJECT / ".venv"
REQUIREMENTS = PROJECT / "requirements" / "dev.txt"
STAMP = VENV / "clearhold-setup"
LOCK = PROJECT / ".clearhold" / "setup.lock"
QUIET_S = 2.0
LOG_INTERVAL_S = 10.0
PROBE_TIMEOUT_S = 30.0
INSTALL_TIMEOUT_S = 3_600.0
INTERRUPTED = 130


def main() -> int:
    """Set up the environment; the exit status is 0 when it is ready."""
    if sys.version_info < OLDEST_PYTHON:
        return _hand_over()
    import fcntl

    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another setup of this checkout is under way; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _fingerprint()
        if _is_done(wanted):
            return 0
        try:
            _set_up()
        except subprocess.CalledProcessError as error:
            _say(f"setup failed: {' '.join(error.cmd[:6])} … ended with status {error.returncode}")
            return 1
        except KeyboardInterrupt:
            _say("setup stopped; nothing is left running, and the next one goes on from here")
            return INTERRUPTED
        STAMP.write_text(wanted)
    return 0


def _set_up() -> None:
    python = VENV / "bin" / "python"
    if not (_runs(str(python)) and _belongs_here()):
        _say(f"making .venv with Python {sys.version.split()[0]}")
        if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False).returncode != 0:
            _say("Python could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv")
            raise subprocess.CalledProcessError(1, [sys.executable, "-m", "venv"])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    count = sum("==" in line and not line.startswith((" ", "#")) for line in REQUIREMENTS.read_text().splitlines())
    _run(
        [*pip, "install", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(REQUIREMENTS)],
        f"installing {count} pinned packages",
        count,
    )
    _run([*pip, "install", "--no-deps", "--no-build-isolation", "--editable", str(PROJECT)], "installing Clearhold", 1)


def _run(command: "list[str]", title: str, count: int) -> None:
    """Run pip, showing that it moves; its own output is shown when it fails."""
    started = time.monotonic()
    _say(f"{title} …")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        lines: list[str] = []
        reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            pause = QUIET_S
            while _still_runs(process, pause):
                seconds = time.monotonic() - started
                if seconds > INSTALL_TIMEOUT_S:
                    process.kill()
                said = list(lines)
                fetched = sum(line.startswith(("Collecting", "Processing")) for line in said)
                wanted = count - sum(line.startswith("Ignoring") for line in said)  # those of other systems
                _say(f"{title} … {seconds:.0f} s, {min(fetched, wanted)} of {wanted} fetched")
                pause = LOG_INTERVAL_S
        except BaseException:
            process.kill()
            raise
        reader.join()
    if process.returncode != 0:
        sys.stderr.writelines(lines[-40:])
        raise subprocess.CalledProcessError(process.returncode, command)
    _say(f"{title}: done ({time.monotonic() - started:.0f} s)")


def _still_runs(process: "subprocess.Popen[str]", pause_s: float) -> bool:
    try:
        process.wait(timeout=pause_s)
    except subprocess.TimeoutExpired:
        return True
    return False


def _fingerprint() -> str:
    digest = hashlib.sha256(str(PROJECT).encode())
    for path in (REQUIREMENTS, PROJECT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_done(wanted: str) -> bool:
    return STAMP.exists() and STAMP.read_text() == wanted and (VENV / "bin" / "clearhold").exists()


def _runs(python: str) -> bool:
    check = f"import sys, ensurepip; sys.exit(sys.version_info < {OLDEST_PYTHON!r})"
    try:
        answer = subprocess.run([python, "-c", check], capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _belongs_here() -> bool:
    """Whether the environment was made at this place: its scripts name their interpreter by its full path."""
    script = VENV / "bin" / "pip"
    return script.exists() and str(VENV) in script.read_text()


def _hand_over() -> int:
    for name in OTHER_PYTHONS:
        path = shutil.which(name)
        if path is not None and _runs(path):
            os.execv(path, [path, str(Path(__file__).resolve())])  # noqa: S606 - no shell is wanted
    wanted = ".".join(str(part) for part in OLDEST_PYTHON)
    _say(f"Clearhold needs Python {wanted} or newer; {sys.executable} is {sys.version.split()[0]}.")
    _say("Install one (Debian and Ubuntu: apt install python3.11 python3.11-venv), or name it: make PYTHON=/path/to/it")
    return 1


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
