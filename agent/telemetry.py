"""What the agent counts about itself: counters and histograms with labels, cheap enough for every request.

The aggregator's telemetry uses prometheus_client's registries; the agent does not load it (14 MiB).
Threads: ``inc`` and ``observe`` from any; one short lock each.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

from agent.model import Family, Key, Writer


class Instrument(Protocol):
    """Something that counts and can write itself down. ``family.name`` is where it appears."""

    family: Family

    def write(self, out: Writer) -> None: ...


class Counter:
    """Monotonic counts by label values. A label set appears with its first increment, or when it is given at birth."""

    def __init__(self, family: Family, *born: Key) -> None:
        self.family = family
        self._lock = threading.Lock()
        self._counts: dict[Key, int] = dict.fromkeys(born, 0)

    def inc(self, *labels: str, by: int = 1) -> None:
        with self._lock:
            self._counts[labels] = self._counts.get(labels, 0) + by

    def write(self, out: Writer) -> None:
        with self._lock:
            counts = dict(self._counts)
        out.many(self.family, tuple(counts), list(counts.values()))


class Gauge:
    """A number that goes up and down, without labels."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.value = 0

    def write(self, out: Writer) -> None:
        out.one(self.family, self.value)


class Histogram:
    """Observations by label values in fixed buckets. ``bounds`` are upper bounds in the family's unit, ascending."""

    def __init__(self, family: Family, bounds: Sequence[float]) -> None:
        self.family = family
        self._bounds = tuple(bounds)
        self._lock = threading.Lock()
        self._series: dict[Key, tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *labels: str) -> None:
        with self._lock:
            counts, total = self._series.setdefault(labels, ([0] * (len(self._bounds) + 1), [0.0]))
            counts[bisect_left(self._bounds, value)] += 1
            total[0] += value

    def write(self, out: Writer) -> None:
        with self._lock:
            series = [(labels, list(counts), total[0]) for labels, (counts, total) in self._series.items()]
        out.histograms(self.family, self._bounds, series)
