"""Who reads what arrived, at a fixed pace: how old is the newest that each end has? One thread for each transport.

A reader remembers: where an end has nothing to show at the moment (stale series, a 503), what it last showed goes on
to age.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from agent.compare.asking import Asker, AskError, batch_of, count_samples
from agent.compare.look import Ask, Look, Pushed
from agent.compare.stack import Aggregator, page_of

PER_INTERVAL: Final = 20 + (5**0.5 - 1) / 2  # no whole number: looks would come at the same moments of every round
LEAST_S: Final = 0.02


class Reader:
    """``ask`` gives what is to be seen, by node. Looks go on from ``start`` to ``stop``, on a grid of ``step_s``."""

    def __init__(self, name: str, ask: Ask, nodes: Sequence[str], step_s: float) -> None:
        self.looks: dict[str, list[Look]] = {node: [] for node in nodes}
        self._ask = ask
        self._step_s = step_s
        self._over = threading.Event()
        self._defect: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"reader-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Raises what it should not have met."""
        self._over.set()
        self._thread.join()
        if self._defect:
            raise self._defect

    def _run(self) -> None:
        try:
            due_s = time.time()
            while not self._over.wait(max(0.0, due_s - time.time())):
                self.look(time.time())
                due_s += max(1, int((time.time() - due_s) / self._step_s) + 1) * self._step_s
        except Exception as error:
            self._defect = error

    def look(self, now_s: float) -> None:
        """A node that never was seen has no age."""
        try:
            seen = self._ask()
        except AskError:
            seen = {}  # the age says it
        for node, looks in self.looks.items():
            if node in seen:
                looks.append(seen[node])
            elif looks:
                looks.append(Look(now_s, looks[-1].batch_s))


def step_s(interval_s: float, nodes: int) -> float:
    return max(interval_s / PER_INTERVAL, LEAST_S, nodes * LEAST_S / 2)


class Pages:
    """Asks an aggregator for the pages of nodes, and remembers the batches that it saw."""

    def __init__(self, aggregator: Aggregator, nodes: Sequence[str]) -> None:
        self.pushed: dict[str, dict[float, Pushed]] = {node: {} for node in nodes}
        self._asker = Asker(aggregator.child.name, aggregator.address)

    def __call__(self) -> dict[str, Look]:
        """Raises AskError."""
        found: dict[str, Look] = {}
        for node, known in self.pushed.items():
            asked_s = time.time()
            try:
                page = self._asker.get(page_of(node))
            except AskError:
                continue  # nothing to show of this one
            batch_s = batch_of(page)
            if batch_s is None:
                continue
            found[node] = Look(asked_s, batch_s)
            if batch_s not in known:
                known[batch_s] = Pushed(count_samples(page), self._came_s(node) - batch_s)
        return found

    def _came_s(self, node: str) -> float:
        """When the newest batch came, by the aggregator's clock, which is the node's."""
        nodes = self._asker.json("/api/v1/nodes")["nodes"]
        return next(float(one["last_record_unix_s"]) for one in nodes if one["name"] == node)
