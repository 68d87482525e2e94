"""The facts that the house is built on: what imports weigh, what a read costs, what rendering costs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from agent.engine.lanes import Lanes
from agent.exposition.render import Renderer
from agent.model import Block, Family, Writer

SAMPLES = 2000
FILE = "/proc/loadavg"
IMPORTS = (
    "sys",
    "socket, threading",
    "typing",
    "dataclasses",
    "logging",
    "httptools",
    "psutil",
    "ssl",
    "http.server",
    "asyncio",
    "prometheus_client",
)
_RSS = "import os; print(int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE'))"


class Fact(NamedTuple):
    """One line: what was measured, the figure, its unit."""

    what: str
    figure: float
    unit: str


def facts() -> list[Fact]:
    return [*_imports(), *_reads(), *_rendering(), *_handover()]


def _imports() -> list[Fact]:
    """The resident memory of an interpreter that has done nothing else. What is not installed is left out."""
    found = []
    for names in IMPORTS:
        done = subprocess.run([sys.executable, "-c", f"import {names}; {_RSS}"], capture_output=True, text=True)
        if done.returncode == 0:
            found.append(Fact(f"python -c 'import {names}'", int(done.stdout) / (1 << 20), "MiB RSS"))
    return found


def _reads() -> list[Fact]:
    kept = os.open(FILE, os.O_RDONLY)

    def by_open() -> None:
        with open(FILE) as file:
            file.read()

    def by_descriptor() -> None:
        fd = os.open(FILE, os.O_RDONLY)
        os.read(fd, 4096)
        os.close(fd)

    return [
        Fact(f"open({FILE}).read()", _microseconds(by_open), "us"),
        Fact("the same by os.open, os.read, os.close", _microseconds(by_descriptor), "us"),
        Fact("the same by os.pread on a kept descriptor", _microseconds(lambda: os.pread(kept, 4096, 0)), "us"),
    ]


def _rendering() -> list[Fact]:
    """Families of 50 samples, as a node has them, whose label sets stay the same."""
    families = [Family(f"node_things_{i}", "gauge", "Things.", ("a", "b", "c")) for i in range(SAMPLES // 50)]
    keys = tuple((str(i), "some value", "another value") for i in range(50))
    blocks = [[Block(one, keys, [i * 1.1 + turn for i in range(50)]) for one in families] for turn in range(2)]
    renderer, registry, turn = Renderer(), CollectorRegistry(), [0]
    for one in families:
        gauge = Gauge(one.name, "Things.", ("a", "b", "c"), registry=registry)
        for key in keys:
            gauge.labels(*key).set(1.1)

    def changed() -> None:
        turn[0] ^= 1
        renderer.render(blocks[turn[0]], "text")

    return [
        Fact(f"{SAMPLES} samples rendered, every value changed", _microseconds(changed, 5) / 1000, "ms"),
        Fact("the same, nothing changed", _microseconds(lambda: renderer.render(blocks[0], "text"), 5), "us"),
        Fact("the same by prometheus_client", _microseconds(lambda: generate_latest(registry), 5) / 1000, "ms"),
    ]


class _Idle:
    """A collector that does nothing, to measure what surrounds it."""

    part = "node"
    families = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def collect(self, out: Writer) -> None:
        return None


def _handover() -> list[Fact]:
    lanes = Lanes(2.0)
    one, fifty = [_Idle("0")], [_Idle(str(number)) for number in range(50)]
    return [
        Fact("one idle collector on a lane", _microseconds(lambda: lanes.run(one)), "us"),  # type: ignore[arg-type]
        Fact("fifty idle collectors on a lane", _microseconds(lambda: lanes.run(fifty)), "us"),  # type: ignore[arg-type]
    ]


def _microseconds(act: Callable[[], object], times: int = 200) -> float:
    """The median of nine rounds, CPU time of this process."""
    rounds = []
    for _ in range(9):
        before = time.process_time()
        for _ in range(times):
            act()
        rounds.append((time.process_time() - before) / times * 1e6)
    return statistics.median(rounds)
