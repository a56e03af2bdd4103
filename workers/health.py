"""Where a worker says whether it lives and serves: `/livez` and `/readyz`, for supervisors and orchestrators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_REQUEST_LINE_TIMEOUT_S = 5.0


@asynccontextmanager
async def health_server(host: str, port: int, is_ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Answer on `host` and `port` while the block runs; port 0 answers nothing."""
    if port == 0:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), _REQUEST_LINE_TIMEOUT_S)
            path = line.split(b" ")[1] if line.count(b" ") >= 2 else b""
            known = path in (b"/livez", b"/readyz")
            ready = path == b"/livez" or is_ready()
            status = b"404 Not Found" if not known else b"200 OK" if ready else b"503 Service Unavailable"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, host, port)
    async with server:
        yield
