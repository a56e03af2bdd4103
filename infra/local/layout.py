"""Where the embedded stack listens and keeps its things, and how another process finds the stack that runs.

Invariant: everything lies below the data folder; what holds a password is readable by its owner only.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.child import LocalStackError
from infra.local.folder_lock import FolderLock
from infra.local.ports import PortAllocator
from infra.local.readiness import LOOPBACK
from infra.settings import DEFAULT_POSTGRES_PORT, Settings


def preferred_ports(settings: Settings) -> dict[str, int]:
    """Return the ports a stack takes when they are free, by what listens there, in the order of `StackPorts`."""
    return {
        "PostgreSQL": DEFAULT_POSTGRES_PORT,
        "Temporal": _port_of(f"grpc://{settings.temporal_address}"),
        "the Temporal UI": _port_of(settings.temporal_ui_url),
        "the sandbox bank": _port_of(settings.bank_url),
        "the API": settings.api_port,
    }


@dataclass(frozen=True, slots=True)
class StackPorts:
    """The ports of one stack, all on 127.0.0.1."""

    postgres: int
    temporal: int
    temporal_ui: int
    bank: int
    api: int

    @classmethod
    def any_free(cls, allocator: PortAllocator) -> StackPorts:
        """Free ports throughout, so that many stacks fit on one machine."""
        return cls(*(allocator.free() for _ in range(5)))

    @classmethod
    def from_settings(cls, settings: Settings, allocator: PortAllocator) -> StackPorts:
        """Take the ports the settings name, or free ones for those that are taken; `allocator.notes` says which."""
        return cls(*(allocator.prefer(port, name) for name, port in preferred_ports(settings).items()))

    @property
    def api_url(self) -> str:
        """Base address of the API."""
        return f"http://{LOOPBACK}:{self.api}"

    @property
    def bank_url(self) -> str:
        """Base address of the sandbox bank."""
        return f"http://{LOOPBACK}:{self.bank}"

    @property
    def temporal_ui_url(self) -> str:
        """Base address of the Temporal UI."""
        return f"http://{LOOPBACK}:{self.temporal_ui}"


@dataclass(frozen=True, slots=True)
class RunningStack:
    """What a stack tells others about itself while it runs: its process, and the settings to reach it with."""

    pid: int
    environment: dict[str, str]
    owner_database_url: str

    def settings(self) -> Settings:
        """Return settings for a process that talks to this stack."""
        return settings_from_environment({**self.environment, "CLEARHOLD_OWNER_DATABASE_URL": self.owner_database_url})

    def write(self, data_dir: Path) -> None:
        """Announce the stack; the file is readable by its owner only."""
        path = _announcement(data_dir)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file, indent=1)


def find_running_stack(data_dir: Path) -> RunningStack | None:
    """Return the stack that runs over that folder, if one does."""
    if not FolderLock(data_dir / "postgres" / "lock").is_held_elsewhere():
        return None
    try:
        return RunningStack(**json.loads(_announcement(data_dir).read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # it is only just starting
        return None


def withdraw_announcement(data_dir: Path) -> None:
    """Say that no stack runs over the folder any more."""
    _announcement(data_dir).unlink(missing_ok=True)


def settings_from_environment(environment: dict[str, str]) -> Settings:
    """Build settings from `CLEARHOLD_*` names; what they do not name comes from this process's environment."""
    return Settings(**{key.removeprefix("CLEARHOLD_").lower(): value for key, value in environment.items()})  # type: ignore[arg-type]


def _announcement(data_dir: Path) -> Path:
    return data_dir / "stack.json"


def _port_of(url: str) -> int:
    port = urlsplit(url).port
    if port is None:
        raise LocalStackError(
            f"{url} names no port, and a stack of this machine needs one: add it, as in http://127.0.0.1:8233"
        )
    return port
