"""The direct signals: the kubelet's arithmetic on literal readings, and what a part that fails costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from agent.errors import SourceError
from agent.eviction.direct import Direct, Readings, observations
from agent.eviction.signals import Observation
from agent.sources.calls import FilesystemSpace
from agent.sources.host import Host
from agent.sources.node_memory import GroupMemory, NodeMemory
from agent.sources.pid_limits import PidLimits

MakeHost = Callable[..., Host]
PATIENCE_S = 0.1
SPACE = FilesystemSpace(4096, 249195, 246477, 239760, 65536, 65399, False)
V1 = {
    "proc/meminfo": "MemTotal:       24684100 kB\nMemFree:        18745372 kB\nMemAvailable:   22652208 kB\n",
    "proc/loadavg": "2.68 4.25 3.30 10/334 25478\n",
    "proc/sys/kernel/pid_max": "32768\n",
    "proc/sys/kernel/threads-max": "192731\n",
    "proc/1/mountinfo": "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 7:0 / /var/lib/kubelet rw - ext4 /dev/loop0 rw\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "5602758656\n",
    "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 2776326144\n",
    "sys/fs/cgroup/memory/kubepods/memory.usage_in_bytes": "1000\n",
    "sys/fs/cgroup/memory/kubepods/memory.limit_in_bytes": "5000\n",
    "sys/fs/cgroup/memory/kubepods/memory.stat": "total_inactive_file 400\n",
}


def test_the_arithmetic() -> None:
    """Exactly the kubelet's, of every signal; filesystems in fragments, and by what is left to a normal user."""
    image = FilesystemSpace(512, 1000, 500, 400, 90, 80, False)
    readings = Readings(
        12.5,
        NodeMemory(25276518400, 5602758656, 2776326144),
        GroupMemory(25276518400, 240140288, 9117696),
        SPACE,
        image,
        image,
        PidLimits(32768, 334),
    )
    assert observations(readings) == {
        "memory.available": Observation(22450085888, 25276518400, 12.5),
        "allocatableMemory.available": Observation(25276518400 - 231022592, 25276518400, 12.5),
        "nodefs.available": Observation(982056960, 1020702720, 12.5),
        "nodefs.inodesFree": Observation(65399, 65536, 12.5),
        "imagefs.available": Observation(204800, 512000, 12.5),
        "imagefs.inodesFree": Observation(80, 90, 12.5),
        "containerfs.available": Observation(204800, 512000, 12.5),
        "containerfs.inodesFree": Observation(80, 90, 12.5),
        "pid.available": Observation(32434, 32768, 12.5),
    }


@pytest.mark.parametrize(
    "readings",
    [
        Readings(0.0),
        Readings(0.0, kubepods=GroupMemory(None, 10, 0)),
        Readings(0.0, kubepods=GroupMemory(10, 11, 0)),
        Readings(0.0, node=NodeMemory(10, 11, 0)),
        Readings(0.0, pids=PidLimits(10, 11)),
        Readings(0.0, nodefs=FilesystemSpace(4096, 0, 0, 0, 0, 0, False)),
    ],
)
def test_what_cannot_be_is_not_said(readings: Readings) -> None:
    """Nothing read; no limit; more used than there is, where the kubelet's own subtraction wraps; an empty one."""
    assert observations(readings) == {}


def test_a_filesystem_without_inodes() -> None:
    """btrfs counts none: its space is told, its inodes are not."""
    said = observations(Readings(0.0, imagefs=FilesystemSpace(4096, 100, 50, 50, 0, 0, False)))
    assert said == {"imagefs.available": Observation(50 * 4096, 409600, 0.0)}


def test_from_files(make_host: MakeHost, calls: Any) -> None:
    """Read from a node's trees, at the wall clock's time; images share the node's filesystem when nobody says more."""
    calls.spaces = {}
    host = make_host(V1)
    calls.spaces[f"{host.rootfs.path}/var/lib/kubelet"] = SPACE
    direct = Direct(host)
    said = direct.read(5.0)
    assert direct.errors == []
    assert said["memory.available"] == Observation(22450085888, 25276518400, calls.now_s)
    assert said["allocatableMemory.available"][:2] == (5000 - 600, 5000)
    assert said["pid.available"][:2] == (32434, 32768)
    assert said["imagefs.available"] == said["nodefs.available"] == Observation(982056960, 1020702720, calls.now_s)
    assert direct.places is not None
    assert direct.places.nodefs is not None
    assert direct.places.nodefs.device == "7:0"
    assert direct.places.dedicated is False


