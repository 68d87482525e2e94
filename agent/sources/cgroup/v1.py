"""A container's files on cgroup v1: one directory in each controller's tree.

Source: <sysfs>/fs/cgroup/{memory,cpuacct,cpu,pids,blkio}, admin-guide/cgroup-v1. Since: oom_kill in memory.oom_control
4.13, bursts in cpu.stat 5.14. Units: bytes, ns (cpuacct.usage, cpu.stat), ticks (cpuacct.stat), pages never.
Errors: Gone when the container is, Malformed. Cost: 40 us for the six files of ``usage``, 30 us for ``detail``.

Block I/O is what passed the throttling layer: every request of every device, whatever its scheduler.
"""

from __future__ import annotations

import os
from typing import Final

from agent.errors import Gone, Malformed
from agent.sources.cgroup.directory import Directory, File
from agent.sources.cgroup.flat import FlatKeys, read_count
from agent.sources.cgroup.hierarchy import Hierarchy
from agent.sources.cgroup.processes import Processes
from agent.sources.cgroup.usage import Detail, Io, Spec, Throttling, Usage
from agent.sources.root import Root

NANOSECONDS: Final = 1_000_000_000
_IO_BYTES: Final = ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")
_IO_COUNT: Final = ("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced")


class V1:
    """Reads containers of one node."""

    def __init__(self, sysfs: Root, hierarchy: Hierarchy, processes: Processes, clock_ticks_per_s: int) -> None:
        self.sysfs = sysfs
        self.hierarchy = hierarchy
        self.processes = processes
        self.tick_ns = NANOSECONDS // clock_ticks_per_s
        self.memory_stat = FlatKeys(
            "memory.stat",
            "total_inactive_file",
            "total_rss",
            "total_cache",
            "total_mapped_file",
            "pgfault",
            "pgmajfault",
            "total_swap",
        )
        self.cpu_times = FlatKeys("cpuacct.stat", "user", "system")
        self.cpu_stat = FlatKeys("cpu.stat", "nr_periods", "nr_throttled", "throttled_time", "nr_bursts", "burst_time")
        self.oom_control = FlatKeys("memory.oom_control", "oom_kill")

    def open(self, path: str) -> V1Container:
        """Raises Gone while the container is being made or taken apart, in some trees here and in others not."""
        return V1Container(self, path)


