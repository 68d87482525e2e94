"""What the pull side counts about itself."""

from __future__ import annotations

from typing import Final

from agent.httpd.message import Request
from agent.model import Family
from agent.telemetry import Counter, Gauge, Histogram, Instrument

REQUESTS = Family(
    "headroom_http_requests_total", "counter", "HTTP requests answered, by path and status.", ("path", "code")
)
DURATION = Family(
    "headroom_http_request_duration_seconds",
    "histogram",
    "From a complete request to an answer taken, by path. For metrics this is the scrape without the network.",
    ("path",),
)
REFUSED = Family(
    "headroom_http_refused_total",
    "counter",
    "Connections turned away or broken: displaced by a newer one, no free place, no resources (descriptors, threads), "
    "a bad request's status, transport.",
    ("reason",),
)
CONNECTIONS = Family("headroom_http_connections", "gauge", "HTTP connections open now.")
FAMILIES: Final = (REQUESTS, DURATION, REFUSED, CONNECTIONS)
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class PullTelemetry:
    """The server's Observer. ``paths`` are the only ones that become label values; the rest is ``other``."""

    def __init__(self, paths: frozenset[str]) -> None:
        self._paths = paths
        self._requests = Counter(REQUESTS)
        self._duration = Histogram(DURATION, BOUNDS_S)
        self._refused = Counter(REFUSED, ("displaced",), ("connections",), ("resources",), ("transport",))
        self._connections = Gauge(CONNECTIONS)
        self.instruments: tuple[Instrument, ...] = (self._requests, self._duration, self._refused, self._connections)

    def answered(self, request: Request, status: int, seconds: float) -> None:
        path = request.path if request.path in self._paths else "other"
        self._requests.inc(path, str(status))
        self._duration.observe(seconds, path)

    def refused(self, reason: str) -> None:
        self._refused.inc(reason)

    def connections(self, number: int) -> None:
        self._connections.value = number
