"""What one scenario gave, raw."""

from __future__ import annotations

from typing import NamedTuple

from agent.compare.link import Carried
from agent.compare.look import Look, Pushed
from agent.compare.pulling import Scrape
from agent.compare.stack import Kept, Transport


class Cpu(NamedTuple):
    """CPU time of a process, and when it was that, by the monotonic clock."""

    cpu_s: float
    time_s: float


class Reading(NamedTuple):
    """Everything that only counts up, at one moment between two rounds. Processes and nodes are by name."""

    cpu: dict[str, Cpu]
    carried: dict[Transport, dict[str, Carried]]
    kept: dict[str, Kept]


class Measured(NamedTuple):
    """Times are the wall clock's. ``cut_s`` is from when to when the links were cut; ``pushed`` are the
    batches that were seen at the aggregator. ``looks``, ``scrapes`` and ``pushed`` are by node."""

    scenario: str
    interval_s: float
    begin_s: float
    end_s: float
    cut_s: tuple[float, float] | None
    before: Reading
    after: Reading
    looks: dict[Transport, dict[str, list[Look]]]
    scrapes: dict[str, list[Scrape]]
    pushed: dict[str, dict[float, Pushed]]

    @property
    def rounds(self) -> int:
        """Of each node."""
        return round((self.end_s - self.begin_s) / self.interval_s)
