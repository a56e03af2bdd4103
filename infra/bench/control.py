"""How the bench tells a process of its own what to do: a line of JSON each way over a loopback connection.

Invariant: one command at a time; a command that fails answers with its error, and the process goes on serving.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from infra.local.readiness import LOOPBACK

MAX_LINE_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_S = 5.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class CommandFailed(Exception):
    """The process could not carry out a command; the message says why."""


async def serve_commands(port: int, handle: Handler) -> None:
    """Answer commands on the port until SIGTERM."""
    stop, one_at_a_time = asyncio.Event(), asyncio.Lock()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                async with one_at_a_time:
                    writer.write(orjson.dumps(await _answer(handle, line)) + b"\n")
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, port, limit=MAX_LINE_BYTES)
    async with server:
        await stop.wait()


async def _answer(handle: Handler, line: bytes) -> dict[str, Any]:
    try:
        return {"ok": await handle(orjson.loads(line))}
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked must read it
        return {"error": f"{type(error).__name__}: {error}"}


def ask(port: int, command: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Send a command and return its answer.

    Raises `CommandFailed` with the process's own words, or `OSError` when it does not answer in time.
    """
    with socket.create_connection((LOOPBACK, port), timeout=CONNECT_TIMEOUT_S) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(orjson.dumps(command) + b"\n")
        with connection.makefile("rb") as answers:
            line = answers.readline(MAX_LINE_BYTES)
    if not line:
        raise CommandFailed(f"no answer to {command.get('do')!r}: the process ended")
    answer: dict[str, Any] = orjson.loads(line)
    if "error" in answer:
        raise CommandFailed(answer["error"])
    result: dict[str, Any] = answer["ok"]
    return result
