"""The top_processes collector."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.collectors.top_processes import TopProcesses, command_name
from agent.errors import Malformed, Unsupported
from agent.sources.host import Host
from agent.sources.processes import ProcessStat

Make = Callable[..., Host]
Collect = Callable[[Any], Any]
KERNEL_THREAD = 0x00200000


class Node:
    def __init__(self, make_host: Make, calls: Any) -> None:
        self.make_host, self.calls = make_host, calls
        self.host = make_host({})
        self.run(1, "systemd", ticks=0, pages=0)

    def run(self, pid: int, command: str, ticks: int, pages: int, start_ticks: int = 100, flags: int = 0) -> None:
        stat = f"{pid} ({command}) S 1 1 1 0 -1 {flags} 0 0 0 0 {ticks} 0 7 7 20 0 1 0 {start_ticks} 1000 {pages} 0 0\n"
        self.make_host({f"proc/{pid}/comm": f"{command}\n", f"proc/{pid}/stat": stat})

    def end(self, pid: int) -> None:
        shutil.rmtree(Path(self.host.procfs.path, str(pid)))


@pytest.fixture
def node(make_host: Make, calls: Any) -> Node:
    return Node(make_host, calls)


def test_memory_is_summed_by_command(node: Node, collect: Collect) -> None:
    """Only the largest names; who has none is not among them."""
    node.run(10, "java", ticks=0, pages=5)
    node.run(11, "java", ticks=0, pages=6)
    node.run(12, "redis", ticks=0, pages=7)
    node.run(13, "bash", ticks=0, pages=1)
    samples = collect(TopProcesses(node.host, {"count": 2}))
    assert samples == {
        'headroom_process_top_resident_memory_bytes{process="java"}': 11 * 4096,
        'headroom_process_top_resident_memory_bytes{process="redis"}': 7 * 4096,
    }


def test_cpu_is_the_share_since_the_last_collection(node: Node, calls: Any, collect: Collect) -> None:
    """Nothing can be said at the first; then 1 is one CPU, a new process counts whole, an ended one no more."""
    collector = TopProcesses(node.host, {"count": 10})
    node.run(10, "java", ticks=1000, pages=0)
    node.run(11, "gone", ticks=1000, pages=0)
    assert collect(collector) == {}
    calls.now_monotonic_s += 4
    node.run(10, "java", ticks=1600, pages=0)
    node.run(12, "java", ticks=200, pages=0)
    node.run(13, "idle", ticks=0, pages=0)
    node.end(11)
    assert collect(collector) == {'headroom_process_top_cpu_ratio{process="java"}': 2.0}


def test_a_pid_that_was_reused_is_a_new_process(node: Node, calls: Any, collect: Collect) -> None:
    """Its CPU time starts from zero."""
    collector = TopProcesses(node.host, {"count": 10})
    node.run(10, "java", ticks=1000, pages=0)
    collect(collector)
    calls.now_monotonic_s += 1
    node.run(10, "java", ticks=50, pages=0, start_ticks=9000)
    assert collect(collector) == {'headroom_process_top_cpu_ratio{process="java"}': 0.5}


def test_a_clock_that_stands_still_gives_no_share(node: Node, collect: Collect) -> None:
    """A recorded node's does."""
    collector = TopProcesses(node.host, {"count": 10})
    collect(collector)
    node.run(10, "java", ticks=1000, pages=0)
    assert collect(collector) == {}


def test_ranks_do_not_change_the_order(node: Node, collect: Collect) -> None:
    """By name, and equal values by name too, so that the label sets stay the same."""
    for pid, name in enumerate(("c", "a", "b"), 10):
        node.run(pid, name, ticks=0, pages=5)
    samples = collect(TopProcesses(node.host, {"count": 2}))
    assert [series.split('"')[1] for series in samples] == ["a", "b"]


@pytest.mark.parametrize(
    ("command", "is_kernel_thread", "name"),
    [
        (b"kworker/u8:2-events", True, "kworker"),
        (b"sh/elly", False, "sh/elly"),
        (b"caf\xc3", False, "caf\ufffd"),
    ],
)
def test_a_label_is_the_command_as_text(command: bytes, is_kernel_thread: bool, name: str) -> None:
    """Kernel threads by their kind: the rest of their names has no end."""
    assert command_name(ProcessStat(1, command, is_kernel_thread, 0, 0, 0)) == name


def test_a_procfs_that_hides_processes_says_nothing(make_host: Make, collect: Collect) -> None:
    """The largest of ours are not the largest of the node."""
    with pytest.raises(Unsupported):
        collect(TopProcesses(make_host({"proc/7/comm": "ours\n"}), {"count": 3}))


def test_a_process_that_does_not_read_as_documented_is_malformed(node: Node, collect: Collect) -> None:
    """It costs this collector."""
    node.make_host({"proc/10/stat": "10 (x) S\n"})
    with pytest.raises(Malformed):
        collect(TopProcesses(node.host, {"count": 3}))


def test_one_that_ends_meanwhile_is_passed_over(node: Node, collect: Collect) -> None:
    """Its directory is there and its files are gone."""
    Path(node.host.procfs.path, "10").mkdir()
    node.run(11, "java", ticks=0, pages=5)
    assert list(collect(TopProcesses(node.host, {"count": 3}))) == [
        'headroom_process_top_resident_memory_bytes{process="java"}'
    ]
