"""How far each signal is from each of its thresholds, and which are crossed. Pure.

A threshold that acts stays met until there is as much more than it as its minimum reclaim asks for: the kubelet goes on
evicting until then. It acts once it was met for its grace, a hard one at once. So what is crossed depends on what was
crossed before, and ``Crossings`` remembers it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from agent.eviction.signals import Observation, Observations, Source
from agent.eviction.thresholds import Threshold, met


class Margin(NamedTuple):
    """One threshold against one observation of its signal. ``quantity`` is the threshold in the signal's unit."""

    threshold: Threshold
    source: Source
    available: int
    capacity: int
    quantity: int
    crossed: bool

    @property
    def ratio(self) -> float:
        """What is left above the threshold as a share of the capacity; below 0 it is crossed."""
        return (self.available - self.quantity) / self.capacity


class Crossings:
    """Measures margins of one source, and remembers what was crossed and since when. Threads: one at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._since_s: dict[tuple[str, str], float] = {}

    def measure(self, now_s: float, thresholds: Iterable[Threshold], observations: Observations) -> list[Margin]:
        """One margin for each threshold whose signal was observed. What was not observed keeps its crossing."""
        return [
            self._margin(now_s, threshold, observations[threshold.signal])
            for threshold in thresholds
            if threshold.signal in observations
        ]

    def _margin(self, now_s: float, threshold: Threshold, observed: Observation) -> Margin:
        name = (threshold.signal, threshold.kind)
        since_s = self._since_s.get(name)
        acts = since_s is not None and now_s - since_s >= threshold.grace_s
        crossed = met(threshold, observed, acts)
        if not crossed:
            self._since_s.pop(name, None)
        elif since_s is None:
            self._since_s[name] = now_s
        quantity = threshold.quantity_of(observed.capacity)
        return Margin(threshold, self._source, observed.available, observed.capacity, quantity, crossed)
