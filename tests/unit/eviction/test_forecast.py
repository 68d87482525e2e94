"""The time left is told where a fall is sure, and not told otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.eviction.forecast import History, seconds_to, trend

CAPACITY, LINE = 1000.0, 100.0


def past(values: Iterable[float], start_s: float = 0.0) -> tuple[History, float]:
    """A history of one value a second, and the time of the last one."""
    history, now_s = History(), start_s
    for second, value in enumerate(values):
        now_s = start_s + second
        history.add(now_s, value)
    return history, now_s


def left_s(values: Iterable[float]) -> float | None:
    history, now_s = past(values)
    return seconds_to(history, LINE, CAPACITY, now_s)


@pytest.mark.parametrize(("rate", "seconds"), [(0.1, 300), (0.5, 600), (1.0, 800), (3.0, 200)])
def test_a_line_is_told_exactly(rate: float, seconds: int) -> None:
    """On a line without noise the time left is the distance over the rate, and the trend is that rate."""
    started = LINE + rate * (seconds + 120)
    history, now_s = past(started - rate * second for second in range(seconds + 1))
    assert seconds_to(history, LINE, CAPACITY, now_s) == pytest.approx(120)
    assert trend(history, now_s) == pytest.approx(-rate)


@pytest.mark.parametrize(
    "value",
    [lambda second: 110.0, lambda second: 110.0 + 0.1 * second, lambda second: 900.0 - 0.01 * second],
    ids=["flat", "rising", "beyond reach"],
)
def test_nothing_is_told_of_what_does_not_approach(value: Callable[[int], float]) -> None:
    """A signal that stands, rises, or would need more than an hour, has no time left."""
    assert left_s(map(value, range(600))) is None


def test_at_the_line_nothing_is_left() -> None:
    """A signal at its threshold has 0 s."""
    assert left_s([100.0] * 10) == 0.0


def test_nothing_is_told_of_nothing() -> None:
    """No history, or less than a minute of it, is no trend to tell from."""
    assert seconds_to(History(), LINE, CAPACITY, 0.0) is None
    assert trend(History(), 0.0) is None
    assert left_s(200 - second for second in range(40)) is None


def test_a_fall_that_stops_is_taken_back() -> None:
    """Half a minute after the fall ended nothing is told any more."""
    fall = [400.0 - second for second in range(250)]
    assert left_s(fall) == pytest.approx(51, abs=3)
    assert left_s(fall + [150.0] * 30) is None


def test_a_fall_that_slows_down_and_ends_above_the_line_is_none() -> None:
    """It halves its rate every minute and would end at 130: that is no approach."""
    assert left_s(130 + 400 * 0.5 ** (second / 60) for second in range(300)) is None


def test_regular_teeth_that_end_above_the_line_are_none() -> None:
    """A collector that always comes back from 120 does not approach, close as it is; further down than ever it does."""
    teeth = [220.0 - second % 200 / 2 for second in range(2000)]
    assert left_s(teeth) is None
    further = [220.0 - second / 2 for second in range(221)]
    assert left_s(teeth + further) == pytest.approx(20, abs=3)


def test_teeth_that_come_lower_tell_which_of_them_arrives() -> None:
    """Each tooth is 5 lower than the one before: the first whose bottom is below the line says when."""
    bottoms = [150.0 - 5 * tooth for tooth in range(12)]
    whole = [bottom + 60 - 0.5 * second for bottom in bottoms for second in range(120)]
    crossing_s = next(second for second, value in enumerate(whole) if value < LINE)
    assert left_s(whole[: crossing_s - 399]) == pytest.approx(400, abs=20)


def test_steps_tell_when_the_last_one_comes() -> None:
    """10 every 60 s: from 139 the fourth from now goes below the line, 190 s on as the last was 50 s ago."""
    steps = [199.0 - second // 60 * 10 for second in range(411)]
    assert left_s(steps) == pytest.approx(190, abs=6)


def test_after_a_gap_and_when_the_clock_goes_back_it_starts_anew() -> None:
    """What was before says nothing about now."""
    fall = [400.0 - second for second in range(250)]
    for start_s in (1000.0, 0.0):
        history, _ = past(fall)
        for second in range(20):
            history.add(start_s + second, 140.0)
        assert seconds_to(history, LINE, CAPACITY, start_s + 19) is None
        assert history.fine(-math.inf)[0][0] >= start_s


def test_irregular_times_are_no_harm() -> None:
    """A line looked at every 1 to 7 s is still a line."""
    history, now_s = History(), 0.0
    for look in range(200):
        now_s += 1 + look * 3 % 7
        history.add(now_s, 500 - now_s / 3)
    expected = (500 - now_s / 3 - LINE) * 3
    assert seconds_to(history, LINE, CAPACITY, now_s) == pytest.approx(expected, abs=5)


_values = st.floats(0, 1e18) | st.sampled_from([0.0, 1.0, 100.0, 120.0, 1e-300, math.nan, math.inf, -1.0])
_legs = st.lists(st.tuples(st.integers(1, 90), _values, st.floats(-10, 10)), min_size=1, max_size=12)


@given(_legs, st.lists(st.floats(-200, 200), max_size=12), st.floats(0, 1e18))
def test_any_past_gives_a_number_or_none(
    legs: list[tuple[int, float, float]], jumps: list[float], threshold: float
) -> None:
    """Whatever it was told, an answer is finite and not negative."""
    history, now_s = History(), 0.0
    for place, (seconds, level, rate) in enumerate(legs):
        for second in range(seconds):
            now_s += 1
            history.add(now_s, level + rate * second)
        now_s += jumps[place] if place < len(jumps) else 0.0
        told, slope = seconds_to(history, threshold, 1e18, now_s), trend(history, now_s)
        assert told is None or 0 <= told < math.inf
        assert slope is None or math.isfinite(slope)


@given(_legs, st.integers(-20, 40))
def test_units_do_not_matter(legs: list[tuple[int, float, float]], power: int) -> None:
    """In a unit 2^n times as large everything is the same but the trend, which is in that unit."""
    scale = 2.0**power
    tame = [
        100 + max(0.0, min(900.0, level + rate * s)) for n, level, rate in legs if level < 1e6 for s in range(5 * n)
    ]
    (one, now_s), (other, _) = past(tame), past(value * scale for value in tame)
    assert seconds_to(one, LINE, CAPACITY, now_s) == seconds_to(other, LINE * scale, CAPACITY * scale, now_s)
    slope, scaled = trend(one, now_s), trend(other, now_s)
    assert (slope is None and scaled is None) or scaled == (slope or 0.0) * scale
