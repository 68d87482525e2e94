"""How fast a signal changes: least squares over windows of 20 s to 2 h, and the longest that agrees with all shorter.

A window agrees when its slope lies within what noise can do to both, or within a few percent. What bends is thereby
measured over a short window and what is steady over a long one; ``settling`` says how it bends. Cost: 0.1 ms.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from agent.eviction.history import FAR, History, bend

WINDOWS_S: Final = (20.0, 50.0, 100.0, 200.0, 400.0, 600.0, 1200.0, 2400.0, 4800.0, math.inf)
LEAST_S: Final = 50.0  # a fall shorter than that is not told from a step
ERRORS: Final = 2.0
ALIKE: Final = 0.08
BEND_TO_SD: Final = 0.6  # of white noise: 1 / (0.6745 * sqrt(6)); it wanders, so it counts a little more
CAUTION: Final = 1.3


class Fit(NamedTuple):
    """A line over the last ``window_s``: units per second, what noise can do to that, and the level now."""

    slope: float
    error: float
    level: float
    window_s: float


def fits(history: History, now_s: float, since_s: float, base: float) -> list[Fit]:
    """A line over each window that began after ``since_s``, the shortest first. ``base`` is a level to count from."""
    sd = _error(history, since_s)
    n = sx = sy = sxx = sxy = age_s = 0.0
    count, window, found = 0, 0, list[Fit]()
    for at_s, level, weight in history.points(since_s):
        x, y = at_s - now_s, level - base
        while -x > WINDOWS_S[window]:
            if count >= 4 and age_s > 0.7 * WINDOWS_S[window]:
                found.append(_line(n, sx, sy, sxx, sxy, sd, base, WINDOWS_S[window]))
            window += 1
        n, count, age_s = n + weight, count + 1, -x
        sx, sy, sxx, sxy = sx + weight * x, sy + weight * y, sxx + weight * x * x, sxy + weight * x * y
    if count >= 4:
        found.append(_line(n, sx, sy, sxx, sxy, sd, base, age_s))
    return found


def _error(history: History, since_s: float) -> float:
    """What a bucket's noise is worth in a fit. Noise that wanders for half a minute does not average out so soon."""
    noise, wander = history.noise, history.wander
    if since_s > -math.inf:
        own = bend([level for _, level in history.fine(since_s)], FAR)
        wander = min(own or wander, wander)
    swell = min(4.0, max(1.0, wander / noise)) if noise and wander else 2.0
    return CAUTION * swell * BEND_TO_SD * max(noise, wander or 2 * noise)


def _line(n: float, sx: float, sy: float, sxx: float, sxy: float, sd: float, base: float, window_s: float) -> Fit:
    spread = sxx - sx * sx / n
    if not spread > 0:
        return Fit(0.0, math.inf, base, window_s)
    slope = (sxy - sx * sy / n) / spread
    return Fit(slope, sd / math.sqrt(spread), base + (sy - slope * sx) / n, window_s)


def longest(found: list[Fit]) -> int:
    """The place of the longest window that agrees with all shorter ones; -1 where there is none."""
    best, low, high = -1, -math.inf, math.inf
    for place, fit in enumerate(found):
        play = ERRORS * fit.error + ALIKE * abs(fit.slope)
        if fit.slope - play > high or fit.slope + play < low:
            break
        low, high, best = max(low, fit.slope - play), min(high, fit.slope + play), place
    return best


def falling(found: list[Fit]) -> int:
    """As ``longest``; -1 also where that does not surely fall."""
    place = longest(found)
    if place < 0 or found[place].window_s < LEAST_S:
        return -1
    return place if found[place].slope < 0 and -found[place].slope >= 3 * found[place].error else -1


def settling(found: list[Fit], place: int) -> float | None:
    """Seconds in which the fall slows down to 1/e of its rate; negative where it quickens; None where it is steady."""
    fit = found[place]
    shorter = found[place - 1] if place else None
    if shorter is not None and abs(shorter.slope - fit.slope) > 2 * shorter.error - 0.02 * fit.slope:
        return _tau(shorter, fit)
    if place + 1 == len(found) or found[place + 1].slope >= fit.slope:
        return None
    longer = found[place + 1]
    if shorter is not None and shorter.slope < fit.slope * (1 + fit.slope / longer.slope) / 2 - shorter.error:
        return None  # it has slowed down, and does so no more
    return _tau(fit, longer)


def _tau(short: Fit, long: Fit) -> float | None:
    """From two slopes, each that of the middle of its window."""
    ratio = long.slope / short.slope if short.slope < 0 else 0.0
    if not 0.01 < ratio < 100 or 0.99 < ratio < 1.01:
        return None
    return (long.window_s - short.window_s) / 2 / math.log(ratio)
