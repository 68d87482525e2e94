"""Counters of processes killed for want of memory, of the node and of one cgroup."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import Gone, Malformed
from agent.sources.cgroup.hierarchy import Hierarchy
from agent.sources.cgroup.oom import parse_node_oom_kills, read_oom_kills
from agent.sources.root import Root

V1 = Hierarchy(1, {"memory": "fs/cgroup/memory"})
V2 = Hierarchy(2, {"": "fs/cgroup"})


def test_the_node_s_counter() -> None:
    """It is found among the others, and not taken for one whose name ends alike."""
    assert parse_node_oom_kills(b"nr_free_pages 1\nmemcg_oom_kill 9\noom_kill 7\nx 2\n") == 7
    assert parse_node_oom_kills(b"nr_free_pages 1\n") is None


@pytest.mark.parametrize("said", [b"-1", b"x", b"", b"9" * 30])
def test_a_counter_that_is_no_number(said: bytes) -> None:
    """Garbage in its place is malformed, never 0."""
    with pytest.raises(Malformed):
        parse_node_oom_kills(b"a 1\noom_kill " + said + b"\n")


def test_a_cgroup_s_counter(tmp_path: Path) -> None:
    """v2 has it in memory.events, v1 in memory.oom_control; a kernel without the key says nothing."""
    for place, name, text in (
        ("fs/cgroup/pod", "memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 0\n"),
        ("fs/cgroup/memory/pod", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        ("fs/cgroup/memory/old", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n"),
    ):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / name).write_text(text)
    sysfs = Root(str(tmp_path))
    assert read_oom_kills(sysfs, V2, "/pod") == 3
    assert read_oom_kills(sysfs, V1, "/pod") == 2
    assert read_oom_kills(sysfs, V1, "/old") is None
    with pytest.raises(Gone):
        read_oom_kills(sysfs, V2, "/gone")
