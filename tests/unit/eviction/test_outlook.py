"""Estimates are made now and then, age in between, and are only given for what is approached."""

from __future__ import annotations

import pytest

from agent.eviction.margins import Margin
from agent.eviction.outlook import ESTIMATE_EVERY_S, TREND_EVERY_S, Outlook
from agent.eviction.signals import Source
from agent.eviction.thresholds import Threshold

MEMORY = "memory.available"
HARD = Threshold(MEMORY, "hard", 1000, None)
NAME = (MEMORY, "hard")
START, FALL = 100_000, 100  # units, and units per second


def margin(available: int, threshold: Threshold = HARD, source: Source = "direct", crossed: bool = False) -> Margin:
    return Margin(threshold, source, available, 200_000, 1000, crossed)


@pytest.fixture
def falling() -> Outlook:
    """After ten minutes of a steady fall, 400 s before it is at the line."""
    outlook = Outlook()
    for second in range(591):
        outlook.add(float(second), MEMORY, START - FALL * second)
    return outlook


def test_the_time_left_of_a_steady_fall(falling: Outlook) -> None:
    """99,000 units at 100 a second, of which 590 s are over."""
    assert falling.seconds_left(590.0, [margin(41_000)]) == {NAME: pytest.approx(400, rel=0.05)}
    assert falling.trends(590.0) == {MEMORY: pytest.approx(-FALL, rel=0.05)}


def test_an_estimate_ages(falling: Outlook) -> None:
    """Between two estimates the time goes on, and never below 0."""
    before = falling.seconds_left(590.0, [margin(41_000)])[NAME]
    after = falling.seconds_left(590.0 + ESTIMATE_EVERY_S - 1, [margin(40_600)])[NAME]
    assert before - after == pytest.approx(ESTIMATE_EVERY_S - 1)


def test_what_is_crossed_has_no_time_left(falling: Outlook) -> None:
    """At once, whatever was estimated just before."""
    assert falling.seconds_left(590.0, [margin(41_000)])
    assert falling.seconds_left(591.0, [margin(900, crossed=True)]) == {}


def test_a_threshold_that_is_no_more_has_no_time_left(falling: Outlook) -> None:
    """An estimate is not kept for longer than what it is for."""
    assert falling.seconds_left(590.0, [margin(41_000)])
    assert falling.seconds_left(591.0, [margin(41_000, HARD._replace(kind="soft"))]) == {}


def test_only_our_own_reading_is_estimated(falling: Outlook) -> None:
    """The kubelet's changes once a minute; a signal without a history has no future either."""
    other = margin(41_000, HARD._replace(signal="pid.available"))
    assert falling.seconds_left(590.0, [margin(41_000, source="kubelet"), other]) == {}


def test_trends_are_made_every_few_seconds(falling: Outlook) -> None:
    """In between they are the same object."""
    first = falling.trends(590.0)
    assert falling.trends(589.0 + TREND_EVERY_S) is first
    assert falling.trends(590.0 + TREND_EVERY_S) is not first


def test_nothing_is_known_at_first() -> None:
    """One reading is no trend."""
    outlook = Outlook()
    outlook.add(0.0, MEMORY, START)
    assert outlook.trends(0.0) == {}
    assert outlook.seconds_left(0.0, [margin(START)]) == {}
