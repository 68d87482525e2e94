"""What the watch saw at one moment, immutable: what metrics, the API and the table show is taken from it."""

from __future__ import annotations

from typing import NamedTuple

from agent.eviction.configuration import EvictionConfig
from agent.eviction.extremes import Extremes
from agent.eviction.margins import Margin
from agent.eviction.signals import Condition, Observations, Source


class View(NamedTuple):
    """``seconds_left`` is by (signal, kind) as of this moment; ``trends`` are units per second, where there is one.

    ``observations`` has a source only while it tells: the kubelet's not when it is not asked, or no longer answers.
    """

    time_s: float
    monotonic_s: float
    config: EvictionConfig
    observations: dict[Source, Observations]
    margins: tuple[Margin, ...]
    seconds_left: dict[tuple[str, str], float]
    trends: dict[str, float]
    extremes: dict[str, Extremes]
    conditions: frozenset[Condition]

    def margin(self, signal: str, kind: str, source: Source) -> Margin | None:
        for one in self.margins:
            if (one.threshold.signal, one.threshold.kind, one.source) == (signal, kind, source):
                return one
        return None

    def age_s(self, signal: str, source: Source) -> float | None:
        """How old the statistic is; None where nobody said when it was taken."""
        observed = self.observations.get(source, {}).get(signal)
        return (
            None if observed is None or observed.time_s is None else round(max(0.0, self.time_s - observed.time_s), 3)
        )
