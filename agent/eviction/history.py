"""What a forecast needs of a signal's past, in little: medians of 5 s and of a minute, and where it turned round.

Memory: 10 minutes of 5 s, two hours of minutes, 32 turns: 20 KiB for each signal. Cost: ``add`` takes 1 us on average,
more when it ends a minute. Times may be irregular; after a gap, or when the clock goes back, it starts anew.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

BUCKET_S: Final = 5.0
MINUTE: Final = 12  # buckets
MINUTES: Final = 120
GAP_S: Final = 150.0
MOST: Final = float(1 << 63)
FAR: Final = 6  # buckets: noise that wanders within half a minute
TURN: Final = 12.0  # times the noise: coming back by so much is a turn
TURN_AGE_S: Final = 86400.0


class Turn(NamedTuple):
    """Where a fall or a rise ended, and the most it fell in a second on the way, over a minute."""

    time_s: float
    level: float
    steepest: float


class Tooth(NamedTuple):
    """A fall that ended in a rise: its bottom, how deep it was, and how fast on average and at the most."""

    time_s: float
    bottom: float
    depth: float
    rate: float
    steepest: float


class History:
    """The past of one signal. ``noise`` is its typical bend from one bucket to the next, ``wander`` over half a minute.

    Both are 0 for any line. Threads: one at a time.
    """

    __slots__ = (
        "_bucket",
        "_down",
        "_fine",
        "_last_s",
        "_minute",
        "_minutes",
        "_recent",
        "_since_s",
        "_steepest",
        "_turn",
        "_turns",
        "noise",
        "wander",
    )

    def __init__(self, span_s: float = 600.0) -> None:
        self._fine: deque[tuple[float, float]] = deque(maxlen=max(2 * FAR, int(span_s / BUCKET_S)))
        self._minutes: deque[tuple[float, float]] = deque(maxlen=MINUTES)
        self._turns: deque[Turn] = deque(maxlen=32)
        self._recent: deque[float] = deque(maxlen=int(BUCKET_S))
        self._bucket: list[float] = []
        self._minute: list[float] = []
        self._forget()

    def _forget(self) -> None:
        for kept in (self._fine, self._minutes, self._turns, self._recent, self._bucket, self._minute):
            kept.clear()
        self._since_s, self._last_s = 0.0, -math.inf
        self._down, self._steepest = True, 0.0
        self._turn: Turn | None = None  # the furthest point since the last turn: the next one, if it comes back from it
        self.noise = self.wander = 0.0

    def add(self, now_s: float, available: float) -> None:
        """What cannot be is not added."""
        if not 0 <= available < MOST or not math.isfinite(now_s):
            return
        if not 0 <= now_s - self._last_s <= GAP_S:
            self._forget()
        if self._bucket and now_s - self._since_s >= BUCKET_S - 0.5:
            self._end_bucket()
        if not self._bucket:
            self._since_s = now_s
        if len(self._bucket) < 64:  # however often it is called
            self._bucket.append(available)
        self._recent.append(available)
        self._last_s = now_s

    def level(self) -> float | None:
        """The median of the last few seconds."""
        return median(self._recent) if self._recent else None

    def fall(self) -> float | None:
        """When the present fall began; None while it rises."""
        if not self._down:
            return None
        return self._turns[-1].time_s if self._turns else -math.inf

    def fine(self, since_s: float) -> list[tuple[float, float]]:
        """The buckets since then, oldest first: time and level."""
        return [point for point in self._fine if point[0] >= since_s]

    def points(self, since_s: float) -> Iterator[tuple[float, float, float]]:
        """Newest first: time, level and weight in buckets; minutes where there are no buckets any more."""
        if len(self._bucket) >= 3:
            yield (self._since_s + self._last_s) / 2, median(self._bucket), len(self._bucket) / BUCKET_S
        oldest_s = self._fine[0][0] if self._fine else math.inf
        for at_s, level in reversed(self._fine):
            if at_s < since_s:
                return
            yield at_s, level, 1.0
        for at_s, level in reversed(self._minutes):
            if at_s < since_s:
                return
            if at_s < oldest_s - MINUTE * BUCKET_S / 2:
                yield at_s, level, float(MINUTE)

    def teeth(self, now_s: float) -> list[Tooth]:
        """The falls of the last day that ended in a rise, oldest first."""
        turns = list(self._turns)
        first = (len(turns) - self._down) % 2  # the first turn from a rise to a fall
        pairs = zip(turns[first::2], turns[first + 1 :: 2], strict=False)
        return [_tooth(top, bottom) for top, bottom in pairs if now_s - bottom.time_s <= TURN_AGE_S]

    def _end_bucket(self) -> None:
        at_s, level = (self._since_s + self._last_s) / 2, median(self._bucket)
        self._bucket.clear()
        self._fine.append((at_s, level))
        self._minute.append(level)
        if len(self._minute) == MINUTE or len(self._fine) < 2 * MINUTE:
            levels = [level for _, level in self._fine]
            self.noise, self.wander = bend(levels, 1), bend(levels, FAR)
        if len(self._minute) == MINUTE:
            self._minutes.append((at_s - (MINUTE - 1) / 2 * BUCKET_S, median(self._minute)))
            self._minute.clear()
        self._follow(at_s, level)

    def _follow(self, at_s: float, level: float) -> None:
        """Notices a turn."""
        if len(self._fine) >= MINUTE:
            then_s, then = self._fine[-MINUTE]
            self._steepest = max(self._steepest, (then - level) / (at_s - then_s))
        turn = self._turn
        if turn is not None and (level > turn.level if self._down else level < turn.level):
            if abs(level - turn.level) <= TURN * self.noise or len(self._fine) < 6:
                return
            self._turns.append(turn._replace(steepest=self._steepest))
            self._down, self._steepest = not self._down, 0.0
        self._turn = Turn(at_s, level, 0.0)


def _tooth(top: Turn, bottom: Turn) -> Tooth:
    depth = top.level - bottom.level
    rate = depth / (bottom.time_s - top.time_s)
    return Tooth(bottom.time_s, bottom.level, depth, rate, max(rate, bottom.steepest))


def median(values: deque[float] | list[float]) -> float:
    ordered, count = sorted(values), len(values)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def bend(levels: list[float], lag: int) -> float:
    """The median second difference: what a line has none of, and noise has."""
    bends = sorted(abs(a - 2 * b + c) for a, b, c in zip(levels, levels[lag:], levels[2 * lag :], strict=False))
    return bends[len(bends) // 2] if len(bends) >= 4 else 0.0
