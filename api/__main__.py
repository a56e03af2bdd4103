"""`python -m api`: one API process. On SIGTERM or SIGINT it takes no more requests, finishes those it has, and ends.

This is the one module that knows both the API and the worker that may live in its process.

Invariant: killed at any moment it loses nothing: what it had begun goes on in Temporal, and the next call with the same
Idempotency-Key finds it.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

import uvicorn

from api.app import create_app
from api.door import Door
from api.http_protocol import BoundedHttp
from api.telemetry import instrument
from infra import garbage
from infra.settings import get_settings
from infra.telemetry import configure_logging, configure_tracing
from infra.temporal_visits import skip_idle_visits
from workers.resident import ResidentWorker

SERVICE = "clearhold-api"
KEEP_ALIVE_S = 75
BACKLOG = 2048
STARTUP_FAILED = 3


def main() -> None:
    """Configure this process and serve."""
    settings = get_settings()
    configure_logging(settings, SERVICE)
    provider = configure_tracing(settings, SERVICE)
    resident = None
    if settings.api_runs_payments:
        skip_idle_visits()
        resident = ResidentWorker(settings)
    app = create_app(settings, resident)
    instrument(app, provider)
    garbage.settle()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.api_host,
            port=settings.api_port,
            loop="uvloop",
            http=BoundedHttp.behind(Door(app.state.in_flight, app.state.metrics)),
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=settings.api_shutdown_grace_s,
            backlog=BACKLOG,
        )
    )
    # uvicorn raises the signal again once it has stopped; by then it has done its work, and the exit status is 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _note)
    try:
        server.run()
    finally:
        provider.shutdown()
    if not server.started:
        sys.exit(STARTUP_FAILED)


def _note(_number: int, _frame: FrameType | None) -> None:
    """Take a signal that needs no more action."""


if __name__ == "__main__":
    main()
