"""What is run, and when in a round something happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.compare.plan import BEHIND_S, Plan, next_at, plan_of, quiet_phase, thaw_at, usual
from agent.compare.settings import COMPARE
from agent.config.load import load
from agent.errors import ConfigError

INTERVALS = st.floats(0.5, 60)
TIMES = st.floats(1.7e9, 1.9e9)


def plan(**flags: object) -> Plan:
    return plan_of(load(COMPARE, "", {}, flags))


def test_the_scenarios_share_the_duration() -> None:
    """A minute of two scenarios, a round a second: thirty rounds each, ten of which an outage takes."""
    found = plan(duration="1m")
    assert found == Plan(60.0, 3, 1.0, ("steady", "outage"))
    assert (found.rounds, found.cut_rounds) == (30, 10)


def test_scenarios_are_given_one_by_one_or_as_a_list() -> None:
    """Twice the same is once."""
    assert plan(scenario=["outage,steady", "outage"]).scenarios == ("outage", "steady")
    assert plan(scenario=["outage"]).rounds == 60


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"scenario": ["outtage"]}, "did you mean outage?"),
        ({"scenario": ["xyz"]}, "there are steady and outage"),
        ({"scenario": [","]}, "none was given"),
        ({"duration": "11s"}, "12s at least"),
        ({"duration": "5s", "scenario": ["steady"]}, "6s at least"),
        ({"interval": "400ms"}, "0.5s at least"),
        ({"nodes": "0"}, "1 to 50"),
        ({"nodes": "51"}, "1 to 50"),
    ],
)
def test_what_cannot_be_run_is_refused(flags: dict[str, object], says: str) -> None:
    """In one line that names the setting."""
    with pytest.raises(ConfigError, match=r"^--") as refused:
        plan(**flags)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_as_short_as_may_be() -> None:
    """Six rounds of each scenario."""
    assert plan(duration="12s").rounds == 6
    assert plan(duration="3.6s", interval="600ms", scenario=["steady"]).rounds == 6


@given(TIMES, INTERVALS, TIMES)
def test_the_next_moment_of_a_phase(phase_s: float, interval_s: float, earliest_s: float) -> None:
    """It is not early, not a whole interval late, and in the phase."""
    found = next_at(phase_s, interval_s, earliest_s)
    assert -1e-5 <= found - earliest_s < interval_s + 1e-5
    turns = (found - phase_s) / interval_s
    assert abs(turns - round(turns)) < 1e-5


@given(TIMES, st.floats(0, 60), INTERVALS, st.floats(0, 1))
def test_a_thawed_agent_pushes_right_behind_its_scrape(
    frozen_s: float, since_s: float, interval_s: float, due: float
) -> None:
    """Wherever in its round an agent is stopped, the sink's own rule then has it push in the phase that is wanted."""
    scraped_s = frozen_s - since_s
    thawed_s = thaw_at(frozen_s, scraped_s, interval_s)
    tick_s = (
        frozen_s + due * interval_s
    )  # the sink: it ticks when now >= tick, and then tick = max(tick + interval, now)
    tick_s = max(tick_s + interval_s, thawed_s)
    assert tick_s == thawed_s
    behind_s = (thawed_s - scraped_s) % interval_s
    assert min(abs(behind_s - BEHIND_S), abs(behind_s - BEHIND_S - interval_s)) < 1e-4
    assert thawed_s - frozen_s < 3.1 * interval_s


def test_one_that_is_late_is_not_the_usual() -> None:
    """The phase is that of most, also around the turn of a round, and of one alone its own."""
    assert usual([10.1, 11.1, 12.1, 13.4], 1.0) == pytest.approx(13.1)
    assert usual([10.99, 12.01, 12.99, 13.99], 1.0) == pytest.approx(13.99)
    assert usual([10.3], 1.0) == pytest.approx(10.3)


def test_the_middle_of_the_longest_pause() -> None:
    """Also where that is around the turn of the round, and where there is only one."""
    assert quiet_phase([100.25], 1.0) == pytest.approx(0.75)
    assert quiet_phase([100.1, 201.2, 302.3], 1.0) == pytest.approx(0.7)
    assert quiet_phase([7.0, 9.0], 10.0) == pytest.approx(3.0)


@given(st.lists(TIMES, min_size=1, max_size=20), INTERVALS)
def test_nothing_is_nearer_than_it_must_be(phases_s: list[float], interval_s: float) -> None:
    """From the quiet moment to each of n phases it is at least half of an n-th of the interval."""
    quiet_s = quiet_phase(phases_s, interval_s)
    assert 0 <= quiet_s < interval_s
    for phase_s in phases_s:
        apart_s = abs(phase_s % interval_s - quiet_s)
        assert min(apart_s, interval_s - apart_s) >= interval_s / len(phases_s) / 2 - 1e-6
