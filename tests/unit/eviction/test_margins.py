"""Margins, and crossings that last until the minimum reclaim is reached."""

from __future__ import annotations

from agent.eviction.margins import Crossings, Margin
from agent.eviction.signals import MEMORY, Observation
from agent.eviction.thresholds import Amount, Threshold

HARD = Threshold(MEMORY, "hard", 100, None, reclaim=Amount(50, None))
SOFT = Threshold(MEMORY, "soft", 100, None, grace_s=60.0, reclaim=Amount(50, None))


def look(crossings: Crossings, now_s: float, available: int, threshold: Threshold = HARD) -> Margin:
    return crossings.measure(now_s, [threshold], {MEMORY: Observation(available, 1000, None)})[0]


def test_the_margin_is_a_share_of_the_capacity() -> None:
    """Negative once the threshold is crossed, by as much as is missing."""
    crossings = Crossings("direct")
    assert look(crossings, 0, 350).ratio == 0.25
    assert look(crossings, 1, 90).ratio == -0.01


def test_a_threshold_is_crossed_when_less_is_left_than_it() -> None:
    """Just as much is not less."""
    assert [look(Crossings("direct"), 0, available).crossed for available in (101, 100, 99)] == [False, False, True]


def test_it_stays_crossed_until_the_minimum_reclaim_is_reached() -> None:
    """Up to 149 of 100 + 50 it is still crossed; after that it takes a new crossing."""
    crossings = Crossings("direct")
    assert [look(crossings, 0, available).crossed for available in (99, 149, 150, 149)] == [True, True, False, False]


def test_a_soft_threshold_clings_only_once_its_grace_is_over() -> None:
    """Before that the kubelet forgets it as soon as there is more than the threshold again."""
    crossings = Crossings("direct")
    assert [look(crossings, now_s, available, SOFT).crossed for now_s, available in ((0, 99), (59, 101))] == [
        True,
        False,
    ]
    seen = [look(crossings, now_s, available, SOFT).crossed for now_s, available in ((100, 99), (160, 101), (161, 150))]
    assert seen == [True, True, False]


def test_what_is_not_observed_has_no_margin_and_keeps_its_state() -> None:
    """A reading that fails once does not clear a crossing."""
    crossings = Crossings("direct")
    look(crossings, 0, 99)
    assert crossings.measure(1, [HARD], {}) == []
    assert look(crossings, 2, 149).crossed
