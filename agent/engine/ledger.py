"""What collectors could not read: counted every time, said once."""

from __future__ import annotations

import threading
from typing import Final

from agent import log
from agent.errors import Absent, Defect, Gone, SourceError, Unsupported
from agent.model import Block, Family

SAID_MAX: Final = 1000

ERRORS = Family(
    "headroom_collector_errors_total",
    "counter",
    "What a collector could not read or was not to give, by reason: gone, unsupported, denied, malformed, failed, "
    "overdue, budget or defect.",
    ("collector", "reason"),
)


class Ledger:
    """Counts by (collector, reason). Threads: any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}
        self._said: set[tuple[str, str, str]] = set()

    def note(self, collector: str, error: SourceError) -> None:
        """Counts it, and says it the first time this collector meets it at this path."""
        occasion = (collector, error.reason, error.path)
        with self._lock:
            if not isinstance(error, Absent):
                key = occasion[:2]
                self._counts[key] = self._counts.get(key, 0) + 1
            if occasion in self._said or len(self._said) >= SAID_MAX:
                return
            self._said.add(occasion)
        _say(collector, error)

    def block(self) -> Block | None:
        """The counts as one block, in a stable order; None while there is nothing to count."""
        with self._lock:
            counts = sorted(self._counts.items())
        if not counts:
            return None
        return Block(ERRORS, tuple(key for key, _ in counts), [count for _, count in counts])


def _say(collector: str, error: SourceError) -> None:
    fields = {"collector": collector, "reason": error.reason, "path": error.path, "detail": error.detail}
    if isinstance(error, Absent):
        log.debug("nothing to collect", **fields)
    elif isinstance(error, (Gone, Unsupported)):
        log.info("omitted from now on; said once, counted always", **fields)
    elif isinstance(error, Defect):
        log.error("a defect in this collector; its metrics are missing, please report it", **fields)
    else:
        log.warn("omitted while this lasts; said once, counted always", **fields)