def test_a_part_that_fails_costs_its_own_signals(make_host: MakeHost, calls: Any) -> None:
    """Each with its error; the other signals are told all the same, and an error that passed is not told again."""
    host = make_host(V1 | {"proc/loadavg": "broken", "sys/fs/cgroup/memory/kubepods/memory.limit_in_bytes": "x"})
    calls.space = SPACE
    direct = Direct(host)
    said = direct.read(5.0)
    assert {"memory.available", "nodefs.available", "imagefs.inodesFree"} <= set(said)
    assert not {"pid.available", "allocatableMemory.available"} & set(said)
    assert [error.reason for error in direct.errors] == ["malformed", "malformed"]
    make_host(V1)
    assert "pid.available" in direct.read(6.0)
    assert direct.errors == []


def test_a_node_without_anything(make_host: MakeHost) -> None:
    """No signal, reasons instead, and nothing raised."""
    direct = Direct(make_host({}))
    assert direct.read(0.0) == {}
    assert direct.memory_parts() == {}
    assert direct.errors
    assert all(isinstance(error, SourceError) for error in direct.errors)


class Hanging:
    """statvfs that hangs below one path until ``alive``; ``asked`` counts those calls."""

    def __init__(self, calls: Any, dead: str) -> None:
        self._calls = calls
        self._dead = dead
        self.asked = 0
        self.alive = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._calls, name)

    def statvfs(self, path: str) -> FilesystemSpace:
        if path.endswith(self._dead):
            self.asked += 1
            assert self.alive.wait(20)
        return SPACE


def test_a_filesystem_that_hangs_is_waited_for_once(make_host: MakeHost, calls: Any) -> None:
    """Not longer than the patience, and then not asked again until it answers; other signals do not suffer."""
    table = V1["proc/1/mountinfo"] + "3 1 0:50 / /images rw - nfs4 server:/images rw\n"
    kernel = Hanging(calls, "/images")
    direct = Direct(make_host(V1 | {"proc/1/mountinfo": table}, kernel), image_dir="/images", patience_s=PATIENCE_S)
    try:
        began_s = time.monotonic()
        said = direct.read(5.0)
        assert time.monotonic() - began_s < 50 * PATIENCE_S  # 20 s if it waited for the call
        assert {"nodefs.available", "memory.available", "pid.available"} <= set(said)
        assert not {"imagefs.available", "imagefs.inodesFree", "containerfs.available"} & set(said)
        assert [error.reason for error in direct.errors] == ["overdue"]
        for now_s in range(6, 70):  # over a minute, so that the places are looked at again
            assert "imagefs.available" not in direct.read(float(now_s))
        assert kernel.asked == 1
    finally:
        kernel.alive.set()
    for thread in threading.enumerate():
        if thread.name == "statvfs":
            thread.join(10)
    assert direct.read(71.0)["imagefs.available"].capacity == 1020702720


def test_a_guess_that_hangs_is_no_reason_to_look_elsewhere(make_host: MakeHost, calls: Any) -> None:
    """A kubelet's directory on a dead server is still the kubelet's: its signal is missing, not another's."""
    table = "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:50 / /var/lib/kubelet rw - nfs4 server:/k rw\n"
    kernel = Hanging(calls, "/root/var/lib/kubelet")
    direct = Direct(make_host(V1 | {"proc/1/mountinfo": table}, kernel), patience_s=PATIENCE_S)
    try:
        assert "nodefs.available" not in direct.read(5.0)
        assert direct.places is not None
        assert direct.places.nodefs is not None
        assert direct.places.nodefs.path == "/var/lib/kubelet"
    finally:
        kernel.alive.set()


def test_pods(make_host: MakeHost) -> None:
    """Working sets of the pods' cgroups; processes of their leaves, without the sandbox where that is known."""
    pod, one, sandbox = "sys/fs/cgroup/memory/kubepods/burstable/pod7", "a" * 64, "b" * 64
    host = make_host(
        V1
        | {
            f"{pod}/memory.usage_in_bytes": "900\n",
            f"{pod}/memory.stat": "total_inactive_file 100\n",
            f"{pod}/{one}/cgroup.procs": "11\n12\n",
            f"{pod}/{sandbox}/cgroup.procs": "10\n",
        }
    )
    direct = Direct(host)
    assert direct.pod_memory() == {"7": 800}
    assert direct.pod_processes() == {"7": 3}
    assert direct.pod_processes({one}) == {"7": 2}
