"""What is to be run, and when in a round something is to happen. Pure. Times are seconds of the wall clock."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from agent.compare.settings import SCENARIOS
from agent.config.load import Config, nearest
from agent.errors import ConfigError

ROUNDS_LEAST: Final = 6  # of a scenario: two of them are a third
INTERVAL_LEAST_S: Final = 0.5
NODES_MOST: Final = 50
BEHIND_S: Final = 0.03  # so long after a scrape the same agent pushes: a scrape may be late by as much
LATE_S: Final = 2 * BEHIND_S  # older than that a batch should not be at the aggregator, or its agent is out of step


class Plan(NamedTuple):
    """``rounds`` are those of one scenario."""

    duration_s: float
    nodes: int
    interval_s: float
    scenarios: tuple[str, ...]

    @property
    def rounds(self) -> int:
        return int(self.duration_s / len(self.scenarios) / self.interval_s + 1e-9)

    @property
    def cut_rounds(self) -> int:
        """So many an outage lasts. It begins after half as many: who was cut off is given time to come back."""
        return self.rounds // 3


def plan_of(config: Config) -> Plan:
    """Raises ConfigError."""
    scenarios = _scenarios(config["scenario"])
    plan = Plan(config["duration"], config["nodes"], config["interval"], scenarios)
    if not 1 <= plan.nodes <= NODES_MOST:
        raise ConfigError(f"--nodes {plan.nodes}: 1 to {NODES_MOST}, each of which is three processes here")
    if plan.interval_s < INTERVAL_LEAST_S:
        raise ConfigError(f"--interval: {INTERVAL_LEAST_S:g}s at least")
    if plan.rounds < ROUNDS_LEAST:
        least_s = len(scenarios) * ROUNDS_LEAST * plan.interval_s
        raise ConfigError(
            f"--duration: {least_s:g}s at least, for {ROUNDS_LEAST} rounds of {plan.interval_s:g}s in "
            + " and in ".join(scenarios)
        )
    return plan


def _scenarios(given: Sequence[str]) -> tuple[str, ...]:
    names = [name for text in given for name in text.split(",") if name]
    known = f"there are {' and '.join(SCENARIOS)}"
    for name in names:
        if name not in SCENARIOS:
            raise ConfigError(f"--scenario: no such scenario: {name}{nearest(name, SCENARIOS) or f'; {known}'}")
    if not names:
        raise ConfigError(f"--scenario: none was given; {known}")
    return tuple(dict.fromkeys(names))


def next_at(phase_s: float, interval_s: float, earliest_s: float) -> float:
    """The first moment from ``earliest_s`` on that is whole intervals from ``phase_s``."""
    return phase_s + math.ceil((earliest_s - phase_s) / interval_s) * interval_s


def thaw_at(frozen_s: float, scraped_s: float, interval_s: float) -> float:
    """When to let an agent go on that was stopped, so that its pushes fall right behind its scrapes.

    A push that is due while it is stopped is late then. One that is late by more than an interval begins the schedule
    anew, from the moment it happens: that is sure after two intervals.
    """
    return next_at(scraped_s + BEHIND_S, interval_s, frozen_s + 2.05 * interval_s)


def usual(times_s: Sequence[float], interval_s: float) -> float:
    """The last of these moments, all an interval apart, as it would be if it were as late as most of them are."""
    last_s = times_s[-1]
    late_s = [(time_s - last_s + interval_s / 2) % interval_s - interval_s / 2 for time_s in times_s]
    return last_s + statistics.median_low(late_s)


def quiet_phase(phases_s: Iterable[float], interval_s: float) -> float:
    """The middle of the longest pause between these, all of which happen once an interval: what is read there is read
    between two rounds."""
    around = sorted(phase % interval_s for phase in phases_s)
    pauses = [
        (after - before, before) for before, after in zip(around, [*around[1:], around[0] + interval_s], strict=True)
    ]
    longest, begins = max(pauses)
    return (begins + longest / 2) % interval_s
