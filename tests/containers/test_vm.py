"""The agent on a real cgroup v2 node with eleven containers, which are there, starve, are killed and go."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.containers import lives, truth
from tests.containers.lives import Life, Reading, Scrape, Series, Values
from tests.containers.truth import LIMIT, OOM, PERIODS, THROTTLED, V2
from tests.node_vm.fixture import AGENT_PORT
from tests.node_vm.guest import pods
from tests.node_vm.guest.pods import BRIEF, BY_NAME, MIB, PODS, Pod
from tests.node_vm.machine import Machine
from tests.peers.processes import AGENT_SERVING, REPOSITORY, Served

pytestmark = pytest.mark.needs("node-vm")

SLOWLY_S: Final = 60.0  # what takes moments takes this long at most on an emulated processor
FILES: Final = sorted({source.file for source in V2.values()})
PRESSURE: Final = tuple(series for series in V2 if series.metric.startswith("container_pressure_"))
NETWORK: Final = {
    "receive_bytes_total": 0,
    "receive_packets_total": 1,
    "receive_errors_total": 2,
    "receive_packets_dropped_total": 3,
    "transmit_bytes_total": 8,
    "transmit_packets_total": 9,
    "transmit_errors_total": 10,
    "transmit_packets_dropped_total": 11,
}
STARVED: Final = BY_NAME["starved"]
BUSY: Final = BY_NAME["busy"]
IDLE: Final = BY_NAME["idle"]


class Node:
    """The guest, its pods and the agent in it."""

    def __init__(self, machine: Machine, agent: Served) -> None:
        self.machine = machine
        self._agent = agent

    def pods(self, command: str, *names: str) -> None:
        self.machine.run("python3", "/opt/pods.py", command, *names, seconds=2 * SLOWLY_S)

    def scrape(self) -> dict[str, Values]:
        return truth.served(self._agent.get("/metrics"))

    def readings(self) -> dict[str, Reading]:
        """All files of all containers; there is one generation of each while nobody recreates any."""
        names = (f"--include={name}" for name in FILES)
        said = self.machine.run("grep", "-rH", "", *names, "/sys/fs/cgroup/kubepods.slice").decode()
        files: defaultdict[tuple[str, str], str] = defaultdict(str)
        for line in said.splitlines(keepends=True):
            path, _, text = line.removeprefix("/sys/fs/cgroup").partition(":")
            directory, _, name = path.rpartition("/")
            files[directory, name] += text
        values: defaultdict[str, dict[Series, float]] = defaultdict(dict)
        for series, source in V2.items():
            for (directory, name), text in files.items():
                if name == source.file and (found := truth.value(text, source)) is not None:
                    values[directory][series] = found
        return {directory: Reading(0, found) for directory, found in values.items()}

    def network(self, pod: Pod) -> Values:
        """A pod's eth0, as its own network namespace counts."""
        said = self.machine.run("ip", "netns", "exec", pod.name, "cat", "/proc/net/dev").decode()
        numbers = next(line for line in said.splitlines() if "eth0:" in line).split()[1:]
        eth0 = (("interface", "eth0"),)
        return {Series(f"container_network_{name}", eth0): int(numbers[at]) for name, at in NETWORK.items()}

    def until(self, right: Callable[[dict[str, Values]], bool], seconds: float = SLOWLY_S) -> dict[str, Values]:
        """The first scrape of which this is true; each takes its time, so there is no need to wait between them."""
        deadline_s = time.monotonic() + seconds
        while not right(served := self.scrape()):
            assert time.monotonic() < deadline_s, f"not within {seconds} s"
        return served


@pytest.fixture(scope="module")
def node(node_vm: Machine) -> Iterator[Node]:
    """Everything runs; at the end the guest is as it was."""
    node_vm.put(Path(pods.__file__), "opt/pods.py")
    node_vm.put(REPOSITORY / "agent", "opt/headroom/agent")
    command = ("env", "PYTHONPATH=/opt/headroom", "python3", "-m", "agent.cli", "agent", "--http.insecure")
    flags = ("--listen", f":{AGENT_PORT}", "--collection.deadline", "30s")
    port = str(node_vm.port)
    with Served((sys.executable, "-m", "tests.node_vm.command", port, *command, *flags)) as agent:
        running = Node(node_vm, agent)
        running.pods("up", *(pod.name for pod in PODS))
        agent.wait_for(AGENT_SERVING, SLOWLY_S)
        agent.address = ("127.0.0.1", node_vm.forwarded[AGENT_PORT])
        yield running
        running.pods("down", *(pod.name for pod in PODS))


def paths(*chosen: Pod) -> set[str]:
    return {pod.container_cgroup(name) for pod in chosen for name in pod.names()}


def containers(served: dict[str, Values]) -> set[str]:
    """Pods as a whole have series of their network."""
    return {path for path in served if path.endswith(".scope")}


def value(served: dict[str, Values], pod: Pod, name: str, series: Series) -> float:
    return served[pod.container_cgroup(name)][series]


