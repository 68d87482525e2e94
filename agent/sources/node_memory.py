"""The memory that the node and its pods use, as the kubelet's cAdvisor counts it: from the cgroups, not from meminfo.

Source: MemTotal of <procfs>/meminfo; at the root of the memory controller, on v1 ``memory.usage_in_bytes`` and
``total_inactive_file`` of ``memory.stat``, on v2, whose root has no ``memory.current``, ``anon`` + ``file`` and
``inactive_file`` of ``memory.stat``; of ``kubepods``, limit, usage and inactive file as of any cgroup.
Since: v2's root is counted so by the kubelet since runc's library 1.1.9 (Kubernetes 1.29); before, usage was MemTotal
less MemFree. Units: bytes. Errors: Absent where nothing is mounted or there are no pods, Gone, Unsupported, Malformed.
Cost: 20 us for the node, and what the kernel takes to sum up many cgroups; 12 us for kubepods. Threads: any for
``node``, one at a time for ``kubepods``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.errors import Malformed, Unsupported
from agent.sources.cgroup.flat import FlatKeys, parse_limit
from agent.sources.cgroup.hierarchy import MOUNT, Hierarchy
from agent.sources.cgroup.tree import Tree
from agent.sources.cgroup.usage import UNLIMITED
from agent.sources.host import Host
from agent.sources.root import Root

KIB: Final = 1024


class NodeMemory(NamedTuple):
    """``total_bytes`` is what the kernel manages, and for the kubelet the node's limit."""

    total_bytes: int
    usage_bytes: int
    inactive_file_bytes: int

    @property
    def working_set_bytes(self) -> int:
        return max(0, self.usage_bytes - self.inactive_file_bytes)


class GroupMemory(NamedTuple):
    """``limit_bytes`` is None where there is none."""

    limit_bytes: int | None
    usage_bytes: int
    inactive_file_bytes: int

    @property
    def working_set_bytes(self) -> int:
        return max(0, self.usage_bytes - self.inactive_file_bytes)


class MemoryFiles:
    """The files of the memory controller, and how this version of the cgroups names what is in them."""

    __slots__ = ("_group", "_limit", "_root", "_sysfs", "_usage", "base", "version")

    def __init__(self, sysfs: Root, hierarchy: Hierarchy) -> None:
        self._sysfs = sysfs
        self.version = hierarchy.version
        self.base = memory_tree(sysfs, hierarchy)
        if self.version == 2:
            self._usage, self._limit = "memory.current", "memory.max"
            self._root = FlatKeys("memory.stat", "inactive_file", "anon", "file")
            self._group = FlatKeys("memory.stat", "inactive_file")
        else:
            self._usage, self._limit = "memory.usage_in_bytes", "memory.limit_in_bytes"
            self._root = self._group = FlatKeys("memory.stat", "total_inactive_file")

    def root(self) -> tuple[int, int]:
        """Usage and inactive file of the whole node."""
        inactive, *charged = self._root(self._sysfs.read(f"{self.base}/memory.stat"))
        if inactive is None or None in charged:
            raise Malformed(self._sysfs / f"{self.base}/memory.stat", "anon, file and inactive_file expected")
        if self.version == 2:
            return sum(part for part in charged if part is not None), inactive
        return self._count("", self._usage), inactive

    def group(self, path: str) -> GroupMemory:
        """A cgroup that stays for long: its files are kept open."""
        name = f"{self.base}{path}/{self._limit}"
        limit = parse_limit(self._sysfs.read(name), name, UNLIMITED)
        usage = self._count(path, self._usage)
        return GroupMemory(limit if limit < UNLIMITED else None, usage, self._inactive(path, keep=True))

    def working_set(self, path: str) -> int:
        """Of a cgroup that comes and goes: nothing of it is kept."""
        name = f"{self.base}{path}/{self._usage}"
        return max(0, _whole(self._sysfs.read_once(name), name) - self._inactive(path, keep=False))

    def _inactive(self, path: str, keep: bool) -> int:
        name = f"{self.base}{path}/memory.stat"
        [inactive] = self._group(self._sysfs.read(name) if keep else self._sysfs.read_once(name))
        if inactive is None:
            raise Malformed(self._sysfs / name, "inactive_file expected")
        return inactive

    def _count(self, path: str, file: str) -> int:
        name = f"{self.base}{path}/{file}"
        return _whole(self._sysfs.read(name), name)


class MemoryReader:
    """Reads the node's memory and that of all its pods, again and again."""

    def __init__(self, host: Host, tree: Tree) -> None:
        self._host = host
        self._tree = tree
        self._files: MemoryFiles | None = None

    def node(self, meminfo: bytes | None = None) -> NodeMemory:
        """``meminfo`` where the caller has just read it."""
        usage, inactive = self._ready().root()
        return NodeMemory(
            parse_total(self._host.procfs.read("meminfo") if meminfo is None else meminfo), usage, inactive
        )

    def kubepods(self) -> GroupMemory:
        """All pods together, and the limit that the kubelet gave them: what is allocatable."""
        return self._ready().group(self._tree.kubepods())

    def _ready(self) -> MemoryFiles:
        if self._files is None:
            self._files = MemoryFiles(self._host.sysfs, self._tree.hierarchy)
        return self._files


def memory_tree(sysfs: Root, hierarchy: Hierarchy) -> str:
    """Where the memory controller is, below sysfs."""
    tree = hierarchy.directories.get("memory" if hierarchy.version == 1 else "")
    if tree is None:
        raise Unsupported(sysfs / MOUNT, "no memory controller is mounted")
    return tree


def parse_total(meminfo: bytes) -> int:
    """MemTotal, which the kernel writes first, in bytes."""
    words = meminfo.split(None, 2)
    try:
        if words[0] != b"MemTotal:":
            raise ValueError
        return int(words[1]) * KIB
    except (ValueError, IndexError):
        raise Malformed("meminfo", "'MemTotal: number kB' expected first", meminfo[:40]) from None


def _whole(buf: bytes, name: str) -> int:
    try:
        return int(buf)
    except ValueError:
        raise Malformed(name, "a whole number expected", buf) from None
