"""What stands before the application, its tracing included: a full process turns requests away here, at the least cost.

Invariant: who is turned away gets what the application would answer, trace id and all, and is counted; everybody else is let
through untouched.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge import Edge
from api.in_flight import InFlight


def behind_a_door(app: FastAPI) -> ASGIApp:
    """Return the application as a server should serve it."""
    in_flight: InFlight = app.state.in_flight
    turn_away = Edge(app, app.state.metrics, in_flight)  # full, it answers itself

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and in_flight.must_shed(scope):
            await turn_away(scope, receive, send)
        else:
            await app(scope, receive, send)

    return door
