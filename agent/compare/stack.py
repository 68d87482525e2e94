"""A stack: agents, and the receivers of what they collect, over links that can be cut.

There are three. In ``both`` each agent is scraped and streams, so that both transports carry the same batches; what was
received is asked for again and again. In ``pull`` and ``push`` an agent does only the one, and nobody asks: what these
processes cost is the transport's, and the collection's, alone.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote

from agent.compare import pulling
from agent.compare.asking import Asker, series
from agent.compare.link import Link
from agent.compare.plan import Plan
from agent.compare.pulling import Program, Puller
from agent.compare.workplace import Workplace

Transport = Literal["pull", "push"]
TRANSPORTS: Final[tuple[Transport, ...]] = ("pull", "push")
CLUSTER: Final = "compare"
COMMIT_S: Final = 0.1  # an aggregator writes every 0.2 s
READY_S: Final = 30.0
SERVING: Final = r"msg=serving .*?url=http://([^\s:]+):(\d+)"
STREAMS_AT: Final = r"msg=serving .*?grpc=([^\s:]+):(\d+)"
WRITTEN: Final = 'headroom_spool_records_total{lane="samples"}'


class Kept(NamedTuple):
    """Of all records of a node that its agent had ``numbered``: those stored, those declared lost, and the rest."""

    numbered: int
    stored: int
    declared: int

    @property
    def missing(self) -> int:
        return self.numbered - self.stored - self.declared


def kept(numbered: int, stored: int, declared: int) -> Kept:
    """What was stored since the agent was asked has higher numbers."""
    return Kept(numbered, min(stored, numbered - declared), declared)


class Node:
    """One agent, with a link for each of its transports."""

    def __init__(self, stack: str, name: str, place: Workplace, transports: tuple[Transport, ...]) -> None:
        self.name = name
        self.process = f"agent-{stack}-{name}"
        self.links: dict[Transport, Link] = {one: place.links.open() for one in transports}

    def start(self, place: Workplace, interval_s: float) -> None:
        command = [
            *(sys.executable, "-m", "agent.cli", "agent", "--listen", "127.0.0.1:0"),
            *("--cluster", CLUSTER, "--node-name", self.name),
        ]
        if push := self.links.get("push"):
            command += ["--push.target", push.address, "--push.insecure", "--push.interval", f"{interval_s!r}s"]
            command += ["--spool.dir", os.path.join(place.directory, self.process)]
        self.child = place.start(self.process, command)

    def ready(self, place: Workplace) -> None:
        found = self.child.wait_for(SERVING, place.pause, READY_S)
        self.asker = Asker(self.process, (found[1], int(found[2])))
        if pull := self.links.get("pull"):
            pull.target = (found[1], int(found[2]))

    def numbered(self) -> int:
        """By an answer that is collected for itself: the batch that is shared stays what it is. Raises AskError."""
        return int(series(self.asker.get("/metrics?collect[]=telemetry"), WRITTEN))


class Aggregator:
    def __init__(self, name: str, place: Workplace) -> None:
        anywhere = "127.0.0.1:0"
        command = [
            *(sys.executable, "-m", "agent.cli", "aggregator", "--insecure", "--grpc-listen", anywhere),
            *("--http-listen", anywhere, "--data-dir", os.path.join(place.directory, name)),
        ]
        self.child = place.start(name, command)

    def ready(self, place: Workplace) -> None:
        found = self.child.wait_for(SERVING, place.pause, READY_S)
        self.address = (found[1], int(found[2]))
        found = self.child.wait_for(STREAMS_AT, place.pause, READY_S)
        self.streams_at = (found[1], int(found[2]))
        self.asker = Asker(self.child.name, self.address)

    def kept(self) -> dict[str, tuple[int, int]]:
        """Records of samples that are stored, and that are declared lost, by node. Raises AskError."""
        return {one["name"]: sums(one) for one in self.asker.json("/api/v1/nodes")["nodes"]}


def sums(node: Mapping[str, Any]) -> tuple[int, int]:
    """A gap of nobody knows how many is none here: those records are missing."""
    sessions = [one for one in node["sessions"] if one["lane"] == "samples"]
    gaps = [gap for one in sessions for gap in one["gaps"]]
    gaps += [gap for gap in node["vanished"] if gap["lane"] == "samples"]
    return sum(one["records"] for one in sessions), sum(gap["records"] or 0 for gap in gaps)


def page_of(node: str) -> str:
    """Where the aggregator has what a node's own /metrics was last."""
    return f"/clusters/{CLUSTER}/nodes/{quote(node, safe='')}/metrics"


class Stack:
    """Everything is started by the methods, in their order; between them no other thread may run."""

    def __init__(self, name: str, transports: tuple[Transport, ...], plan: Plan, place: Workplace) -> None:
        self.name = name
        self.nodes = [Node(name, f"node-{number + 1}", place, transports) for number in range(plan.nodes)]
        self.puller: Puller | None = None
        self.aggregator: Aggregator | None = None
        self._plan = plan
        self._place = place

    def start_receivers(self, program: Program) -> None:
        if "push" in self.nodes[0].links:
            self.aggregator = Aggregator(f"aggregator-{self.name}", self._place)
        if "pull" in self.nodes[0].links:
            targets = {node.name: node.links["pull"].address for node in self.nodes}
            self.puller = pulling.start(program, f"puller-{self.name}", targets, self._plan.interval_s, self._place)

    def start_agents(self) -> None:
        """Not before the aggregator is ready: who finds none waits before it tries again."""
        if self.aggregator:
            self.aggregator.ready(self._place)
            for node in self.nodes:
                node.links["push"].target = self.aggregator.streams_at
        for node in self.nodes:
            node.start(self._place, self._plan.interval_s)

    def ready(self) -> None:
        for node in self.nodes:
            node.ready(self._place)
        if self.puller:
            self.puller.ready(self._place.pause)

    def links(self, *transports: Transport) -> list[Link]:
        return [node.links[one] for node in self.nodes for one in transports or TRANSPORTS if one in node.links]

    def numbered(self) -> dict[str, int]:
        """How many records each node's agent has numbered. Raises AskError."""
        return {node.name: node.numbered() for node in self.nodes} if self.aggregator else {}

    def kept(self, numbered: Mapping[str, int], seconds: float) -> dict[str, Kept]:
        """What became of these, as soon as nothing is missing and at the latest after so long. Raises AskError."""
        until_s = time.monotonic() + seconds
        while True:
            found = self._kept(numbered)
            if all(one.missing == 0 for one in found.values()) or time.monotonic() > until_s:
                return found
            self._place.pause(COMMIT_S)

    def _kept(self, numbered: Mapping[str, int]) -> dict[str, Kept]:
        if self.aggregator is None:
            return {}
        found = self.aggregator.kept()
        return {name: kept(count, *found.get(name, (0, 0))) for name, count in numbered.items()}
