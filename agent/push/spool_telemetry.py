"""What a spool counts about itself."""

from __future__ import annotations

from typing import Final

from agent.model import Declared, Family, Writer
from agent.push.held import LANES
from agent.telemetry import Counter, Gauge, Histogram, Instrument

BYTES = Family("headroom_spool_bytes", "gauge", "Bytes of the spool's files.")
LIMIT = Family(
    "headroom_spool_limit_bytes", "gauge", "What the spool may take now; less while the node is short of disk."
)
SESSIONS = Family("headroom_spool_sessions", "gauge", "Sessions that the spool holds, one of each lane live.")
RECORDS = Family("headroom_spool_records_total", "counter", "Records written to the spool, by lane.", ("lane",))
DROPPED = Family(
    "headroom_spool_dropped_records_total",
    "counter",
    "Records that were never acknowledged and are gone, by lane and reason: spool_full, disk_pressure, disk, corrupt.",
    ("lane", "reason"),
)
ERRORS = Family(
    "headroom_spool_errors_total",
    "counter",
    "What the disk refused the spool, by reason: write, sync, create, delete, read; foreign: files that are not its.",
    ("reason",),
)
SYNC = Family("headroom_spool_sync_seconds", "histogram", "Duration of fdatasync on the spool's files.")
FAMILIES: Final[Declared] = (BYTES, LIMIT, SESSIONS, RECORDS, DROPPED, ERRORS, SYNC)
BOUNDS_S: Final = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)


class SpoolTelemetry:
    """Threads: any."""

    def __init__(self) -> None:
        self.bytes = Gauge(BYTES)
        self.limit = Gauge(LIMIT)
        self.sessions = Gauge(SESSIONS)
        self.records = Counter(RECORDS, *((lane,) for lane in LANES))
        self.dropped = Counter(DROPPED)
        self.errors = Counter(ERRORS)
        self.sync_s = Histogram(SYNC, BOUNDS_S)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return (self.bytes, self.limit, self.sessions, self.records, self.dropped, self.errors, self.sync_s)

    def write(self, out: Writer) -> None:
        for instrument in self.instruments:
            instrument.write(out)
