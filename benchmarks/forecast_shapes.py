"""Written shapes of a signal on its way to a threshold, or not: what ``benchmarks.forecast`` replays.

Everything is a share of the capacity, per second, with the threshold at ``LINE``. A shape's figures are drawn from
ranges by its seed, and noise is laid over it: wandering (Ornstein-Uhlenbeck; 2 MiB to 64 MiB on a node of 64 GiB),
white, and spikes of 1 to 3 s. Each is written twice: so that it crosses in the end, and quiet, so that it never does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

LINE: Final = 0.1
Shape = Callable[[Random], Iterator[float]]
MINUTE, HOUR = 60.0, 3600.0
BURST_BEGINS_S: Final = 1800


def linear(rng: Random) -> Iterator[float]:
    """One rate all the way: 10 to 60 minutes from where it starts."""
    start, took_s = rng.uniform(0.05, 0.4), rng.uniform(10, 60) * MINUTE
    return _fall(LINE + start, start / took_s)


def slow_leak(rng: Random) -> Iterator[float]:
    """1 to 6 % of the capacity an hour."""
    rate = rng.uniform(0.01, 0.06) / HOUR
    return _fall(LINE + rate * rng.uniform(1, 3) * HOUR, rate)


def stepped(rng: Random) -> Iterator[float]:
    """Flat, and every 15 to 90 s a step down; both vary by up to 20 %."""
    size, period_s = rng.uniform(0.003, 0.02), rng.uniform(15, 90)
    level = LINE + size * rng.uniform(10, 30)
    while True:
        for _ in range(round(period_s * rng.uniform(0.8, 1.2))):
            yield level
        level -= size * rng.uniform(0.8, 1.2)


def leaking_sawtooth(rng: Random) -> Iterator[float]:
    """A garbage collector that gets back a little less each time: 10 to 40 collections until the line."""
    drawn = _teeth(rng, 60, 480)
    return _sawtooth(rng, *drawn, leak=drawn[2] / rng.uniform(10, 40))


def burst(rng: Random) -> Iterator[float]:
    """Level for half an hour, then a fall that takes 1.5 to 8 minutes, half of the time faster and faster."""
    level, took_s, gain = rng.uniform(0.05, 0.4), rng.uniform(90, 480), rng.choice((0.0, rng.uniform(0.5, 2)))
    yield from (LINE + level for _ in range(BURST_BEGINS_S))
    for second in range(100_000):
        done = second / took_s
        yield LINE + level * (1 - (done + gain * done * done) / (1 + gain))


def plateau(rng: Random) -> Iterator[float]:
    """It comes down ever slower, stands close to the line for 5 to 30 minutes, and then goes on at one rate."""
    margin = rng.uniform(0.01, 0.05)
    yield from _saturating(rng, margin, rng.uniform(5, 30) * MINUTE)
    yield from _fall(LINE + margin, margin / rng.uniform(6, 20) / MINUTE)


def failed_rotation(rng: Random) -> Iterator[float]:
    """Logs are rotated two to four times, and then not any more."""
    period_s, depth, margin = _rotation(rng)
    teeth = int(rng.uniform(2, 5))
    yield from _teeth_of(rng, LINE + margin, depth, period_s, teeth)
    yield from _fall(LINE + margin + depth, depth / period_s)


def quiet_sawtooth(rng: Random) -> Iterator[float]:
    """A garbage collector that gets everything back, close above the line."""
    return _sawtooth(rng, *_teeth(rng, 30, 600), leak=0.0)


def quiet_rotation(rng: Random) -> Iterator[float]:
    """Logs that are rotated, for ever."""
    period_s, depth, margin = _rotation(rng)
    return _teeth_of(rng, LINE + margin, depth, period_s, None)


def quiet_plateau(rng: Random) -> Iterator[float]:
    """Twice to twelve times a day it comes down ever slower, stands close to the line, and goes back."""
    while True:
        stay_s = rng.uniform(10, 60) * MINUTE
        yield from _saturating(rng, rng.uniform(0.01, 0.05), stay_s)
        yield from (LINE + 0.4 for _ in range(int(rng.uniform(1.5, 10) * HOUR)))


def quiet_burst(rng: Random) -> Iterator[float]:
    """Jobs: every 5 to 60 minutes a fall of 5 to 60 s that ends above the line, some minutes there, and back."""
    rest = LINE + rng.uniform(0.1, 0.4)
    while True:
        yield from (rest for _ in range(int(rng.uniform(5, 60) * MINUTE)))
        depth, took_s = (rest - LINE) * rng.uniform(0.3, 0.9), rng.uniform(5, 60)
        yield from (rest - depth * second / took_s for second in range(int(took_s)))
        yield from (rest - depth for _ in range(int(rng.uniform(0.5, 10) * MINUTE)))


def quiet_stop(rng: Random) -> Iterator[float]:
    """Once in 3 to 12 hours it falls like ``linear`` and stops 1 to 5 % above the line: nobody can know beforehand."""
    while True:
        start, margin = rng.uniform(0.1, 0.4), rng.uniform(0.01, 0.05)
        yield from (LINE + start for _ in range(int(rng.uniform(3, 12) * HOUR)))
        took_s = rng.uniform(10, 60) * MINUTE
        yield from (LINE + start - (start - margin) * second / took_s for second in range(int(took_s)))
        yield from (LINE + margin for _ in range(int(HOUR)))


CROSSING: Final[dict[str, Shape]] = {
    "linear": linear,
    "stepped": stepped,
    "sawtooth": leaking_sawtooth,
    "burst": burst,
    "plateau": plateau,
    "log rotation": failed_rotation,
    "slow leak": slow_leak,
}
QUIET: Final[dict[str, Shape]] = {
    "sawtooth": quiet_sawtooth,
    "log rotation": quiet_rotation,
    "plateau": quiet_plateau,
    "burst": quiet_burst,
}
STOP: Final[dict[str, Shape]] = {"a fall that stops": quiet_stop}


def noisy(shape: Iterator[float], rng: Random) -> Iterator[float]:
    """The shape under noise. No seconds are skipped."""
    wander, keep = math.exp(rng.uniform(math.log(0.00003), math.log(0.001))), math.exp(-1 / rng.uniform(3, 30))
    white, spike_s, kick = wander * rng.uniform(0.05, 0.5), 0, wander * math.sqrt(1 - keep * keep)
    now = spike = 0.0
    often = 1 / rng.uniform(120, 600)
    gauss, random = rng.gauss, rng.random
    for level in shape:
        now = keep * now + kick * gauss()
        if spike_s:
            spike_s -= 1
        elif random() < often:
            spike_s, spike = rng.randint(1, 3), rng.uniform(-0.004, 0.002)
        yield level + now + white * gauss() + (spike if spike_s else 0.0)


def _fall(level: float, rate: float) -> Iterator[float]:
    second = 0
    while True:
        yield level - rate * second
        second += 1


def _saturating(rng: Random, margin: float, stay_s: float) -> Iterator[float]:
    """From far above down to ``margin`` above the line, the rate always a share of what is left."""
    start, tau_s = rng.uniform(0.1, 0.35), rng.uniform(1.5, 10) * MINUTE
    for second in range(int(6 * tau_s + stay_s)):
        yield LINE + margin + start * math.exp(-second / tau_s)


def _teeth(rng: Random, least_s: float, most_s: float) -> tuple[float, float, float]:
    """Period, depth and how far above the line a tooth ends."""
    return rng.uniform(least_s, most_s), rng.uniform(0.02, 0.15), rng.uniform(0.01, 0.06)


def _rotation(rng: Random) -> tuple[float, float, float]:
    return rng.uniform(10, 120) * MINUTE, rng.uniform(0.02, 0.1), rng.uniform(0.01, 0.1)


def _sawtooth(rng: Random, period_s: float, depth: float, margin: float, leak: float) -> Iterator[float]:
    return _teeth_of(rng, LINE + margin, depth, period_s, None, leak)


def _teeth_of(
    rng: Random, floor: float, depth: float, period_s: float, count: int | None, leak: float = 0.0
) -> Iterator[float]:
    """The bottoms vary by up to 3 % of the depth (never so far that a quiet one reaches the line)."""
    rate, level, done, jitter = depth / period_s, floor + depth, 0, rng.uniform(0, 0.03)
    while count is None or done < count:
        bottom = floor - leak * done + rng.uniform(-jitter, jitter) * min(depth, floor - LINE)
        while level > bottom:
            yield level
            level -= rate
        done += 1
        level = floor - leak * done + depth
