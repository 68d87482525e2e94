"""When a signal will be at a threshold, told from how it has been going. Pure.

It answers only where all it looks at agrees: teeth that come lower each time (the tooth that will reach the line),
steps (when the last one needed comes), or a fall that is steady or bends evenly, for at least a fourth of the time it
tells. It does not answer above a level that the signal came back from within a day, unless it now falls far faster.

Cost: ``seconds_to`` 0.1 to 0.2 ms, ``trend`` 0.1 ms, ``History.add`` 1 us on average, all by timeit over the shapes of
``benchmarks.forecast``. So a signal that is asked about every 5 s costs 40 us a second.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from agent.eviction.history import History as History
from agent.eviction.history import Tooth, median
from agent.eviction.slope import Fit, falling, fits, longest, settling

REACH_S: Final = 3600.0
SPAN: Final = 4.0  # a steady fall tells at most so many times its own duration
SURE: Final = 1.2  # a slowing fall that would end not further than so many times the distance may as well not arrive
NEVER: Final = math.inf  # and nothing else needs to be asked; None leaves the answer to the next
Answer = float | None


def seconds_to(history: History, threshold: float, capacity: float, now_s: float) -> float | None:
    """Estimated seconds until ``available`` is at the threshold, 0 when it is there; None unless it approaches."""
    level = history.level()
    if level is None or not capacity > 0 or not math.isfinite(threshold):
        return None
    if level <= threshold:
        return 0.0
    teeth = history.teeth(now_s)
    left_s = _by_teeth(teeth[-8:], threshold, level, now_s)
    if left_s is None:
        left_s = _by_steps(history, threshold, level, now_s)
    if left_s is None:
        left_s = _by_slope(history, teeth, threshold, level, now_s)
    return max(0.0, left_s) if left_s is not None and left_s <= REACH_S else None


def trend(history: History, now_s: float) -> float | None:
    """Units per second, over the longest time that agrees with the present. None while too little is known."""
    level = history.level()
    if level is None:
        return None
    found = fits(history, now_s, -math.inf, level)
    place = longest(found)
    return found[place].slope if place >= 0 else None


def _by_slope(history: History, teeth: list[Tooth], threshold: float, level: float, now_s: float) -> Answer:
    """The line of the present fall; of all that is known where that alone is too short."""
    began_s = history.fall()
    for since_s in (began_s, -math.inf) if began_s is not None else (-math.inf,):
        found = fits(history, now_s, since_s, level)
        place = falling(found)
        if place >= 0:
            fit = found[place]
            return NEVER if _turns_before(teeth, threshold, level, fit) else _along(found, place, threshold)
    return None


def _along(found: list[Fit], place: int, threshold: float) -> Answer:
    fit, tau_s = found[place], settling(found, place)
    margin = max(0.0, fit.level - threshold)
    left_s = margin / -fit.slope
    if tau_s is not None:
        to_come = -fit.slope * math.exp(-fit.window_s / 2 / tau_s) * tau_s  # how much further it falls in all
        if not to_come or 0 < to_come <= SURE * margin:
            return NEVER
        left_s = -tau_s * math.log(1 - margin / to_come)
    return left_s if left_s <= SPAN * fit.window_s else NEVER


def _turns_before(teeth: list[Tooth], threshold: float, level: float, fit: Fit) -> bool:
    """Whether it has always come back from further down than here, and falls no differently now."""
    if not teeth or -fit.slope > 3 * max(tooth.steepest for tooth in teeth):
        return False
    lowest = min(tooth.bottom for tooth in teeth)
    if lowest <= threshold or level < lowest - 0.07 * median([tooth.depth for tooth in teeth[-5:]]):
        return False
    drops = [after.bottom - before.bottom for before, after in pairwise(teeth[-4:])]
    return len(drops) < 2 or teeth[-1].bottom + median(drops) > threshold


def _by_teeth(teeth: list[Tooth], threshold: float, level: float, now_s: float) -> Answer:
    """Where the teeth come regularly and each time lower: which of them will reach the line."""
    if len(teeth) < 3:
        return None
    periods = [after.time_s - before.time_s for before, after in pairwise(teeth)]
    period_s, last = median(periods), teeth[-1]
    if max(periods) > 2 * min(periods) or now_s - last.time_s > 1.5 * period_s:
        return None
    drop, bottom, error = _envelope([tooth.bottom for tooth in teeth])
    error = max(error, 0.01 * median([tooth.depth for tooth in teeth]))
    if drop * math.sqrt((len(teeth) ** 3 - len(teeth)) / 12) < 3 * error:
        return None
    if level < bottom - drop - 3 * error or bottom - drop <= threshold:
        return None  # this tooth is another one, or the last one: its own slope says when
    if (bottom - threshold) / drop * period_s > 2 * REACH_S:
        return NEVER
    count = math.ceil((bottom - threshold) / drop)
    below_s = (threshold - (bottom - count * drop)) / median([tooth.rate for tooth in teeth])
    return max(0.0, last.time_s + count * period_s - below_s - now_s)


def _envelope(bottoms: list[float]) -> tuple[float, float, float]:
    """A line through the bottoms: how much lower each is, the last one on it, and the scatter around it."""
    count, middle, mean = len(bottoms), (len(bottoms) - 1) / 2, sum(bottoms) / len(bottoms)
    spread = (count**3 - count) / 12
    drop = sum((middle - place) * (bottom - mean) for place, bottom in enumerate(bottoms)) / spread
    off = [bottom - mean - drop * (middle - place) for place, bottom in enumerate(bottoms)]
    return drop, mean - drop * middle, math.sqrt(sum(one * one for one in off) / (count - 2))


def _by_steps(history: History, threshold: float, level: float, now_s: float) -> Answer:
    """Where it falls in regular steps and stands still between: when the last step needed comes."""
    began_s = history.fall()
    points = history.fine(began_s) if began_s is not None else []
    steps = _steps(points)[-8:]
    if len(steps) < 3:
        return None
    gaps = [after[0] - before[0] for before, after in pairwise(steps)]
    before = [level for at_s, level in points if at_s < steps[0][0]]
    fallen, in_all = sum(size for _, size in steps), before[-1] - points[-1][1]
    if not 0.7 * in_all < fallen < 1.4 * in_all or max(gaps) > 3 * min(gaps):
        return None
    period_s, size, since_s = sum(gaps) / len(gaps), fallen / len(steps), now_s - steps[-1][0]
    if since_s > 2 * period_s:
        return None
    if (level - threshold) / size * period_s > 2 * REACH_S:
        return NEVER
    return (math.ceil((level - threshold) / size) - 1) * period_s + max(period_s - since_s, 0.1 * period_s)


def _steps(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """When, and how far down: what falls 5 times as far from one bucket to the next as it usually moves."""
    if len(points) < 10:
        return []
    falls = [before[1] - after[1] for before, after in pairwise(points)]
    usual = median([abs(fall) for fall in falls])
    found, last = list[tuple[float, float]](), -2
    for place, fall in enumerate(falls):
        if fall > 5 * usual:
            if place == last + 1:
                found[-1] = (found[-1][0], found[-1][1] + fall)
            else:
                found.append(((points[place][0] + points[place + 1][0]) / 2, fall))
            last = place
    return found
