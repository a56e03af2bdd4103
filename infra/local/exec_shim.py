"""Runs between fork and exec of every child of the supervisor, as a program of its own.

Invariant: the program it becomes dies with the supervisor, also when that one is killed with SIGKILL, and runs as the
user it was told to. It is a separate program, and not a `preexec_fn`, because Python code between fork and exec can
deadlock in a process with threads. It imports nothing beyond the standard library and starts in a few milliseconds.

usage: python -I -S exec_shim.py PARENT_PID DEATH_SIGNAL UID GID CAPABILITY PROGRAM [ARGUMENT...]
UID, GID and CAPABILITY are -1 when nothing is to change. CAPABILITY is a Linux capability kept across the change of
user, so that a server may read a folder under a private parent without anybody opening that parent to everyone.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522
CAPABILITIES_PER_WORD = 32
FIXED_ARGUMENTS = 5
EXIT_SHIM_FAILED = 127


class _CapabilityHeader(ctypes.Structure):
    """`struct __user_cap_header_struct` of capset(2)."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    """`struct __user_cap_data_struct` of capset(2), one 32-bit word of each set."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _prctl(libc: ctypes.CDLL, option: int, *values: int) -> None:
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if libc.prctl(ctypes.c_int(option), *arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def _keep_only(libc: ctypes.CDLL, capability: int) -> None:
    """Hold one capability and pass it through exec (the ambient set); everything else is given up."""
    words = (_CapabilityData * 2)()
    word, bit = divmod(capability, CAPABILITIES_PER_WORD)
    words[word] = _CapabilityData(1 << bit, 1 << bit, 1 << bit)
    header = _CapabilityHeader(LINUX_CAPABILITY_VERSION_3, 0)
    if libc.capset(ctypes.byref(header), ctypes.byref(words)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")
    _prctl(libc, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _become(libc: ctypes.CDLL | None, uid: int, gid: int, capability: int) -> None:
    if libc is not None and capability >= 0:
        # Keeps capabilities over setuid, and lets access(2) count them, by which PostgreSQL looks up its own files.
        _prctl(libc, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if libc is not None and capability >= 0:
        _keep_only(libc, capability)


def main(arguments: list[str]) -> None:
    """Apply the options, then become the program; never returns."""
    parent, death_signal, uid, gid, capability = (int(value) for value in arguments[:FIXED_ARGUMENTS])
    program = arguments[FIXED_ARGUMENTS:]
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if uid >= 0:
        _become(libc, uid, gid, capability)
    if libc is not None:
        # After the change of user: the kernel forgets the death signal when credentials change.
        _prctl(libc, PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # the supervisor died before the line above
            sys.exit(EXIT_SHIM_FAILED)
    os.execvp(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"could not start {sys.argv[1 + FIXED_ARGUMENTS :]}: {error}\n")
        sys.exit(EXIT_SHIM_FAILED)
