"""The least and the most of the last minute slide with time and are nobody's to reset."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.eviction.extremes import WINDOW_S, Extremes, Minute


def test_a_spike_is_seen_for_a_minute() -> None:
    """A reading far below all others is the least until it is a minute old, and not after."""
    minute = Minute()
    for second in range(100):
        minute.add(float(second), 7 if second == 20 else 1000)
        expected = 7 if 20 <= second < 20 + WINDOW_S else 1000
        assert minute.extremes() == Extremes(expected, 1000), second


def test_reading_takes_nothing_away() -> None:
    """Two readers one after the other are told the same."""
    minute = Minute()
    for value in (5, 1, 9):
        minute.add(1.0, value)
    assert minute.extremes() == minute.extremes() == Extremes(1, 9)


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 9)), min_size=1, max_size=80))
def test_it_equals_the_naive_window(steps: list[tuple[float, int]]) -> None:
    """For any readings it says what min and max over those younger than a minute say."""
    minute, seen, now_s = Minute(), list[tuple[float, int]](), 0.0
    for step, value in steps:
        now_s += step
        minute.add(now_s, value)
        seen.append((now_s, value))
        window = [value for at_s, value in seen if at_s > now_s - WINDOW_S]
        assert minute.extremes() == Extremes(min(window), max(window))