class V1Container:
    """One container's directories. What files they have is found once; a file that is gone later takes it all away."""

    __slots__ = (
        "_blkio",
        "_cpu",
        "_cpu_times",
        "_cpuacct",
        "_files",
        "_io_bytes",
        "_io_count",
        "_memory",
        "_memory_stat",
        "_node",
        "_pids",
        "_swap",
    )

    def __init__(self, node: V1, path: str) -> None:
        self._node = node
        self._memory = _directory(node, "memory", path)
        self._cpuacct = _directory(node, "cpuacct", path)
        self._cpu = _directory(node, "cpu", path)
        self._pids = _directory(node, "pids", path)
        self._blkio = _directory(node, "blkio", path)
        self._files = _known(frozenset().union(*(d.list() for d in self._directories())))
        self._io_bytes = next((name for name in _IO_BYTES if name in self._files), "")
        self._io_count = next((name for name in _IO_COUNT if name in self._files), "")
        self._memory_stat = File(self._memory, "memory.stat") if self._memory else None
        self._cpu_times = File(self._cpuacct, "cpuacct.stat") if self._cpuacct else None
        self._swap: int | None = None

    def usage(self) -> Usage | None:
        """None when it has no process: not started yet, or over."""
        node = self._node
        threads = read_count(self._pids, "pids.current") if self._pids else None
        if threads == 0:
            return None
        cpu = user = system = None
        if self._cpuacct and self._cpu_times:
            cpu = read_count(self._cpuacct, "cpuacct.usage")
            user, system = node.cpu_times(self._cpu_times.read())
        used = inactive = rss = cache = mapped = faults = major = None
        if self._memory and self._memory_stat:
            used = read_count(self._memory, "memory.usage_in_bytes")
            inactive, rss, cache, mapped, faults, major, self._swap = node.memory_stat(self._memory_stat.read())
        return Usage(
            cpu,
            None if user is None else user * node.tick_ns,
            None if system is None else system * node.tick_ns,
            used,
            None if used is None or inactive is None else max(0, used - inactive),
            rss,
            cache,
            mapped,
            faults,
            major,
            threads,
            parse_io(self._blkio.read(self._io_bytes)) if self._blkio and self._io_bytes else None,
        )

    def detail(self, spec: Spec) -> Detail:
        """What moves rarely. Throttling only where there is a quota, as nothing else can be throttled."""
        pids = self._processes()
        return Detail(
            Throttling(*self._node.cpu_stat.read(self._cpu)) if self._cpu and spec.cpu_quota_usec else None,
            self._swap,
            self._number("memory.max_usage_in_bytes"),
            self._number("memory.failcnt"),
            self._node.oom_control.read(self._memory)[0] if self._memory and self._has("memory.oom_control") else None,
            None if pids is None else self._node.processes.count(pids, 1),
            None if pids is None else self._node.processes.file_descriptors(pids),
            parse_io(self._blkio.read(self._io_count)) if self._blkio and self._io_count else None,
            None,
            None,
            None,
        )

    def spec(self) -> Spec:
        period = quota = shares = None
        if self._cpu:
            shares = read_count(self._cpu, "cpu.shares")
            if self._has("cpu.cfs_quota_us"):
                period, quota = read_count(self._cpu, "cpu.cfs_period_us"), read_count(self._cpu, "cpu.cfs_quota_us")
        return Spec(
            period,
            quota if quota is not None and quota > 0 else None,
            shares,
            self._number("memory.limit_in_bytes"),
            self._number("memory.memsw.limit_in_bytes"),
            self._number("memory.soft_limit_in_bytes"),
        )

    def pids(self) -> list[bytes]:
        return self._processes() or []

    def _processes(self) -> list[bytes] | None:
        return next(iter(self._directories())).read("cgroup.procs").split() if self._has("cgroup.procs") else None

    def _directories(self) -> list[Directory]:
        return [d for d in (self._pids, self._memory, self._cpuacct, self._cpu, self._blkio) if d]

    def _has(self, name: str) -> bool:
        return name in self._files

    def _number(self, name: str) -> int | None:
        return read_count(self._memory, name) if self._memory and name in self._files else None


_file_sets: dict[frozenset[str], frozenset[str]] = {}


def _known(files: frozenset[str]) -> frozenset[str]:
    """The same set for all containers that have the same files: they all do."""
    return _file_sets.setdefault(files, files)


def _directory(node: V1, controller: str, path: str) -> Directory | None:
    """None where the controller is not in use for pods; Gone where the pod is in it and the container is not."""
    tree = node.hierarchy.directories.get(controller)
    if tree is None:
        return None
    whole = f"{node.sysfs / tree}{path}"
    try:
        return Directory(whole)
    except Gone:
        if os.path.exists(os.path.dirname(whole)):
            raise
        return None


def parse_io(buf: bytes) -> Io:
    """Shape: ``259:0 Read 4096`` a line, and at the end ``Total 4096`` over all devices."""
    words = buf.split()
    if len(words) == 2 and words[0] == b"Total":
        return {}
    try:
        if words[-2] == b"Total":
            del words[-2:]
        found = {}
        for i in range(0, len(words), 3):
            device = words[i].decode("ascii")
            if ":" not in device:
                raise ValueError
            found[device, words[i + 1].decode("ascii")] = int(words[i + 2])
        return found
    except (ValueError, IndexError):
        if not words:
            return {}
        raise Malformed("blkio.throttle", "'major:minor operation number' expected", buf) from None
