"""How the commands reach a running API: by options, by environment, or by the stack of this folder.

Invariant: a key is read from a file that only its owner can read, or from the environment, and never printed by a command
that did not make it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import httpx

KEY_FILE = "development-key"
TIMEOUT_S = 60.0
TENANT = "default"


def ensure_development_key(data_dir: Path, database_url: str) -> str:
    """Return the key of the stack in that folder, made the first time and kept in a file of mode 600."""
    path = data_dir / KEY_FILE
    if path.exists():
        return path.read_text(encoding="utf-8").strip()
    key = asyncio.run(_create(database_url, "development"))
    unfinished = path.with_name(
        f"{KEY_FILE}.unfinished"
    )  # a file that stops half-way would be read as the key for ever
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(key, encoding="utf-8")
    unfinished.replace(path)
    return key


async def _create(database_url: str, name: str) -> str:
    import psycopg

    from infra.postgres.api_keys import create_key

    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        _, key = await create_key(connection, TENANT, "dev", name)
    return key


def open_api(url: str | None, key: str | None) -> httpx.Client:
    """Return a client for the API; exits with a sentence when there is no API or no key to be found."""
    import httpx

    from infra.local.layout import find_running_stack
    from infra.settings import get_settings

    settings = get_settings()
    running = find_running_stack(settings.data_dir)
    base = url or (running.settings().api_public_url if running else settings.api_public_url)
    secret = key or os.environ.get("CLEARHOLD_API_KEY")
    path = settings.data_dir / KEY_FILE
    if secret is None and path.exists():
        secret = path.read_text(encoding="utf-8").strip()
    if secret is None:
        typer.secho("error: no API key. Start the stack with `make run`, or set CLEARHOLD_API_KEY.", fg="red", err=True)
        raise typer.Exit(2)
    return httpx.Client(
        base_url=base, headers={"Authorization": f"Bearer {secret}"}, timeout=TIMEOUT_S, trust_env=False
    )
