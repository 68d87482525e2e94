"""The kubelet's eviction signals, and what its summary says of each.

A signal is what the kubelet compares with a threshold: how much of something is left, and how much there is in all,
both counted in the signal's unit. The facts are those of pkg/kubelet/eviction/helpers.go (makeSignalObservations).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.summary import Filesystem, MemoryStats, Summary

Unit = Literal["bytes", "inodes", "pids"]
Source = Literal["kubelet", "direct"]
Condition = Literal["MemoryPressure", "DiskPressure", "PIDPressure"]

MEMORY: Final = "memory.available"
ALLOCATABLE_MEMORY: Final = "allocatableMemory.available"
NODEFS: Final = "nodefs.available"
NODEFS_INODES: Final = "nodefs.inodesFree"
IMAGEFS: Final = "imagefs.available"
IMAGEFS_INODES: Final = "imagefs.inodesFree"
CONTAINERFS: Final = "containerfs.available"
CONTAINERFS_INODES: Final = "containerfs.inodesFree"
PIDS: Final = "pid.available"

SIGNALS: Final[dict[str, tuple[Unit, Condition]]] = {
    MEMORY: ("bytes", "MemoryPressure"),
    ALLOCATABLE_MEMORY: ("bytes", "MemoryPressure"),
    NODEFS: ("bytes", "DiskPressure"),
    NODEFS_INODES: ("inodes", "DiskPressure"),
    IMAGEFS: ("bytes", "DiskPressure"),
    IMAGEFS_INODES: ("inodes", "DiskPressure"),
    CONTAINERFS: ("bytes", "DiskPressure"),
    CONTAINERFS_INODES: ("inodes", "DiskPressure"),
    PIDS: ("pids", "PIDPressure"),
}
UNLIMITED: Final = 1 << 62
_FILESYSTEMS: Final = (
    ("fs", NODEFS, NODEFS_INODES),
    ("image_fs", IMAGEFS, IMAGEFS_INODES),
    ("container_fs", CONTAINERFS, CONTAINERFS_INODES),
)


class Observation(NamedTuple):
    """One signal at one moment. ``time_s`` is the statistic's own, by the wall clock; None where nobody said."""

    available: int
    capacity: int
    time_s: float | None


Observations = dict[str, Observation]
"""By signal. One that could not be told, or told nonsense, is not in it."""


def unit(signal: str) -> Unit:
    return SIGNALS[signal][0]


def condition(signal: str) -> Condition:
    """The node condition that the kubelet sets when this signal's threshold is met."""
    return SIGNALS[signal][1]


def observe(available: int | None, capacity: int | None, time_s: float | None) -> Observation | None:
    """None for what was not said and for what cannot be: more available than there is is a wrapped subtraction."""
    if available is None or capacity is None or not 0 <= available <= capacity or not 0 < capacity < UNLIMITED:
        return None
    return Observation(available, capacity, time_s)


def from_summary(summary: Summary) -> Observations:
    """What the kubelet decides by, to the byte."""
    return {signal: said for signal, said in _said(summary) if said is not None}


def _said(summary: Summary) -> Iterator[tuple[str, Observation | None]]:
    node = summary.node
    yield MEMORY, _memory(node.memory)
    pods = next((one for one in node.system_containers if one.name == "pods"), None)
    yield ALLOCATABLE_MEMORY, _memory(pods.memory if pods else None)
    for name, space, inodes in _FILESYSTEMS:
        filesystem: Filesystem | None = getattr(node, name)
        if filesystem is not None:
            yield space, observe(filesystem.available_bytes, filesystem.capacity_bytes, filesystem.time_s)
            yield inodes, observe(filesystem.inodes_free, filesystem.inodes, filesystem.time_s)
    pids = node.pids
    if pids is not None and pids.max is not None and pids.current is not None:
        yield PIDS, observe(pids.max - pids.current, pids.max, pids.time_s)


def _memory(said: MemoryStats | None) -> Observation | None:
    """The capacity is what the kubelet takes it for: what is available and the working set together."""
    if said is None or said.available_bytes is None or said.working_set_bytes is None:
        return None
    return observe(said.available_bytes, said.available_bytes + said.working_set_bytes, said.time_s)
