"""The experiment: three stacks are started, the agents that do both are brought in step, and scenarios are measured."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from agent import log
from agent.compare.link import Carried
from agent.compare.look import Ask
from agent.compare.measured import Cpu, Measured, Reading
from agent.compare.plan import LATE_S, Plan, next_at, quiet_phase, thaw_at, usual
from agent.compare.pulling import Program, Puller
from agent.compare.readers import Pages, Reader, step_s
from agent.compare.stack import TRANSPORTS, Aggregator, Node, Stack, Transport
from agent.compare.workplace import Workplace

FIRST_S: Final = 15.0  # until a Prometheus has asked all for the first time: it begins after five seconds
TRIES: Final = 3
DRAIN_S: Final = 15.0  # after the rounds of an outage, for what has not come yet


class Laboratory:
    """``start``, then ``measure`` for each scenario. Raises AgentError."""

    def __init__(self, plan: Plan, place: Workplace, program: Program) -> None:
        self._plan = plan
        self._place = place
        self._program = program
        self._both = Stack("both", TRANSPORTS, plan, place)
        self.stacks = (self._both, *(Stack(one, (one,), plan, place) for one in TRANSPORTS))

    def start(self) -> None:
        log.info("starting", agents=3 * self._plan.nodes, aggregators=2, pullers=2)
        for stack in self.stacks:
            stack.start_receivers(self._program)
        for stack in self.stacks:
            stack.start_agents()
        for stack in self.stacks:
            stack.ready()
        self._place.links.start()
        log.info("waiting for the first scrapes")
        self._get_in_step()

    @property
    def _puller(self) -> Puller:
        assert self._both.puller
        return self._both.puller

    @property
    def _aggregator(self) -> Aggregator:
        assert self._both.aggregator
        return self._both.aggregator

    def _get_in_step(self) -> None:
        """Each agent pushes right behind its scrape, so that the push finds the batch that the scrape made.

        On a busy machine an agent may be let go late, and would stay late: it is tried again.
        """
        late = self._both.nodes
        for _ in range(TRIES):
            phases = self._phases()
            self._quiet_s = quiet_phase(phases.values(), self._plan.interval_s)
            self._shift(late, phases)
            self._place.wait_for(self._all_seen, FIRST_S + 2 * self._plan.interval_s, "batches of all at both ends")
            came_after_s = self._come_after_s()
            late = [node for node in self._both.nodes if came_after_s.get(node.name, LATE_S) >= LATE_S]
            if not late:
                return
        log.warn("this machine is busy: pushes lag behind scrapes by more than is wanted", nodes=len(late))

    def _shift(self, nodes: Sequence[Node], phases: Mapping[str, float]) -> None:
        links = [node.links["pull"] for node in nodes]
        self._place.links.cut(*links)  # or what was asked meanwhile would be answered later
        frozen_s = time.time()
        for node in nodes:
            node.child.freeze()
        due = {node: thaw_at(frozen_s, phases[node.name], self._plan.interval_s) for node in nodes}
        for node in sorted(nodes, key=due.__getitem__):
            self._place.wait_until(due[node])
            node.child.thaw()
        self._place.links.mend(*links)

    def _come_after_s(self) -> dict[str, float]:
        """How old each node's batch is when it comes to the aggregator, at best of two rounds."""
        pages = Pages(self._aggregator, [node.name for node in self._both.nodes])
        for _ in range(2):
            now_s = time.time()
            self._place.wait_until(next_at(self._quiet_s, self._plan.interval_s, now_s + self._plan.interval_s / 2))
            pages()
        return {node: min(one.came_after_s for one in known.values()) for node, known in pages.pushed.items() if known}

    def _phases(self) -> dict[str, float]:
        """When each agent is scraped, in vain or not."""
        interval_s, began_s, found = self._plan.interval_s, time.time(), dict[str, float]()

        def all_tried() -> bool:
            tries = self._puller.scrapes(began_s - 6 * interval_s, time.time())
            found.update(
                {name: usual([one.time_s for one in some], interval_s) for name, some in tries.items() if some}
            )
            return len(found) == self._plan.nodes

        self._place.wait_for(all_tried, FIRST_S + 2 * interval_s, "a scrape of each node")
        return found

    def _all_seen(self) -> bool:
        """The newest scrape of each node succeeded, and the aggregators have all that was pushed."""
        now_s = time.time()
        tries = self._puller.scrapes(now_s - 1.5 * self._plan.interval_s, now_s)
        pulled = [name for name, scrapes in tries.items() if scrapes and scrapes[-1].batch_s is not None]
        return len(pulled) == self._plan.nodes and all(map(self._nothing_missing, self.stacks))

    def _nothing_missing(self, stack: Stack) -> bool:
        numbered = stack.numbered()
        kept = stack.kept(numbered, self._plan.interval_s / 2)
        return all(one.numbered > 0 and one.missing == 0 for one in kept.values())

    def measure(self, scenario: str) -> Measured:
        plan, place = self._plan, self._place
        begin_s = next_at(self._quiet_s, plan.interval_s, time.time() + plan.interval_s / 4)
        pages = Pages(self._aggregator, [node.name for node in self._both.nodes])
        readers = self._readers(pages)
        place.wait_until(begin_s)
        before = self._read()
        log.info("measuring", scenario=scenario, rounds=plan.rounds, seconds=plan.rounds * plan.interval_s)
        for reader in readers.values():
            reader.start()
        try:
            cut_s = self._cut(begin_s) if scenario == "outage" else None
            after, end_s = self._settle(begin_s + plan.rounds * plan.interval_s)
        finally:
            for reader in readers.values():
                reader.stop()
        looks = {name: reader.looks for name, reader in readers.items()}
        scrapes = self._puller.scrapes(begin_s, end_s)
        times = (plan.interval_s, begin_s, end_s, cut_s)
        return Measured(scenario, *times, before, after, looks, scrapes, pages.pushed)

    def _readers(self, pages: Pages) -> dict[Transport, Reader]:
        names, pace_s = list(pages.pushed), step_s(self._plan.interval_s, self._plan.nodes)
        asks: dict[Transport, Ask] = {"pull": self._puller.asker(), "push": pages}
        return {one: Reader(one, asks[one], names, pace_s) for one in TRANSPORTS}

    def _cut(self, begin_s: float) -> tuple[float, float]:
        """For a third of the rounds."""
        long_s = self._plan.cut_rounds * self._plan.interval_s
        first_s = begin_s + self._plan.cut_rounds // 2 * self._plan.interval_s
        links = [link for stack in self.stacks for link in stack.links()]
        self._place.wait_until(first_s)
        self._place.links.cut(*links)
        from_s = time.time()
        self._place.wait_until(first_s + long_s)
        self._place.links.mend(*links)
        return from_s, time.time()

    def _settle(self, end_s: float) -> tuple[Reading, float]:
        """What there is at the end; where something is still on its way, some rounds later."""
        last_s = end_s + max(DRAIN_S, 2 * self._plan.interval_s)
        while True:
            self._place.wait_until(end_s)
            reading = self._read()
            missing = any(one.missing for one in reading.kept.values())
            missing = missing or not all(map(self._nothing_missing, self.stacks[1:]))
            if not missing or end_s + self._plan.interval_s > last_s:
                return reading, end_s
            end_s += self._plan.interval_s

    def _read(self) -> Reading:
        """At once, but for what the aggregator is about to commit."""
        children = self._place.children
        cpu = {child.name: Cpu(child.cpu_s(), time.monotonic()) for child in children}
        carried = self._carried()
        return Reading(cpu, carried, self._both.kept(self._both.numbered(), self._plan.interval_s / 2))

    def _carried(self) -> dict[Transport, dict[str, Carried]]:
        return {one: {node.name: node.links[one].carried for node in self._both.nodes} for one in TRANSPORTS}
