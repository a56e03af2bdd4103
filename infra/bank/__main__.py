"""Runs the sandbox bank: `python -m infra.bank --port N --data FILE`.

Invariant: one process, one data file; SIGTERM lets running requests finish for a bounded time.
"""

import argparse
import logging
import sys
from pathlib import Path

import orjson
import uvicorn

from infra.bank.app import create_app
from infra.bank.connection import CuttableHttpProtocol
from infra.bank.operations import moment

DEFAULT_AUTHORIZATION_VALID_FOR_S = 7 * 24 * 3600.0
# Longer than any client keeps an idle connection, so that the bank never closes one a request is just travelling on.
KEEP_ALIVE_S = 120
# Requests held open by a fault do not delay the end of the process longer than this.
SHUTDOWN_S = 2


class JsonFormatter(logging.Formatter):
    """One JSON object a line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as JSON."""
        line = {"level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps({"at": moment(round(record.created * 1000)), **line}).decode()


def main() -> None:
    """Read the command line and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m infra.bank", description="The sandbox bank of Clearhold.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the bank's memory, made when missing")
    parser.add_argument(
        "--authorization-valid-for-s",
        type=float,
        default=DEFAULT_AUTHORIZATION_VALID_FOR_S,
        help="seconds after which an authorization expires (default: seven days)",
    )
    arguments = parser.parse_args()
    arguments.data.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    uvicorn.run(
        create_app(arguments.data, arguments.authorization_valid_for_s),
        host=arguments.host,
        port=arguments.port,
        http=CuttableHttpProtocol,
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


if __name__ == "__main__":
    main()
