"""What the push sink counts about itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agent.model import Declared, Family, Writer
from agent.push import spool_telemetry
from agent.push.held import LANES
from agent.push.spool_telemetry import SpoolTelemetry
from agent.telemetry import Counter, Gauge, Instrument

CONNECTED = Family("headroom_push_connected", "gauge", "1 while an aggregator takes this node's records.")
STREAMS = Family("headroom_push_streams_total", "counter", "Streams that an aggregator welcomed.")
SENT = Family(
    "headroom_push_sent_records_total",
    "counter",
    "Records sent, by lane; those that were sent again are counted again.",
    ("lane",),
)
SENT_BYTES = Family("headroom_push_sent_bytes_total", "counter", "Bytes of the messages sent, before TLS and HTTP/2.")
ACKS = Family("headroom_push_acks_total", "counter", "Acknowledgements heard.")
LAG = Family(
    "headroom_push_lag_seconds",
    "gauge",
    "For how long the samples that are next to be acknowledged have waited; 0 when the aggregator has all of them.",
)
ERRORS = Family(
    "headroom_push_errors_total",
    "counter",
    "What went wrong, by reason: unavailable, refused, ended, timeout, protocol, credentials and stream end a stream,"
    " or a try of one; spool is a spool that cannot be used, no_spool a tick that was not collected for lack of one,"
    " missed are events that came too fast, defect is a bug.",
    ("reason",),
)
FAMILIES: Final[Declared] = (CONNECTED, STREAMS, SENT, SENT_BYTES, ACKS, LAG, ERRORS)


class Lag:
    """An Instrument that asks when it is asked."""

    family: Family = LAG

    def __init__(self) -> None:
        self.now: Callable[[], float] = float

    def write(self, out: Writer) -> None:
        out.one(self.family, round(self.now(), 3))


class OfSpool:
    """What the spool counts, once there is one."""

    family: Family = spool_telemetry.BYTES

    def __init__(self) -> None:
        self.telemetry: SpoolTelemetry | None = None

    def write(self, out: Writer) -> None:
        if self.telemetry is not None:
            self.telemetry.write(out)


class PushTelemetry:
    """Threads: any."""

    def __init__(self) -> None:
        self.connected = Gauge(CONNECTED)
        self.streams = Counter(STREAMS, ())
        self.sent = Counter(SENT, *((lane,) for lane in LANES))
        self.sent_bytes = Counter(SENT_BYTES, ())
        self.acks = Counter(ACKS, ())
        self.lag = Lag()
        self.errors = Counter(ERRORS)
        self.spool = OfSpool()

    def instruments(self, pushes: bool) -> tuple[Instrument, ...]:
        """Without a target there is no stream to tell of."""
        stream = (self.connected, self.streams, self.sent, self.sent_bytes, self.acks, self.lag)
        return (*(stream if pushes else ()), self.errors, self.spool)
