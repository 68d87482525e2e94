"""Random schedules of everything that can go wrong, run against the two pure ends, and what must be true after them.

A schedule is its seed. Time is a number; nothing here sleeps, opens a file or a socket.
"""

from __future__ import annotations

from collections import Counter
from math import ceil
from random import Random

from agent.aggregator.lanes import Gap
from tests.stream.ends import Agent, Aggregator, Mistakes, Settings, Store, Truth, Violation, covers
from tests.stream.spool import Bounds

STEPS = 60
ROUNDS = 300  # until all is at rest, without faults
FAULTS = (
    ("kill", 4),
    ("power_cut", 4),
    ("cut", 5),
    ("partition", 3),
    ("slow_commits", 3),
    ("aggregator_kill", 3),
    ("rollback", 1),
    ("store_loss", 1),
    ("snapshot", 2),
    ("rot", 2),
    ("wipe", 1),
)


def settings(rng: Random) -> Settings:
    bounds = Bounds(rng.choice((1, 2, 3, 5)), rng.choice((6, 12, 40, 1000)), rng.choice((2, 3, 5, 32)))
    return Settings(rng.choice((2, 3, 5)), rng.choice((1, 2, 4, 8)), rng.choice((1, 2, 4, 8)), bounds)


class Simulation:
    def __init__(self, seed: int, parts: Mistakes | None = None, given: Settings | None = None) -> None:
        self.rng = Random(seed)
        self.settings = given or settings(self.rng)
        self.truth = Truth()
        self.now_s = 0.0
        self.contents = 0
        self.partition = self.slow = False
        parts = parts or Mistakes()
        self.aggregator = Aggregator(self.settings, parts, self.truth)
        self.agents = [
            Agent("node", self.rng, self.truth, self.settings, parts) for _ in range(1 + (self.rng.random() < 0.2))
        ]
        self.snapshots: list[Store] = []
        self._checked: set[int] = set()

    # A schedule.

    def run(self) -> None:
        faults = [name for name, weight in FAULTS for _ in range(weight)]
        rate = self.rng.choice((0.05, 0.15, 0.3))
        for _ in range(STEPS):
            self.step()
            if self.rng.random() < rate:
                getattr(self, "fault_" + self.rng.choice(faults))()
        self.settle()

    def settle(self) -> None:
        """No more faults: all comes to rest, once with these processes and once with new ones."""
        self.partition = self.slow = False
        self.heal(probe=True)
        for agent in self.agents:
            agent.kill()
        self.heal(probe=False)
        self.check()

    def step(self) -> None:
        rng = self.rng
        self.now_s += 1
        for agent in self.agents:
            if agent.session is None:
                if rng.random() < 0.3:
                    agent.start(self.now_s)
                continue
            for _ in range(rng.choice((0, 1, 1, 2, 4))):
                self.append(agent, "events" if rng.random() < 0.2 else "samples")
            if agent.spool and rng.random() < 0.2:
                agent.spool.sync()
            self.let_talk(agent, rng.choice((0, 1, 3, 20)))
        for number in list(self.aggregator.wires):
            self.aggregator.hear(number, rng.choice((0, 1, 3, 20)), self.now_s)
        if rng.random() < 0.6 and not self.slow:
            self.aggregator.begin()
        if rng.random() < 0.6 and not self.slow:
            self.commit()

    def append(self, agent: Agent, lane: str) -> int:
        self.contents += 1
        if self.rng.random() < 0.01:
            self.truth.refused.add(self.contents)
            self.truth.gone.add(self.contents)
        agent.append(self.contents, lane)
        return self.contents

    def let_talk(self, agent: Agent, most: int) -> None:
        if agent.session is None:
            return
        agent.session.tick(self.now_s)
        agent.pump(self.now_s)
        agent.connect(self.now_s, not self.partition)
        agent.hear(self.now_s, most)
        agent.pump(self.now_s)
        agent.trim()
        for wire in agent.new_wires:
            self.aggregator.accept(wire, agent.node)
        agent.new_wires.clear()

    def commit(self) -> None:
        self.aggregator.finish()
        gaps = self.aggregator.store.gaps
        for gap in [one for one in gaps if id(one) not in self._checked]:
            self._checked.add(id(gap))
            lies = [one for one in self.truth.covered(gap) if one not in self.truth.gone]
            if lies:
                raise Violation(f"{gap} claims {lies}, which are held")

    # Faults.

    def agent(self) -> Agent:
        return self.rng.choice(self.agents)

    def fault_kill(self) -> None:
        self.agent().kill()

    def fault_power_cut(self) -> None:
        self.agent().power_cut()

    def fault_cut(self) -> None:
        """The agent sees its connection end; what was under way may arrive later."""
        agent = self.agent()
        if agent.wire:
            if self.rng.random() < 0.5:
                agent.wire.up.clear()
            agent.hang_up(self.now_s)

    def fault_partition(self) -> None:
        self.partition = not self.partition
        if self.partition:
            for agent in self.agents:
                if agent.wire:
                    agent.hang_up(self.now_s)

    def fault_slow_commits(self) -> None:
        self.slow = not self.slow

    def fault_aggregator_kill(self) -> None:
        if self.rng.random() < 0.3 and self.aggregator._commit:  # durable, but nobody was told
            self.aggregator.store.write(self.aggregator._commit)
        self.aggregator.restart(self.aggregator.store)

    def fault_snapshot(self) -> None:
        self.snapshots.append(self.aggregator.store.copy())

    def fault_rollback(self) -> None:
        if self.snapshots:
            self.aggregator.restart(self.rng.choice(self.snapshots).copy())

    def fault_store_loss(self) -> None:
        self.aggregator.restart(Store())

    def fault_rot(self) -> None:
        self.truth.gone.update(self.agent().disk.rot())

    def fault_wipe(self) -> None:
        """The spool's directory is emptied while no process is there."""
        agent = self.agent()
        agent.kill()
        wiped = {one for one, (place, _, _) in self.truth.where.items() if place.spool_id in agent.disk.files}
        self.truth.excused |= wiped
        self.truth.gone |= wiped
        agent.disk.files.clear()
        agent.disk.sync_directory()

    # Rest.

    def heal(self, probe: bool) -> None:
        self._probes: dict[int, tuple[Agent, str, int]] = {}
        for at in range(ROUNDS):
            self.round()
            if probe and not self._probes and all(one.session and one.session.streaming for one in self.agents):
                for agent in self.agents:
                    self.probe(agent, "samples", at)
                    self.probe(agent, "events", at)
            self.check_probes(at)
            if at > 3 and (self._probes or not probe) and self.at_rest():
                return
        raise Violation(f"not at rest after {ROUNDS} rounds: {Counter(self.aggregator.errors).most_common(3)}")

    def probe(self, agent: Agent, lane: str, at: int) -> None:
        self._probes[self.append(agent, lane)] = (agent, lane, at)

    def round(self) -> None:
        """Everything that can happen at once does."""
        self.now_s += 20
        for agent in self.agents:
            if agent.session is None:
                agent.start(self.now_s)
            self.let_talk(agent, 1000)
        for number in list(self.aggregator.wires):
            self.aggregator.hear(number, 1000, self.now_s)
        self.commit()
        self.aggregator.begin()
        self.commit()

    def check_probes(self, at: int) -> None:
        """What is live is committed soon, whatever else waits. One that was just too much, so that its session was
        sealed, is backlog: the next one is not."""
        one = self.settings
        most = 5 + ceil((one.live_window + 2 * one.seal_records + 1) / one.live_window)
        stored = {content for _, content in self.aggregator.store.records} | self.truth.gone
        for content, (agent, lane, since) in list(self._probes.items()):
            if content in stored or at - since <= most:
                continue
            if len(self._probes) > 8 or not self.is_sealed(agent, content):
                raise Violation(f"live record {content} is not committed after {at - since} rounds")
            del self._probes[content]
            self.probe(agent, lane, at)

    def is_sealed(self, agent: Agent, content: int) -> bool:
        assert agent.spool
        _, number, _ = self.truth.where[content]
        lane = self.truth.where[content][0].lane
        return any(one.sealed and (one.key.lane, one.key.number) == (lane, number) for one in agent.spool.held())

    def at_rest(self) -> bool:
        return all(
            agent.spool
            and agent.session
            and agent.session.streaming
            and all(agent.session.acked(one.key) == one.last for one in agent.spool.held())
            for agent in self.agents
        )

    def check(self) -> None:
        store, truth = self.aggregator.store, self.truth
        times = Counter(content for _, content in store.records)
        twice = [content for content, count in times.items() if count > 1]
        if twice:
            raise Violation(f"stored twice: {twice}")
        foreign = [one for where, one in store.records if truth.where[one] != where]
        if foreign:
            raise Violation(f"stored as another: {foreign}")
        for content, where in truth.where.items():
            lost = [gap for gap in store.gaps if covers(gap, where)]
            if content in times and lost:
                raise Violation(f"{content} at {where} is stored and called lost: {lost}")
            if content not in times and not lost and content not in truth.excused:
                raise Violation(f"{content} at {where} is lost silently")
        for gap in store.gaps:
            self.check_count(gap)

    def check_count(self, gap: Gap) -> None:
        """Exact but for what was not synced when the power went, sent before or not."""
        excused = self.truth.excused
        sure = sum(one not in excused for one in self.truth.covered(gap))
        unsure = sum(self.truth.where[one][0] == gap.place for one in excused)
        if gap.records is None or abs(gap.records - sure) > unsure:
            raise Violation(f"{gap} covers {sure}, give or take {unsure}")
