"""The eviction signals by our own reading: the kubelet's arithmetic on the kernel's files, as fresh as the moment.

``observations`` is that arithmetic, pure. ``Direct`` reads what it takes. A part that cannot be read omits its signals;
nothing is raised for it. A filesystem that hangs is waited for once, for ``PATIENCE_S``, and then not asked again until
it answers. Cost: 60 us for everything, and 300 us once a minute to find the places again; 100 us more for a filesystem
that may hang, and what the kernel takes to sum up many cgroups.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeVar

from agent.errors import SourceError
from agent.eviction import memory
from agent.eviction.locator import Locator
from agent.eviction.places import Place, Places
from agent.eviction.signals import (
    ALLOCATABLE_MEMORY,
    CONTAINERFS,
    CONTAINERFS_INODES,
    IMAGEFS,
    IMAGEFS_INODES,
    MEMORY,
    NODEFS,
    NODEFS_INODES,
    PIDS,
    Observation,
    Observations,
    observe,
)
from agent.sources.calls import FilesystemSpace
from agent.sources.cgroup.pod_usage import PodUsage
from agent.sources.cgroup.tree import Tree
from agent.sources.filesystem import Answer, Spaces
from agent.sources.host import Host
from agent.sources.meminfo import parse_meminfo
from agent.sources.node_memory import GroupMemory, MemoryReader, NodeMemory
from agent.sources.pid_limits import PidLimits, PidReader
from agent.sources.zoneinfo import read_per_cpu_pages

PATIENCE_S: Final = 0.2
T = TypeVar("T")


class Readings(NamedTuple):
    """What was read at one moment; None is what could not be."""

    time_s: float
    node: NodeMemory | None = None
    kubepods: GroupMemory | None = None
    nodefs: FilesystemSpace | None = None
    imagefs: FilesystemSpace | None = None
    containerfs: FilesystemSpace | None = None
    pids: PidLimits | None = None


def observations(readings: Readings) -> Observations:
    """What the kubelet would make of it."""
    return {signal: said for signal, said in _signals(readings) if said is not None}


def _signals(readings: Readings) -> Iterator[tuple[str, Observation | None]]:
    time_s = readings.time_s
    if readings.node is not None:
        yield MEMORY, observe(memory.available(readings.node), readings.node.total_bytes, time_s)
    pods = readings.kubepods
    if pods is not None and pods.limit_bytes is not None:
        yield ALLOCATABLE_MEMORY, observe(pods.limit_bytes - pods.working_set_bytes, pods.limit_bytes, time_s)
    yield from _filesystem(readings.nodefs, NODEFS, NODEFS_INODES, time_s)
    yield from _filesystem(readings.imagefs, IMAGEFS, IMAGEFS_INODES, time_s)
    yield from _filesystem(readings.containerfs, CONTAINERFS, CONTAINERFS_INODES, time_s)
    if readings.pids is not None:
        yield PIDS, observe(readings.pids.max - readings.pids.current, readings.pids.max, time_s)


def _filesystem(
    space: FilesystemSpace | None, available: str, inodes: str, time_s: float
) -> Iterator[tuple[str, Observation | None]]:
    """A filesystem that makes inodes as it needs them (btrfs) says that it has none: no signal."""
    if space is not None:
        size = space.fragment_bytes
        yield available, observe(space.blocks_available * size, space.blocks * size, time_s)
        yield inodes, observe(space.files_free, space.files, time_s)


class Direct:
    """Reads them again and again. ``errors`` are what could not be read at the last ``read``.

    Threads: ``read`` and ``tell`` by one; ``memory_parts``, ``pod_memory`` and ``pod_processes`` by any.
    """

    def __init__(self, host: Host, root_dir: str = "", image_dir: str = "", patience_s: float = PATIENCE_S) -> None:
        self.errors: list[SourceError] = []
        self.tree = Tree(host, host.cgroup_root)
        self._host = host
        self._memory = MemoryReader(host, self.tree)
        self._pids = PidReader(host)
        self._pods = PodUsage(host, host.cgroup_root)
        self._locator = Locator(host, Spaces(host.calls, patience_s), root_dir, image_dir)
        self._places: Places | None = None
        self._cgroup_root = host.cgroup_root

    @property
    def places(self) -> Places | None:
        """Where the filesystems were at the last ``read``."""
        return self._places

    def tell(self, flagz: Mapping[str, str] | None = None, command_line: Mapping[str, str] | None = None) -> None:
        """What the kubelet was started with, for its ``root-dir``."""
        self._locator.tell(flagz, command_line or {})

    def read(self, now_s: float) -> Observations:
        """``now_s`` is the monotonic clock's. The observations have the wall clock's time."""
        return observations(self.readings(now_s))

    def readings(self, now_s: float) -> Readings:
        self.errors = []
        self._follow_cgroup_root()
        places = self._places = self._locator.places(now_s)
        self.errors.extend(error for name, error in places.errors.items() if name != "containerfs")
        time_s = self._host.calls.time_s()
        spaces = self._spaces([place for place in (places.nodefs, places.imagefs) if place is not None])
        return Readings(
            time_s,
            self._part(self._memory.node),
            self._part(self._memory.kubepods),
            _space(places.nodefs, spaces),
            _space(places.imagefs, spaces),
            _space(places.containerfs, spaces),
            self._part(lambda: self._pids.read(self._said_pid_max())),
        )

    def memory_parts(self) -> dict[str, int]:
        """What lies between MemAvailable and memory.available, by its parts; empty where it cannot be told."""
        explanation = self.explain_memory()
        return explanation.parts if explanation else {}

    def explain_memory(self) -> memory.Explanation | None:
        """All from one moment, as near as can be. Reads zoneinfo too, so not for every second."""
        try:
            meminfo = self._host.procfs.read("meminfo")
            node = self._memory.node(meminfo)
            fields = parse_meminfo(meminfo)
        except SourceError:
            return None
        try:
            lists = read_per_cpu_pages(self._host.procfs) * self._host.calls.page_bytes
        except SourceError:
            return memory.explain(fields, node)
        return memory.explain(fields, node, lists)

    def pod_memory(self) -> dict[str, int]:
        """The working set of each pod, by the uid in its cgroup's name. Raises SourceError where there are no pods."""
        return self._pods.memory()

    def pod_processes(self, containers: Collection[str] | None = None) -> dict[str, int]:
        """The processes of each pod, of these containers alone where their ids are given. Raises as ``pod_memory``."""
        return self._pods.processes(containers)

    def _part(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except SourceError as error:
            self.errors.append(error.kept())
            return None

    def _spaces(self, places: Iterable[Place]) -> dict[str, Answer]:
        answers = self._locator.ask(places)
        self.errors.extend(answer for answer in answers.values() if isinstance(answer, SourceError))
        return answers

    def _said_pid_max(self) -> int | None:
        document = self._host.kubelet.summary()
        pids = document.value.node.pids if document else None
        return pids.max if pids else None

    def _follow_cgroup_root(self) -> None:
        """Where the kubelet says that its pods are, unless a setting said it."""
        document = None if self._host.cgroup_root else self._host.kubelet.configz()
        if document and document.value.cgroup_root != self._cgroup_root:
            self._cgroup_root = document.value.cgroup_root
            self.tree.look_below(self._cgroup_root)
            self._pods.look_below(self._cgroup_root)


def _space(place: Place | None, answers: dict[str, Answer]) -> FilesystemSpace | None:
    answer = answers.get(place.path) if place is not None else None
    return answer if isinstance(answer, FilesystemSpace) else None
