"""Chooses the system user PostgreSQL runs as when the stack is started by root, which PostgreSQL refuses to run as.

Invariant: nothing on the machine changes for it. No user is created and no folder is opened to others: where the
project lies under a private folder (such as /root), the server instead keeps the one capability that lets it pass.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

from infra.local.child import LocalStackError, RunAs, shim_command

SYSTEM_USERS = ("postgres", "nobody")
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
NO_CAPABILITY = -1
PROBE_TIMEOUT_S = 20.0


def choose_system_user(binaries: Path, folder: Path) -> RunAs | None:
    """Return whom to run PostgreSQL as, or None when the present user will do.

    `folder` is given to that user. Raises `LocalStackError` when no way is found to let it reach its files.
    """
    if os.geteuid() != 0:
        return None
    user = _unprivileged_user()
    os.chown(folder, user.pw_uid, user.pw_gid)
    capabilities = (
        (NO_CAPABILITY, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if sys.platform == "linux" else (NO_CAPABILITY,)
    )
    for capability in capabilities:
        candidate = RunAs(user.pw_uid, user.pw_gid, capability)
        if _can_reach(candidate, binaries, folder):
            return candidate
    raise LocalStackError(
        f"PostgreSQL cannot run as root, and the user {user.pw_name!r} can reach {binaries} or {folder} in no way. "
        "Start the stack as an ordinary user, or move the project to a folder that everybody may enter (chmod o+x)."
    )


def _unprivileged_user() -> pwd.struct_passwd:
    for name in SYSTEM_USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        if user.pw_uid != 0:
            return user
    raise LocalStackError(f"PostgreSQL cannot run as root, and this machine has none of the users {SYSTEM_USERS}")


def _can_reach(run_as: RunAs, binaries: Path, folder: Path) -> bool:
    # pg_config looks up its own executable exactly as the server does.
    checks = (
        (str(binaries / "pg_config"), "--bindir"),
        ("/bin/sh", "-c", 'cd "$0" && : > .reach && rm .reach', str(folder)),
    )
    return all(
        subprocess.run(
            shim_command(check, run_as=run_as),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        ).returncode
        == 0
        for check in checks
    )
