"""The named_processes collector."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.collectors.named_processes import SCANS_PER_ROUND, NamedProcesses
from agent.errors import Malformed, Unsupported
from agent.sources.host import Host

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
INIT = {"proc/1/comm": "systemd\n"}
OPTIONS = {"names": ("kubelet", "containerd")}

Make = Callable[..., Host]
Collect = Callable[[Any], Any]


class Node:
    """Processes that start, work and end. CPU time is in ticks of 10 ms."""

    def __init__(self, make_host: Make, calls: Any) -> None:
        self.make_host, self.calls = make_host, calls
        self.host = make_host(INIT)
        self.collector = NamedProcesses(self.host, OPTIONS)

    def run(
        self, pid: int, command: str, ticks: int, pages: int = 10, start_ticks: int = 100, state: str = "S"
    ) -> None:
        fields = f"{state} 1 {pid} {pid} 0 -1 0 0 0 0 0 {ticks} 1 7 7 20 0 1 0 {start_ticks} 1000 {pages}"
        stat = f"{pid} ({command}) {fields}{' 0' * 28}\n"
        statm = f"100 {pages} 1 1 0 1 0\n"
        self.make_host(
            {f"proc/{pid}/comm": f"{command}\n", f"proc/{pid}/stat": stat, f"proc/{pid}/statm": statm},
        )

    def end(self, pid: int) -> None:
        shutil.rmtree(Path(self.host.procfs.path, str(pid)))

    def later(self, seconds: float) -> None:
        self.calls.now_monotonic_s += seconds


@pytest.fixture
def node(make_host: Make, calls: Any) -> Node:
    return Node(make_host, calls)


def of(samples: Any, name: str) -> tuple[float | None, ...]:
    """up, instances, CPU seconds and memory of one name; None is what is absent."""
    families = ("up", "instances", "cpu_seconds_total", "resident_memory_bytes")
    return tuple(samples.get(f'headroom_process_{family}{{process="{name}"}}') for family in families)


def test_a_name_that_was_never_seen_is_down_without_numbers(node: Node, collect: Collect) -> None:
    """It used no CPU that anybody could know of: absent, not zero."""
    assert of(collect(node.collector), "kubelet") == (0, 0, None, None)


def test_processes_of_one_name_are_summed(node: Node, collect: Collect) -> None:
    """User and system time of each, not that of its children."""
    node.run(10, "containerd", ticks=99, pages=3)
    node.run(11, "containerd", ticks=199, pages=4)
    node.run(12, "containerd-shim", ticks=500)
    samples = collect(node.collector)
    assert of(samples, "containerd") == (1, 2, 3.0, 7 * PAGE_BYTES)
    assert of(samples, "kubelet") == (0, 0, None, None)


def test_the_cpu_time_of_ended_ones_stays(node: Node, collect: Collect) -> None:
    """Else the counter would go backwards; memory goes with the process."""
    node.run(10, "containerd", ticks=99, pages=3)
    node.run(11, "containerd", ticks=199, pages=4)
    collect(node.collector)
    node.end(11)
    assert of(collect(node.collector), "containerd") == (1, 1, 3.0, 3 * PAGE_BYTES)
    node.end(10)
    assert of(collect(node.collector), "containerd") == (0, 0, 3.0, None)


def test_a_restarted_one_continues_the_sum_and_is_found_at_once(node: Node, collect: Collect) -> None:
    """Whoever misses a process looks for it, whatever the time."""
    node.run(10, "kubelet", ticks=99)
    collect(node.collector)
    node.end(10)
    node.run(20, "kubelet", ticks=49)
    assert of(collect(node.collector), "kubelet") == (1, 1, 1.5, 10 * PAGE_BYTES)


def test_a_pid_that_was_reused_is_another_process(node: Node, collect: Collect) -> None:
    """Told by its start time: the first one's time is kept and the second one's is added."""
    node.run(10, "kubelet", ticks=99, start_ticks=100)
    collect(node.collector)
    node.run(10, "kubelet", ticks=9, start_ticks=7000)
    assert of(collect(node.collector), "kubelet") == (1, 1, 1.1, 10 * PAGE_BYTES)


def test_new_processes_are_looked_for_every_15_seconds(node: Node, collect: Collect) -> None:
    """Not at every scrape: that would cost more than everything else."""
    collect(node.collector)
    node.run(10, "kubelet", ticks=99)
    node.later(14.9)
    assert of(collect(node.collector), "kubelet")[0] == 0
    node.later(0.2)
    assert of(collect(node.collector), "kubelet") == (1, 1, 1.0, 10 * PAGE_BYTES)


def test_known_processes_are_read_at_every_scrape(node: Node, collect: Collect) -> None:
    """Their time goes on between the searches."""
    node.run(10, "kubelet", ticks=99)
    collect(node.collector)
    node.run(10, "kubelet", ticks=149, pages=20)
    assert of(collect(node.collector), "kubelet") == (1, 1, 1.5, 20 * PAGE_BYTES)


def test_one_that_turns_into_another_program_is_noticed(node: Node, collect: Collect) -> None:
    """A child has its parent's name until it runs its own program; a waiting script keeps its PID when it does."""
    node.run(10, "containerd", ticks=9)
    node.run(11, "wait-for-disk", ticks=9)
    assert of(collect(node.collector), "containerd")[1] == 1
    node.run(10, "containerd-shim", ticks=10)
    assert of(collect(node.collector), "containerd")[1] == 0
    node.run(11, "kubelet", ticks=19)
    for _ in range(SCANS_PER_ROUND):
        node.later(15)
        samples = collect(node.collector)
    assert of(samples, "kubelet") == (1, 1, 0.2, 10 * PAGE_BYTES)


def test_a_zombie_is_not_up(node: Node, collect: Collect) -> None:
    """It only waits for its parent."""
    node.run(10, "kubelet", ticks=99)
    collect(node.collector)
    node.run(10, "kubelet", ticks=99, state="Z")
    assert of(collect(node.collector), "kubelet") == (0, 0, 1.0, None)


def test_the_kernel_keeps_15_bytes_of_a_name(node: Node, collect: Collect) -> None:
    """The label is the name as configured."""
    node.run(10, "kube-controller", ticks=99)
    collector = NamedProcesses(node.host, {"names": ("kube-controller-manager",)})
    assert of(collect(collector), "kube-controller-manager")[0] == 1


def test_a_procfs_that_hides_processes_says_nothing(make_host: Make, collect: Collect) -> None:
    """Down would be wrong, at every scrape."""
    collector = NamedProcesses(make_host({"proc/7/comm": "ours\n"}), OPTIONS)
    for _ in range(2):
        with pytest.raises(Unsupported):
            collect(collector)


def test_a_process_that_does_not_read_as_documented_is_malformed(node: Node, collect: Collect) -> None:
    """It costs this collector, as every garbled file does."""
    node.make_host({"proc/10/comm": "kubelet\n", "proc/10/stat": "10 (kubelet) S 1\n"})
    with pytest.raises(Malformed, match="10/stat"):
        collect(node.collector)
