"""A container's files on cgroup v2: all controllers in one directory.

Source: <sysfs>/fs/cgroup, admin-guide/cgroup-v2. Since: pressure 4.20 (absent where PSI is switched off), memory.peak
5.19, oom_kill in memory.events 4.13, bursts in cpu.stat 5.14. Units: bytes, microseconds. Errors: Gone when the
container is, Malformed. Cost: 45 us for the six files of ``usage``, 60 us for ``detail``.

crun makes a child ``container`` for the processes, and may set the limits there; counters of the outer one include it.
cpu.weight (1 to 10000) is told as the cpu.shares (2 to 262144) that the kubelet made it of.
"""

from __future__ import annotations

from typing import Final

from agent.errors import Gone, Malformed, Unsupported
from agent.sources.cgroup.directory import Directory, File
from agent.sources.cgroup.flat import FlatKeys, parse_limit, read_count
from agent.sources.cgroup.hierarchy import Hierarchy
from agent.sources.cgroup.processes import Processes
from agent.sources.cgroup.usage import UNLIMITED, Detail, Io, Spec, Throttling, Usage
from agent.sources.pressure import Pressure, parse_pressure
from agent.sources.root import Root

INNER: Final = "container"
_OPERATIONS: Final = {b"rbytes": "Read", b"wbytes": "Write", b"rios": "Read", b"wios": "Write"}
_BYTES: Final = frozenset((b"rbytes", b"wbytes"))
_COUNTS: Final = frozenset((b"rios", b"wios"))


class V2:
    """Reads containers of one node."""

    def __init__(self, sysfs: Root, hierarchy: Hierarchy, processes: Processes) -> None:
        self.base = sysfs / hierarchy.main
        self.processes = processes
        self.memory_stat = FlatKeys(
            "memory.stat", "inactive_file", "anon", "file", "file_mapped", "pgfault", "pgmajfault"
        )
        self.cpu_stat = FlatKeys(
            "cpu.stat",
            "usage_usec",
            "user_usec",
            "system_usec",
            "nr_periods",
            "nr_throttled",
            "throttled_usec",
            "nr_bursts",
            "burst_usec",
        )
        self.events = FlatKeys("memory.events", "oom_kill", "max")

    def open(self, path: str) -> V2Container:
        return V2Container(self, self.base + path)


class V2Container:
    """One container's directory, and crun's inner one. What files it has is found once."""

    __slots__ = ("_events", "_files", "_inner", "_memory_stat", "_node", "_outer", "_stat")

    def __init__(self, node: V2, path: str) -> None:
        self._node = node
        self._outer = Directory(path)
        files = self._outer.list()
        self._inner = Directory(f"{path}/{INNER}") if INNER in files else None
        self._files = _known(frozenset(files - {name for name in files if self._silent(name)}))
        self._memory_stat = File(self._outer, "memory.stat") if "memory.stat" in files else None
        self._stat: list[int | None] = [None] * 8
        self._events: list[int | None] = [None, None]

    def _silent(self, name: str) -> bool:
        """A pressure file that is there but cannot be read: PSI was switched off."""
        if not name.endswith(".pressure") or name.startswith("cgroup"):
            return False
        try:
            self._outer.read(name)
        except (Unsupported, Gone):
            return True
        return False

    def usage(self) -> Usage | None:
        """None when it has no process: not started yet, or over."""
        node, outer, files = self._node, self._outer, self._files
        threads = read_count(outer, "pids.current") if "pids.current" in files else None
        if threads == 0:
            return None
        self._stat = stat = node.cpu_stat.read(outer)
        used = inactive = rss = cache = mapped = faults = major = None
        if "memory.current" in files and self._memory_stat:
            used = read_count(outer, "memory.current")
            inactive, rss, cache, mapped, faults, major = node.memory_stat(self._memory_stat.read())
            self._events = node.events.read(outer)
        return Usage(
            _ns(stat[0]),
            _ns(stat[1]),
            _ns(stat[2]),
            used,
            None if used is None or inactive is None else max(0, used - inactive),
            rss,
            cache,
            mapped,
            faults,
            major,
            threads,
            parse_io(outer.read("io.stat"), _BYTES) if "io.stat" in files else None,
        )

    def detail(self, spec: Spec) -> Detail:
        files, outer = self._files, self._outer
        pids = self.pids()
        kills, hits = self._events
        return Detail(
            self._throttling() if spec.cpu_quota_usec else None,
            read_count(outer, "memory.swap.current") if "memory.swap.current" in files else None,
            read_count(outer, "memory.peak") if "memory.peak" in files else None,
            hits,
            kills,
            self._node.processes.count(pids, 2),
            self._node.processes.file_descriptors(pids),
            parse_io(outer.read("io.stat"), _COUNTS) if "io.stat" in files else None,
            self._pressure("cpu"),
            self._pressure("memory"),
            self._pressure("io"),
        )

    def spec(self) -> Spec:
        """The outer cgroup's limits, and the inner one's where the outer has none."""
        spec = self._spec(self._outer)
        if self._inner is None:
            return spec
        inner = self._spec(self._inner)
        return Spec(*(b if a is None or a >= UNLIMITED else a for a, b in zip(spec, inner, strict=True)))

    def pids(self) -> list[bytes]:
        return (self._inner or self._outer).read("cgroup.procs").split()

    def _spec(self, directory: Directory) -> Spec:
        files, period, quota, shares = self._files, None, None, None
        if "cpu.max" in files:
            words = directory.read("cpu.max").split()
            if len(words) != 2:
                raise Malformed(f"{directory.path}/cpu.max", "a quota and a period expected", b" ".join(words))
            period = parse_limit(words[1], "cpu.max", 0)
            quota = parse_limit(words[0], "cpu.max", 0) or None
        if "cpu.weight" in files:
            shares = 2 + (read_count(directory, "cpu.weight") - 1) * 262142 // 9999
        limits = (
            parse_limit(directory.read(name), name, UNLIMITED) if name in files else None
            for name in ("memory.max", "memory.swap.max", "memory.min")
        )
        return Spec(period, quota, shares, *limits)

    def _throttling(self) -> Throttling:
        periods, throttled, throttled_usec, bursts, burst_usec = self._stat[3:]
        if not periods and self._inner:  # the quota may be the inner one's
            periods, throttled, throttled_usec, bursts, burst_usec = self._node.cpu_stat.read(self._inner)[3:]
        return Throttling(periods, throttled, _ns(throttled_usec), bursts, _ns(burst_usec))

    def _pressure(self, resource: str) -> Pressure | None:
        name = f"{resource}.pressure"
        return parse_pressure(self._outer.read(name), resource) if name in self._files else None


_file_sets: dict[frozenset[str], frozenset[str]] = {}


def _known(files: frozenset[str]) -> frozenset[str]:
    """The same set for all containers that have the same files: they all do."""
    return _file_sets.setdefault(files, files)


def _ns(usec: int | None) -> int | None:
    return None if usec is None else usec * 1000


def parse_io(buf: bytes, wanted: frozenset[bytes]) -> Io:
    """Shape: ``259:0 rbytes=131072 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`` a line; a device may have no counters."""
    found = {}
    for line in buf.splitlines():
        words = line.split()
        try:
            device = words[0].decode("ascii")
            if ":" not in device:
                raise ValueError
            for word in words[1:]:
                name, _, value = word.partition(b"=")
                if name in wanted:
                    found[device, _OPERATIONS[name]] = int(value)
        except (ValueError, IndexError):
            raise Malformed("io.stat", "'major:minor name=number' expected", line) from None
    return found
