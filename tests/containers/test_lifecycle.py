"""The driver of real containers: what it says there is, there is."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import truth
from tests.containers.lifecycle import SLOTS, Lifecycle
from tests.containers.lives import Series
from tests.containers.runc import CGROUPS, Runc, Slot, Workload

pytestmark = pytest.mark.needs("root", "netns", "runc", "cgroup-v1-memory")

MEMORY = 48 << 20


@pytest.fixture
def runc() -> Iterator[Runc]:
    with Runc() as running:
        yield running


def below(root: str) -> list[str]:
    return [str(path) for path in CGROUPS.glob(f"*{root}")]


def runs(pid: int) -> bool:
    """A process that ended may wait for its parent, which is not us."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_container_is_where_the_kubelet_would_put_it(runc: Runc) -> None:
    """Its process is in its cgroup in every hierarchy, with its limit."""
    slot = SLOTS[0]
    runc.start(slot, Workload("exec sleep 1000", MEMORY))
    assert runc.path(slot) == f"{runc.root}/kubepods/burstable/pod{slot.pod_uid}/{slot.container_id}"
    places = {line.split(":")[2] for line in Path(f"/proc/{runc.pid(slot)}/cgroup").read_text().splitlines()}
    assert places == {runc.path(slot)}
    assert int(Path(f"{CGROUPS}/memory{runc.path(slot)}/memory.limit_in_bytes").read_text()) == MEMORY


def test_a_recreated_container_is_another_cgroup(runc: Runc) -> None:
    """The same path, another inode, and counters that start again."""
    lifecycle, slot = Lifecycle(runc, seed=1), SLOTS[0]
    lifecycle.do("start", slot)
    first = truth.read_v1(runc.path(slot))
    lifecycle.do("recreate", slot)
    second = truth.read_v1(runc.path(slot))
    assert first
    assert second
    assert first.inode != second.inode
    assert first.values[Series("container_memory_usage_bytes")] > 0
    old, new = lifecycle.lives()
    assert old.path == new.path == runc.path(slot)
    assert old.begun_s < old.up_s < old.ending_s < old.gone_s < new.begun_s < new.up_s
    assert old.memory_limit_bytes != new.memory_limit_bytes


def test_a_removed_container_leaves_nothing(runc: Runc) -> None:
    """Its cgroups are gone when its removal is over, and its pod's with the last of it."""
    lifecycle, slot = Lifecycle(runc, seed=1), SLOTS[0]
    lifecycle.do("start", slot)
    lifecycle.do("start", SLOTS[1])
    lifecycle.do("remove", slot)
    assert truth.read_v1(runc.path(slot)) is None
    assert below(runc.root + slot.pod) != []
    lifecycle.do("remove", SLOTS[1])
    assert below(runc.root + slot.pod) == []
    assert lifecycle.live() == []


def test_nothing_is_left_behind() -> None:
    """Also when a test fails: no cgroup, no process, no directory."""
    slot = Slot("99999999-0000-4000-8000-000000000009", "9f" * 32)
    runc = Runc()
    try:
        with runc:
            runc.start(slot, Workload("exec sleep 1000"))
            pid = runc.pid(slot)
            assert below(runc.root) != []
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert below(runc.root) == []
    assert not runs(pid)


def test_what_a_killed_run_left_is_removed() -> None:
    """Cgroups named after a process that is no more go away at the next start."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    left = CGROUPS / f"memory/headroom-test-{pid}/kubepods"
    left.mkdir(parents=True)
    with Runc():
        assert not left.parent.exists()


def test_a_run_does_all_kinds_of_things(runc: Runc) -> None:
    """As many events as asked for, unless it is stopped."""
    lifecycle, stop = Lifecycle(runc, seed=3), threading.Event()
    lifecycle.run(12, 0.0, stop)
    assert sum(lifecycle.counts.values()) == 12
    assert min(lifecycle.counts.values()) > 0
    assert len(lifecycle.lives()) == lifecycle.counts["start"] + lifecycle.counts["recreate"]
    stop.set()
    lifecycle.run(5, 1000.0, stop)
    assert sum(lifecycle.counts.values()) == 13
