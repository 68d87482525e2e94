"""Processes killed for want of memory are found by the node's counter, and their cgroups by theirs or by the log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.eviction.oom import PATIENCE, OomKill, OomKills
from agent.sources.cgroup.tree import Tree
from agent.sources.host import Host

CONTAINER = "ab" * 32
POD = "/kubepods.slice/kubepods-pod11111111_2222_3333_4444_555555555555.slice"
LEAF = f"{POD}/cri-containerd-{CONTAINER}.scope"
RECORD = f"6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg={LEAF},task=hog,pid=77,uid=0\n"


class Node:
    """A node with cgroup v2 whose counters a test sets. ``log`` is a kernel log that a test appends to."""

    def __init__(self, place: Path, log: bool) -> None:
        self.place = place
        for directory in ("proc", "dev", f"sys/fs/cgroup{LEAF}"):
            (place / directory).mkdir(parents=True)
        (place / "sys/fs/cgroup/cgroup.controllers").write_text("memory\n")
        if log:
            (place / "dev/kmsg").write_text("")
        self.set(0, {POD: 0, LEAF: 0})
        host = Host.at(str(place / "proc"), str(place / "sys"), str(place))
        self.kills = OomKills(host, Tree(host))

    def set(self, node: int, of: dict[str, int]) -> None:
        (self.place / "proc/vmstat").write_text(f"a 1\noom_kill {node}\n")
        for path, kills in of.items():
            events = self.place / f"sys/fs/cgroup{path}/memory.events"
            events.parent.mkdir(exist_ok=True)
            events.write_text(f"oom {kills}\noom_kill {kills}\n")

    def say(self, record: str) -> None:
        with (self.place / "dev/kmsg").open("a") as file:
            file.write(record)

    def remove_leaf(self) -> None:
        os.unlink(self.place / f"sys/fs/cgroup{LEAF}/memory.events")
        os.rmdir(self.place / f"sys/fs/cgroup{LEAF}")


def test_what_was_before_the_first_look_is_not_news(tmp_path: Path) -> None:
    """Old kills are the baseline, and a quiet node says nothing."""
    node = Node(tmp_path, log=False)
    node.set(5, {POD: 5, LEAF: 5})
    assert node.kills.poll() == []
    assert node.kills.poll() == []


def test_the_container_is_the_one_whose_counter_grew(tmp_path: Path) -> None:
    """Its pod's counter grew as well, which is the same kill and not one more."""
    node = Node(tmp_path, log=False)
    node.kills.poll()
    node.set(2, {POD: 2, LEAF: 2})
    assert node.kills.poll() == [OomKill(LEAF, 2)]
    assert node.kills.poll() == []


def test_a_container_that_is_gone_is_known_by_its_pod(tmp_path: Path) -> None:
    """The pod's counter holds what its vanished leaf had."""
    node = Node(tmp_path, log=False)
    node.kills.poll()
    node.set(1, {POD: 1, LEAF: 1})
    node.remove_leaf()
    assert node.kills.poll() == [OomKill(POD, 1)]


def test_what_nobody_can_tell_is_the_node_s(tmp_path: Path) -> None:
    """A process outside all pods was killed: the event has no cgroup, but it is one."""
    node = Node(tmp_path, log=False)
    node.kills.poll()
    node.set(3, {POD: 1, LEAF: 1})
    assert node.kills.poll() == [OomKill(LEAF, 1), OomKill("", 2)]


def test_the_log_says_more(tmp_path: Path) -> None:
    """Where the kernel's log can be read, it names process and command, and the counters add nothing."""
    node = Node(tmp_path, log=True)
    node.kills.poll()
    node.set(1, {POD: 1, LEAF: 1})
    node.say(RECORD)
    assert node.kills.poll() == [OomKill(LEAF, 1, "hog", 77)]
    assert [node.kills.poll() for _ in range(PATIENCE + 2)] == [[]] * (PATIENCE + 2)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("gone", [True, False])
def test_a_container_that_is_killed_as_a_whole(tmp_path: Path, gone: bool, together: bool) -> None:
    """``memory.oom.group``, which Kubernetes sets on v2: the log names one of them, the counters know of all."""
    node = Node(tmp_path, log=True)
    node.kills.poll()
    node.say(RECORD)
    found = [] if together else node.kills.poll()
    node.set(5, {POD: 5, LEAF: 5})
    found += node.kills.poll()
    if gone:
        node.remove_leaf()
    for _ in range(PATIENCE + 2):
        found += node.kills.poll()
    assert found == [OomKill(LEAF, 1, "hog", 77), OomKill(POD if gone else LEAF, 4)]
    node.set(6, {POD: 6})
    for _ in range(PATIENCE + 2):
        found += node.kills.poll()
    assert found[2:] == [OomKill(POD, 1)]


@pytest.mark.parametrize("counter_first", [True, False])
def test_log_and_counter_need_not_come_together(tmp_path: Path, counter_first: bool) -> None:
    """Whichever comes a look later, it is one kill and not two."""
    node = Node(tmp_path, log=True)
    node.kills.poll()
    steps = [lambda: node.set(1, {POD: 1, LEAF: 1}), lambda: node.say(RECORD)]
    found = []
    for step in steps if counter_first else reversed(steps):
        step()
        found += node.kills.poll()
    for _ in range(PATIENCE + 2):
        found += node.kills.poll()
    assert found == [OomKill(LEAF, 1, "hog", 77)]


def test_a_log_that_stays_silent_is_not_waited_for_long(tmp_path: Path) -> None:
    """Records can be lost; after a few looks the counters are asked."""
    node = Node(tmp_path, log=True)
    node.kills.poll()
    node.set(1, {POD: 1, LEAF: 1})
    found = [node.kills.poll() for _ in range(PATIENCE + 2)]
    assert found == [[]] * PATIENCE + [[OomKill(LEAF, 1)], []]


def test_the_container_of_a_leaf() -> None:
    """A leaf's name holds its id; a pod's does not."""
    assert OomKill(LEAF).container_id == CONTAINER
    assert OomKill(POD).container_id == OomKill("").container_id == ""
