"""What an examination finds: a subject, whether it is well, and what to do when it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a subject was found."""

    OK = "ok"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. `fix` is empty unless `state` is a problem."""

    subject: str
    state: State
    detail: str
    fix: str = ""


def ok(subject: str, detail: str) -> Finding:
    """Return that the subject is well."""
    return Finding(subject, State.OK, detail)


def problem(subject: str, detail: str, fix: str) -> Finding:
    """Return what is wrong with the subject and what to do."""
    return Finding(subject, State.PROBLEM, detail, fix)


def skipped(subject: str, detail: str) -> Finding:
    """Return why the subject was not looked at."""
    return Finding(subject, State.SKIPPED, detail)
