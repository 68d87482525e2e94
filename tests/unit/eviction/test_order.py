"""Who goes first, by the kubelet's statistics and by fresh ones, and how often anybody looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.errors import Absent
from agent.eviction.limits import Offender
from agent.eviction.order import NEAR_S, REST_S, Order, Standing
from agent.sources.host import Host
from agent.sources.kubelet.slot import STALE_S
from tests.unit.eviction.pod_documents import container, item, statistics, used, working_set
from tests.unit.eviction.small_node import GIB, SmallNode

MEMORY, ALLOCATABLE, PIDS, NODEFS = (
    "memory.available",
    "allocatableMemory.available",
    "pid.available",
    "nodefs.available",
)


class Pods:
    """Our own reading of the pods, counted. ``places`` is None: nobody knows devices."""

    places = None

    def __init__(self) -> None:
        self.memory = {"uid-a": 10, "uid-b": 20}
        self.processes = {"uid-a": 9, "uid-b": 1}
        self.asked: list[str] = []
        self.containers: set[str] = set()

    def pod_memory(self) -> dict[str, int]:
        self.asked.append("memory")
        if not self.memory:
            raise Absent("kubepods")
        return self.memory

    def pod_processes(self, containers: set[str]) -> dict[str, int]:
        self.asked.append("processes")
        self.containers = containers
        return self.processes


class Queue:
    """An order over pods ``a`` and ``b``; the kubelet still takes ``a`` for the larger one."""

    def __init__(self, make_host: Callable[..., Host], calls: Any) -> None:
        self.node = SmallNode(make_host, calls)
        self.pods = Pods()
        self.order = Order(self.node.host, self.pods)  # type: ignore[arg-type]
        self.tell()

    def tell(self) -> None:
        stats = (statistics("a", **working_set(200)), statistics("b", **working_set(100)))
        self.node.tell_pods(item("a"), item("b"))
        self.node.tell_summary(pods=stats)

    def standing(self, *signals: str) -> Standing:
        return self.order.standing(signals)

    def names(self, *signals: str) -> dict[str, dict[str, list[str]]]:
        """Pods by source and signal."""
        ranks = self.standing(*signals).ranks
        return {source: {s: [pod.name for pod in pods] for s, pods in by.items()} for source, by in ranks.items()}


@pytest.fixture
def queue(make_host: Callable[..., Host], calls: Any) -> Queue:
    return Queue(make_host, calls)


def test_both_orders(queue: Queue) -> None:
    """Each by its own statistics; of disks nobody knows anything fresher than the kubelet."""
    assert queue.names(MEMORY, NODEFS, PIDS) == {
        "kubelet": {MEMORY: ["a", "b"], NODEFS: ["a", "b"], PIDS: ["a", "b"]},
        "direct": {MEMORY: ["b", "a"], PIDS: ["a", "b"]},
    }


def test_both_memory_signals_cost_one_reading(queue: Queue) -> None:
    """They rank by the same working sets."""
    assert queue.names(MEMORY, ALLOCATABLE)["direct"] == {MEMORY: ["b", "a"], ALLOCATABLE: ["b", "a"]}
    assert queue.pods.asked == ["memory"]


def test_processes_are_those_of_the_named_containers(queue: Queue) -> None:
    """Without the sandboxes, which the kubelet does not count."""
    pod = item("a")
    pod["status"]["containerStatuses"][0]["containerID"] = "containerd://77"
    queue.node.tell_pods(pod, item("b"))
    queue.standing(PIDS)
    assert queue.pods.containers == {"77"}


def test_readings_rest(queue: Queue) -> None:
    """At rest for 10 s, near an eviction for one; new pods are looked at at once, and so is another signal."""
    for later_s, urgent, asked in ((0, False, 1), (REST_S - 0.1, False, 1), (0.2, False, 2), (NEAR_S, True, 3)):
        queue.node.later(later_s)
        queue.node.kubelet.urgent = urgent
        queue.standing(MEMORY)
        assert len(queue.pods.asked) == asked
    queue.node.tell_pods(item("b"))
    assert queue.names(MEMORY)["direct"] == {MEMORY: ["b"]}
    queue.standing(MEMORY, PIDS)
    assert queue.pods.asked == ["memory"] * 5 + ["processes"]


def test_the_kubelet_s_order_is_made_once_for_its_documents(queue: Queue) -> None:
    """The very same object until it tells anew."""
    first = queue.standing(MEMORY).ranks["kubelet"]
    assert queue.standing(MEMORY).ranks["kubelet"] is first
    queue.tell()
    assert queue.standing(MEMORY).ranks["kubelet"] is not first


def test_who_is_gone_since_the_kubelet_told_is_not_next(queue: Queue) -> None:
    """Its ``/pods`` is up to a minute old: a pod that was deleted since then is in no fresh order."""
    queue.pods.memory.pop("uid-b")
    assert queue.names(MEMORY) == {"kubelet": {MEMORY: ["a", "b"]}, "direct": {MEMORY: ["a"]}}


def test_where_nobody_s_processes_can_be_counted_there_is_no_order_of_them(queue: Queue) -> None:
    """As in a pod with PIDs of its own on cgroup v1: by priority and name alone would be a guess."""
    queue.pods.processes = {}
    assert set(queue.names(MEMORY, PIDS)["direct"]) == {MEMORY}


def test_without_cgroups_of_pods_there_is_the_kubelet_s_order(queue: Queue) -> None:
    """A reading that fails costs its own order and nothing else."""
    queue.pods.memory = {}
    assert queue.names(MEMORY) == {"kubelet": {MEMORY: ["a", "b"]}}
    assert queue.names(MEMORY, PIDS)["direct"] == {PIDS: ["a", "b"]}


def test_what_is_stale_ranks_nobody(queue: Queue) -> None:
    """A summary of five minutes ago is not how it is; without pods nobody is known at all."""
    queue.node.later(STALE_S)
    assert set(queue.names(MEMORY)) == {"kubelet", "direct"}
    queue.node.later(0.1)
    assert queue.standing(MEMORY) == Standing({}, ())
    queue.node.tell_pods(item("a"))
    assert queue.names(MEMORY) == {"direct": {MEMORY: ["a"]}}


def test_without_a_kubelet_there_is_no_order(make_host: Callable[..., Host], calls: Any) -> None:
    """What a pod asked for, only its specification says."""
    pods = Pods()
    assert Order(SmallNode(make_host, calls).host, pods).standing([MEMORY]) == Standing({}, ())  # type: ignore[arg-type]
    assert pods.asked == []


def test_who_is_over_a_limit_of_its_own(queue: Queue) -> None:
    """Told beside the ranks, and no longer when the summary is stale."""
    limited = item("a", container("c", limits={"ephemeral-storage": "100"}))
    queue.node.tell_pods(limited, item("b"))
    queue.node.tell_summary(pods=[statistics("a", used("c", logs=101))])
    assert queue.standing(NODEFS).offenders == (Offender("default", "a", "ephemeralcontainerfs.limit"),)
    queue.node.later(STALE_S + 1)
    queue.node.tell_pods(limited)
    assert queue.standing(NODEFS).offenders == ()


@pytest.mark.parametrize(
    ("image_fs", "container_fs", "layout"),
    [(GIB, GIB, "single"), (2 * GIB, 2 * GIB, "dedicated"), (2 * GIB, GIB, "split")],
)
def test_the_layout_is_what_the_summary_shows(queue: Queue, image_fs: int, container_fs: int, layout: str) -> None:
    """Where nobody can see devices."""
    runtime = {"imageFs": {"capacityBytes": image_fs}, "containerFs": {"capacityBytes": container_fs}}
    queue.node.tell_summary({"fs": {"capacityBytes": GIB}, "runtime": runtime})
    assert queue.order.layout() == layout
