"""Answers that are no answers: a connection held open, and one that is cut.

Invariant: neither writes a byte to the client, and neither outlives `MAX_HOLD_S`.
"""

import asyncio
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HOLD_S = 120.0
_EXTENSION = "bank.connection"


class CuttableHttpProtocol(HttpToolsProtocol):
    """HTTP over a transport that a handler may cut, which ASGI by itself has no word for."""

    def on_message_begin(self) -> None:
        """Hand the transport to the application beside the scope of a new request."""
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"transport": self.transport}}


class NoAnswer(Response):
    """A response of which nothing is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing: the connection is gone."""


async def hold_until_client_leaves(request: Request) -> Response:
    """Keep the client waiting until it hangs up, then cut the connection."""
    try:
        async with asyncio.timeout(MAX_HOLD_S):
            await _client_left(request)
    except TimeoutError:
        pass
    return await cut(request)


async def cut(request: Request) -> Response:
    """Drop the connection without an answer."""
    transport = cast("asyncio.Transport", request.scope["extensions"][_EXTENSION]["transport"])
    transport.abort()
    # The server would answer 500 for a handler that sends nothing, unless it knows by then that the client is gone.
    await _client_left(request)
    return NoAnswer()


async def _client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
