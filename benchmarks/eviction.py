"""The eviction watch: what it costs, and how late it is.

Cost is the CPU time of an agent that nobody scrapes, less that of one without the watch, with the cgroups of 250
containers below the root, whose sums the kernel makes at every look. Lateness is from a real crossing, of a small
filesystem that is filled, to the time of the recorded event; the watch looks once a second, so it is spread evenly.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from agent import collectors
from agent.app import eviction_watch, host_of
from agent.config.load import load
from agent.eviction.watch import Watch
from agent.settings import AGENT, HOST, LOG
from benchmarks import containers
from benchmarks.measured import Measured, free_port
from benchmarks.node import Row
from tests.eviction import crossing
from tests.eviction.crossing import MIB
from tests.peers.processes import Served, start_agent

SECONDS, ROUNDS, CROSSINGS, LOOKS = 20, 3, 7, 7
COST_MAX: Final = 0.2
LATENESS_MAX_S: Final = 1.1
SETTLED_S: Final = 3.0


def rows() -> list[Row]:
    """Nothing where no cgroups can be made and nothing can be mounted."""
    return [_cost(), _look(), *_lateness()] if containers.possible() else []


def _cost() -> Row:
    with containers.tree(containers.CONTAINERS) as (root, _):
        flags = ("--kubelet.cgroup-root", root)
        found = [(_percent(*flags), _percent(*flags, "--no-collector.eviction")) for _ in range(ROUNDS)]
    watched, without = (statistics.median(column) for column in zip(*found, strict=True))
    return Row(
        "eviction watch: share of a core, 250 containers (peer: the goal)", "%", watched - without, COST_MAX, 1.0
    )


def _look() -> Row:
    """What a look costs on a warm processor, beside one after the pause that there is between two."""
    config = load((*AGENT, *HOST, *LOG, *collectors.settings()), "", {}, {})
    watch = eviction_watch(config, host_of(config))
    paused_ms = statistics.median(_look_ms(watch, 1, 1.0) for _ in range(LOOKS))
    return Row(
        "a look of the eviction watch, in a loop (peer: after a second)", "ms", _look_ms(watch, 300, 0.0), paused_ms
    )


def _look_ms(watch: Watch, times: int, pause_s: float) -> float:
    time.sleep(pause_s)
    before_s = time.process_time()
    for _ in range(times):
        watch.look()
    return (time.process_time() - before_s) / times * 1000


def _percent(*flags: str) -> float:
    """Of a core, of an agent that is left alone."""
    port = free_port()
    command = [sys.executable, "-m", "agent.cli", "agent", "--listen", f"127.0.0.1:{port}", "--log.level", "warn"]
    with Measured(f"watch{len(flags)}", [*command, *flags], port) as agent:
        agent.first_answer_s("/healthz")
        time.sleep(SETTLED_S)
        before, began_s = agent.cpu_s(), time.monotonic()
        time.sleep(SECONDS)
        return (agent.cpu_s() - before) / (time.monotonic() - began_s) * 100


def _lateness() -> list[Row]:
    chance = random.Random(4)
    with tempfile.TemporaryDirectory(prefix="headroom-bench-") as directory:
        place = Path(directory)
        file = place / "kubelet.yaml"
        kind = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
        file.write_text(json.dumps({**kind, "evictionHard": {"nodefs.available": "20Mi"}}))
        with crossing.filesystem(place) as disk, _agent(file, disk) as agent:
            late_s = []
            for number in range(CROSSINGS):
                time.sleep(chance.random())
                crossed_s = crossing.fill(disk, 20 * MIB)
                event = crossing.event(agent, number, type="signal", state="crossed")
                late_s.append(event["time_seconds"] - crossed_s)
                (disk / "filler").unlink()
                crossing.event(agent, number, crossing.CLEARED_S, type="signal", state="cleared")
    name = "from a crossing to its event"
    return [
        Row(f"{name}, median (peer: the kubelet's 10 s poll, on average)", "s", statistics.median(late_s), 5.0),
        Row(
            f"{name}, the latest of {CROSSINGS} (peer: the kubelet's 10 s poll)",
            "s",
            max(late_s),
            10.0,
            None,
            LATENESS_MAX_S,
        ),
    ]


def _agent(file: Path, disk: Path) -> Served:
    return start_agent("--kubelet.config-file", str(file), "--kubelet.root-dir", str(disk))


if __name__ == "__main__":
    for row in rows():
        print(f"{row.what}: {row.ours:.3f} {row.unit}, {row.peer:.2f}, {row.ratio:.2f} {row.goal} met={row.met}")
