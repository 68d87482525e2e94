"""The least and the most of each signal over the last minute, so that a spike between two scrapes is not lost.

They slide: no reading resets them, so two readers never take each other's spikes. Threads: one writer, any reader.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

WINDOW_S: Final = 60.0


class Extremes(NamedTuple):
    least: int
    most: int


class Minute:
    """The last minute of one signal. Memory: what two monotonic queues keep, 60 readings at most each."""

    __slots__ = ("_falling", "_rising")

    def __init__(self) -> None:
        self._rising: deque[tuple[float, int]] = deque()  # its first is the least
        self._falling: deque[tuple[float, int]] = deque()  # its first is the most

    def add(self, now_s: float, value: int) -> None:
        rising, falling = self._rising, self._falling
        while rising and rising[-1][1] >= value:
            rising.pop()
        while falling and falling[-1][1] <= value:
            falling.pop()
        for queue in (rising, falling):
            queue.append((now_s, value))
            while queue[0][0] <= now_s - WINDOW_S:
                queue.popleft()

    def extremes(self) -> Extremes:
        """Of what was added up to now. Only after the first ``add``."""
        return Extremes(self._rising[0][1], self._falling[0][1])
