"""Ways to ask whether a process is ready to serve: each a function that answers at once, and never raises."""

from __future__ import annotations

import socket
from collections.abc import Callable

import httpx

Probe = Callable[[], bool]

PROBE_TIMEOUT_S = 2.0
LOOPBACK = "127.0.0.1"


def tcp_probe(port: int, host: str = LOOPBACK) -> Probe:
    """Ready when a TCP connection is accepted."""

    def probe() -> bool:
        try:
            with socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S):
                return True
        except OSError:
            return False

    return probe


def http_probe(url: str) -> Probe:
    """Ready when a GET answers with a status of 200 to 299."""

    def probe() -> bool:
        try:
            return httpx.get(url, timeout=PROBE_TIMEOUT_S, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    return probe


def port_is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return False
        return True
