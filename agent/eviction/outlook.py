"""The history of every signal, and what it lets expect. Estimates are made every few seconds and age in between.

Threads: one at a time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from agent.eviction.forecast import History, seconds_to, trend
from agent.eviction.margins import Margin

ESTIMATE_EVERY_S: Final = 5.0
TREND_EVERY_S: Final = 15.0


class Outlook:
    def __init__(self) -> None:
        self._histories: dict[str, History] = {}
        self._estimated_s = self._trended_s = float("-inf")
        self._left_s: dict[tuple[str, str], float] = {}
        self._trends: dict[str, float] = {}

    def add(self, now_s: float, signal: str, available: int) -> None:
        self._histories.setdefault(signal, History()).add(now_s, available)

    def seconds_left(self, now_s: float, margins: Collection[Margin]) -> dict[tuple[str, str], float]:
        """By signal and kind, for the thresholds that are approached; of one that is crossed there is no estimate."""
        if now_s - self._estimated_s >= ESTIMATE_EVERY_S:
            self._estimated_s = now_s
            self._left_s = {}
            for margin in margins:
                history = self._histories.get(margin.threshold.signal)
                if history is None or margin.crossed or margin.source != "direct":
                    continue
                left_s = seconds_to(history, margin.quantity, margin.capacity, now_s)
                if left_s is not None:
                    self._left_s[margin.threshold.signal, margin.threshold.kind] = left_s
        ahead = {(margin.threshold.signal, margin.threshold.kind) for margin in margins if not margin.crossed}
        age_s = now_s - self._estimated_s
        return {name: max(0.0, left_s - age_s) for name, left_s in self._left_s.items() if name in ahead}

    def trends(self, now_s: float) -> dict[str, float]:
        """Units per second, for the signals that have been looked at for long enough."""
        if now_s - self._trended_s >= TREND_EVERY_S:
            self._trended_s = now_s
            found = {signal: trend(history, now_s) for signal, history in self._histories.items()}
            self._trends = {signal: slope for signal, slope in found.items() if slope is not None}
        return self._trends
