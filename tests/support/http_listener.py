"""An application behind our HTTP protocol on a free loopback port, in the test's own event loop.

Invariant: no connection and no request outlives `listening`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from api.http_protocol import BoundedHttp

PATIENCE_S = 20.0


@asynccontextmanager
async def listening(app: Any, http: type[BoundedHttp]) -> AsyncIterator[int]:
    """Serve an ASGI application, whose lifespan is left out, while the block runs; gives its port."""
    config = Config(app, http=http, lifespan="off", log_config=None, access_log=False, server_header=False)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: http(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        yield int(server.sockets[0].getsockname()[1])
        for connection in list(state.connections):
            connection.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            while state.connections or state.tasks:
                await asyncio.sleep(0.01)
