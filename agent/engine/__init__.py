"""The only place where a batch is born.

``snapshot(max_age_s)`` gives the shared batch when it is young enough, joins the collection under way if there is
one, and else collects. Every collector is isolated and timed (``lanes``); what it could not read costs its own
block, is counted and said once (``ledger``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Final

from agent.engine.lanes import Lanes, Outcome
from agent.engine.ledger import ERRORS, Ledger
from agent.errors import Malformed
from agent.model import Batch, Block, Collector, Declared, Family, Key
from agent.sources.calls import Calls

DURATION = Family(
    "headroom_collector_duration_seconds",
    "gauge",
    "How long the last collection by this collector took.",
    ("collector",),
)
SUCCESS = Family(
    "headroom_collector_success",
    "gauge",
    "1 if the last collection by this collector had something to say.",
    ("collector",),
)
NODE_DURATION = Family(
    "node_scrape_collector_duration_seconds", "gauge", "node_exporter: Duration of a collector scrape.", ("collector",)
)
NODE_SUCCESS = Family(
    "node_scrape_collector_success", "gauge", "node_exporter: Whether a collector succeeded.", ("collector",)
)
FAMILIES: Final[Declared] = (DURATION, SUCCESS, ERRORS, NODE_DURATION, NODE_SUCCESS)


class Engine:
    """Collects. Threads: ``snapshot`` and ``collect`` may be called by any number of them at once."""

    def __init__(self, collectors: Sequence[Collector], calls: Calls, deadline_s: float = 2.0) -> None:
        self.collectors = tuple(collectors)
        self._calls = calls
        self._lanes = Lanes(deadline_s)
        self._ledger = Ledger()
        self._turn = threading.Condition()
        self._collecting = False
        self._latest: Batch | None = None
        self._names: tuple[tuple[Key, ...], tuple[Key, ...]] = ((), ())

    def snapshot(self, max_age_s: float = 0.0) -> Batch:
        """A batch of everything that is at most ``max_age_s`` old, or the one whose collection is under way."""
        with self._turn:
            while self._collecting:
                before = self._latest
                self._turn.wait_for(lambda: not self._collecting)
                if self._latest is not None and self._latest is not before:
                    return self._latest
            if self._latest is not None and self._calls.monotonic_s() - self._latest.monotonic_s < max_age_s:
                return self._latest
            self._collecting = True
        try:
            self._latest = self.collect(self.collectors)
            return self._latest
        finally:
            with self._turn:
                self._collecting = False
                self._turn.notify_all()

    def collect(self, collectors: Sequence[Collector]) -> Batch:
        """A batch of only these collectors. It is nobody else's: the shared snapshot is left as it is."""
        time_s, monotonic_s = self._calls.time_s(), self._calls.monotonic_s()
        outcomes = self._lanes.run(collectors)
        blocks = list(self._accepted(collectors, outcomes))
        blocks += self._account(collectors, outcomes)
        succeeded = frozenset(c.name for c in collectors if outcomes[c].error is None)
        return Batch(tuple(blocks), time_s, monotonic_s, succeeded)

    def _accepted(self, collectors: Sequence[Collector], outcomes: dict[Collector, Outcome]) -> Iterable[Block]:
        """The blocks in the order of the collectors, each family once: a second claim to a name is refused."""
        seen = {family.name for family in FAMILIES}  # those of _account
        for collector in collectors:
            outcome = outcomes[collector]
            if outcome.error is not None:
                self._ledger.note(collector.name, outcome.error)
            for error in outcome.partial:
                self._ledger.note(collector.name, error)
            for block in outcome.blocks:
                name = block.family.name
                if name in seen:
                    self._ledger.note(collector.name, Malformed(name, "this family was already given"))
                    continue
                seen.add(name)
                yield block

    def _account(self, collectors: Sequence[Collector], outcomes: dict[Collector, Outcome]) -> Iterable[Block]:
        names = tuple((c.name,) for c in collectors)
        of_node = tuple((c.name,) for c in collectors if c.part == "node")
        if (names, of_node) == self._names:
            names, of_node = self._names  # the same objects: their rendering is remembered
        self._names = (names, of_node)
        # to the microsecond: a short number is written in half the time, and these are a sixth of all samples
        duration = {(c.name,): round(outcomes[c].duration_s, 6) for c in collectors}
        success = {(c.name,): 0 if outcomes[c].error else 1 for c in collectors}
        for family, keys, value in (
            (DURATION, names, duration),
            (SUCCESS, names, success),
            (NODE_DURATION, of_node, duration),
            (NODE_SUCCESS, of_node, success),
        ):
            if keys:
                yield Block(family, keys, [value[key] for key in keys])
        if errors := self._ledger.block():
            yield errors