def test_every_container_is_seen_in_its_pod(node: Node) -> None:
    """All eleven and no other, each under the cgroup of the pod with its UID, with what every container has."""
    served = node.scrape()
    assert len(paths(*PODS)) == 11
    assert containers(served) == paths(*PODS)
    for pod in PODS:
        for name in pod.names():
            assert pod.uid.replace("-", "_") in pod.container_cgroup(name)
            assert {*truth.ALWAYS, OOM, *PRESSURE} <= served[pod.container_cgroup(name)].keys()


def test_every_value_is_its_file_s(node: Node) -> None:
    """What only grows lies between two readings of the file; nothing is 0 that was not."""
    steady = [Life(path, 0, begun_s=0, up_s=0) for path in paths(*PODS)]
    scrape = Scrape(1, 2, node.readings(), node.scrape(), node.readings())
    assert lives.wrong(scrape, steady, truth.kinds(V2)) == []
    compared = sum(len(scrape.served[path].keys() & scrape.before[path].values.keys()) for path in paths(*PODS))
    assert compared > 11 * 20


def test_limits(node: Node) -> None:
    """The limits that the containers were started with; 0 is none."""
    served = node.scrape()
    for pod in PODS:
        for container in pod.containers:
            assert value(served, pod, container.name, LIMIT) == (container.memory_mib or 0) * MIB
            quota = served[pod.container_cgroup(container.name)].get(Series("container_spec_cpu_quota"))
            assert quota == container.quota_us


def test_throttling(node: Node) -> None:
    """A container that wants more than its quota is throttled; one without a quota has no such series."""
    served = node.until(lambda served: value(served, BUSY, "load", THROTTLED) > 0)
    assert value(served, BUSY, "load", PERIODS) >= value(served, BUSY, "load", THROTTLED)
    assert PERIODS not in served[BUSY.container_cgroup("side")]


def test_out_of_memory(node: Node) -> None:
    """Kills are counted where they happen; elsewhere there is a 0, since the kernel says so."""
    served = node.until(lambda served: value(served, STARVED, "oomy", OOM) > 0)
    assert value(served, STARVED, "oomy", OOM) <= node.readings()[STARVED.container_cgroup("oomy")].values[OOM]
    assert [value(served, BUSY, name, OOM) for name in BUSY.names()] == [0, 0, 0]


def test_pressure(node: Node) -> None:
    """Who reads more than its memory holds waits for memory and disk; who is throttled waits for the processor."""
    memory, cpu = (Series(f"container_pressure_{what}_waiting_seconds_total") for what in ("memory", "cpu"))
    served = node.until(lambda served: value(served, STARVED, "press", memory) > 0)
    assert value(served, BUSY, "load", cpu) > value(served, BUSY, "pause", cpu)
    assert value(served, IDLE, "idle", memory) < value(served, STARVED, "press", memory)


def test_network(node: Node) -> None:
    """Each pod's traffic is that of its own network namespace, under the pod, which pings the node in one of them."""
    packets = Series("container_network_transmit_packets_total", (("interface", "eth0"),))
    node.until(lambda served: served[IDLE.cgroup][packets] > 10)
    before = {pod: node.network(pod) for pod in PODS}
    served = node.scrape()
    after = {pod: node.network(pod) for pod in PODS}
    for pod in PODS:
        assert served[pod.cgroup].keys() == before[pod].keys()
        for series, value in served[pod.cgroup].items():
            assert before[pod][series] <= value <= after[pod][series], (pod.name, series)


def test_one_that_is_killed_as_a_whole_is_gone(node: Node) -> None:
    """It ends with its cgroup and has no series then; started again under the same name, it begins at 0."""
    path = STARVED.container_cgroup("doomed")
    started = node.scrape()[path][truth.STARTED]
    state = f"{pods.STATE}/{STARVED.container_id('doomed')}/root/data/now"
    node.machine.run("touch", state)
    node.machine.run("sh", "-c", f"while [ -e /sys/fs/cgroup{path} ]; do sleep 0.1; done")
    assert path not in node.scrape()
    node.pods("down", "starved/doomed")
    node.pods("up", "starved/doomed")
    again = node.scrape()[path]
    assert again[OOM] == 0
    assert again[truth.STARTED] > started


def test_what_is_removed_leaves_no_ghost(node: Node) -> None:
    """A container's series end with it, its pod's with the pod; nothing becomes 0, and the others go on."""
    node.pods("up", BRIEF.name)
    assert containers(node.scrape()) == paths(*PODS, BRIEF)
    node.pods("down", "brief/leaves")
    assert containers(node.scrape()) == paths(*PODS, BRIEF) - {BRIEF.container_cgroup("leaves")}
    node.pods("down", BRIEF.name)
    served = node.scrape()
    assert containers(served) == paths(*PODS)
    assert [path for path in served if BRIEF.uid.replace("-", "_") in path] == []
