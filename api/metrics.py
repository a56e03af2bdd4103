"""What Prometheus reads of an API process.

Invariant: labels come from the route table, never from a request, so their number is bounded.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SHED = "shed"
"""What stands for the route of a request that was turned away."""

_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})


class RequestMetrics:
    """Counts and times requests by route, method and status."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self._requests = Counter("clearhold_http_requests", "Requests answered.", labels, registry=self.registry)
        self._seconds = Histogram(
            "clearhold_http_request_seconds", "Time to answer.", ("route",), buckets=_BUCKETS, registry=self.registry
        )
        self._in_flight = Gauge(
            "clearhold_http_money_in_flight", "Requests under way that move money.", registry=self.registry
        )
        self._shed = Counter(
            "clearhold_http_money_shed", "Requests turned away because too many were.", registry=self.registry
        )

    def watch(self, in_flight: Callable[[], float]) -> None:
        """Read the gauge from its owner whenever somebody asks."""
        self._in_flight.set_function(in_flight)

    def count_shed(self) -> None:
        """Count one request turned away."""
        self._shed.inc()

    def count_turned_away(self, status: int, seconds: float) -> None:
        """Count one request turned away before the application saw it."""
        self.count_shed()
        self._count(SHED, "POST", status, seconds)

    def observe(self, scope: Scope, asked: str, status: int, seconds: float) -> None:
        """Count one request; `asked` is its method, also where it was answered as another."""
        found = getattr(scope.get("route"), "path", "unmatched")
        route = SHED if scope.get("clearhold.shed") else found
        method = asked if asked in _METHODS else "other"
        self._count(route, method, status, seconds)

    def _count(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """Return these metrics and those of the process, in Prometheus' text format."""
        return generate_latest(self.registry) + generate_latest(REGISTRY)
