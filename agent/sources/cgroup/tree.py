"""Which pods and containers there are: directories below the kubelet's ``kubepods``, compared by inode.

Source: the directories of <sysfs>/fs/cgroup; kubelet's pkg/kubelet/cm for pods, the runtimes for containers.
Shape: cgroupfs ``kubepods[/<qos>]/pod<uid>/<leaf>``; systemd ``kubepods.slice[/kubepods-<qos>.slice]/
kubepods[-<qos>]-pod<uid>.slice/<leaf>``, dashes of the uid written ``_``; a cgroup root goes before both, and the
systemd driver puts it into every name. Guaranteed pods have no directory for their class. Leaves: ``<id>``,
``crio-<id>``, ``cri-containerd-<id>.scope``, ``crio-<id>.scope``, ``docker-<id>.scope``; ``crio-conmon-<id>`` is the
runtime's own. A pod's sandbox is a leaf like any other: only the kubelet can tell.

Cost: a stat for each pod and leaf, 3 us. A directory is listed again only when its link count or inode changed, or when
one of its known children is not there any more; so whatever came, went or was made again is seen at the next scan.
Errors: Absent where there are no pods. Threads: one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from agent.errors import Absent, Gone, SourceError
from agent.sources.cgroup.directory import Directory
from agent.sources.cgroup.hierarchy import Hierarchy, read_hierarchy
from agent.sources.host import Host

Qos = Literal["guaranteed", "burstable", "besteffort"]

ID_LENGTH: Final = 64
SEARCH_EVERY_S: Final = 60.0  # a node without a kubelet is not searched at every scrape
_SEARCH_DEPTH: Final = 4
_HEX: Final = frozenset("0123456789abcdef")
_SCOPE, _SLICE = ".scope", ".slice"


class PodGroup(NamedTuple):
    """``path`` is below the controller's root, as cAdvisor's label ``id``. ``inode`` tells one from its successor."""

    uid: str
    qos: Qos
    path: str
    inode: int


class ContainerGroup(NamedTuple):
    """A leaf of a pod: a container or the sandbox. ``born_s`` is the wall clock's when the kernel made it."""

    container_id: str
    pod_uid: str
    path: str
    inode: int
    born_s: float


class Scan(NamedTuple):
    pods: tuple[PodGroup, ...]
    containers: tuple[ContainerGroup, ...]


class _Listing(NamedTuple):
    inode: int
    links: int
    directory: Directory
    names: tuple[str, ...]


def container_id(name: str) -> str:
    """The id in a leaf's name; empty when it is no container. A name may have any bytes: no runtime gives it such."""
    if not name.isprintable() or not name.isascii():
        return ""
    stem = name.removesuffix(_SCOPE)
    head, found = stem[:-ID_LENGTH], stem[-ID_LENGTH:]
    if len(found) < ID_LENGTH or not _HEX.issuperset(found):
        return ""
    return found if not head or (head.endswith("-") and "conmon" not in head) else ""


def pod_uid(name: str, parent: str) -> str:
    """The uid in a pod's directory name below ``parent``'s name, in the spelling of the API; empty when it is none."""
    if not name.isprintable() or not name.isascii():
        return ""
    if name.endswith(_SLICE):
        stem = parent.removesuffix(_SLICE) + "-pod"
        return name[len(stem) : -len(_SLICE)].replace("_", "-") if name.startswith(stem) else ""
    return name[3:] if name.startswith("pod") else ""


def kubepods_of(cgroup_root: str) -> tuple[str, str]:
    """Where the kubelet puts its pods below a cgroup root, by the cgroupfs and by the systemd driver."""
    parts = [part for part in cgroup_root.split("/") if part] + ["kubepods"]
    escaped = [part.replace("-", "_") for part in parts]
    slices = ["-".join(escaped[: i + 1]) + _SLICE for i in range(len(parts))]
    return "/".join(parts), "/".join(slices)


class Tree:
    """Finds pods and containers. Unchanged groups, and an unchanged scan, are the same objects again."""

    def __init__(self, host: Host, cgroup_root: str = "") -> None:
        self._sysfs = host.sysfs
        self._calls = host.calls
        self._cgroup_root = cgroup_root
        self._hierarchy: Hierarchy | None = None
        self._kubepods = ""
        self._searched_s = -SEARCH_EVERY_S
        self._listings: dict[str, _Listing] = {}
        self._pods: dict[str, PodGroup] = {}
        self._containers: dict[str, ContainerGroup] = {}
        self._last = Scan((), ())

    @property
    def hierarchy(self) -> Hierarchy:
        """Raises Absent where no cgroups are mounted."""
        if self._hierarchy is None:
            self._hierarchy = read_hierarchy(self._sysfs)
        return self._hierarchy

    def look_below(self, cgroup_root: str) -> None:
        """Where to look for pods from now on."""
        if cgroup_root.strip("/") != self._cgroup_root.strip("/"):
            self._cgroup_root, self._kubepods = cgroup_root, ""

    def kubepods(self) -> str:
        """The cgroup of all pods, below the controller's root. Raises Absent when there is none. Cost: one stat."""
        return self._find().path

    def scan(self) -> Scan:
        """What there is now. Raises Absent when nothing on this node is a pod's."""
        top = self._find()
        listed, self._listings = self._listings, {}
        pods, containers = [], []
        for pod, found in self._scan_pods(top, listed):
            pods.append(pod)
            for name, leaf in self._entries(f"{top.base}{pod.path}", found, listed):
                if known := container_id(name):
                    containers.append(self._container(known, pod, f"{pod.path}/{name}", leaf))
        self._pods = {pod.path: pod for pod in pods}
        self._containers = {group.path: group for group in containers}
        now = Scan(tuple(pods), tuple(containers))
        if now != self._last:
            self._last = now
        return self._last

    def _scan_pods(self, top: _Top, listed: dict[str, _Listing]) -> Iterator[tuple[PodGroup, os.stat_result]]:
        parent = os.path.basename(top.path)
        below: list[tuple[str, Qos, os.stat_result]] = [(top.path, "guaranteed", top.found)]
        for name, found in self._entries(top.base + top.path, top.found, listed):
            qos = _qos(name, parent)
            if qos:
                below.append((f"{top.path}/{name}", qos, found))
        for directory, qos, found in below:
            for name, pod in self._entries(top.base + directory, found, listed):
                if uid := pod_uid(name, os.path.basename(directory)):
                    yield self._pod(uid, qos, f"{directory}/{name}", pod), pod

    def _pod(self, uid: str, qos: Qos, path: str, found: os.stat_result) -> PodGroup:
        known = self._pods.get(path)
        return known if known and known.inode == found.st_ino else PodGroup(uid, qos, path, found.st_ino)

    def _container(self, known_id: str, pod: PodGroup, path: str, found: os.stat_result) -> ContainerGroup:
        known = self._containers.get(path)
        if known and known.inode == found.st_ino:
            return known
        return ContainerGroup(known_id, pod.uid, path, found.st_ino, found.st_mtime)

    def _entries(
        self, path: str, found: os.stat_result, listed: dict[str, _Listing]
    ) -> list[tuple[str, os.stat_result]]:
        """The directories in a directory, each with its stat. From memory while nothing in it can have changed."""
        listing = listed.get(path)
        # a file system that does not count the links of directories says 1
        if listing and listing.inode == found.st_ino and listing.links == found.st_nlink > 1:
            entries = _stats(listing)
            if len(entries) == len(listing.names):
                self._listings[path] = listing
                return entries
        try:
            directory = Directory(path)
        except Gone:
            return []
        listing = self._listings[path] = _Listing(found.st_ino, found.st_nlink, directory, directory.directories())
        return _stats(listing)

    def _find(self) -> _Top:
        base = self._sysfs / self.hierarchy.main
        usual = [f"/{path}" for path in kubepods_of(self._cgroup_root)]
        for path in [self._kubepods, *usual] if self._kubepods else usual:
            try:
                self._kubepods, found = path, os.stat(base + path)
                return _Top(base, path, found)
            except OSError:
                continue
        self._kubepods = self._search(base)
        if not self._kubepods:
            raise Absent(base, "no kubepods: this node has no pods, or they are below another cgroup root")
        return self._find()

    def _search(self, base: str) -> str:
        """Looks for it further down, when nobody said where: a kubelet in a container has a root of its own."""
        now_s = self._calls.monotonic_s()
        if self._cgroup_root or now_s - self._searched_s < SEARCH_EVERY_S:
            return ""
        self._searched_s = now_s
        level = [""]
        for _ in range(_SEARCH_DEPTH):
            level = [f"{path}/{name}" for path in level for name in _below(base + path)]
            for path in level:
                name = path.rpartition("/")[2].removesuffix(_SLICE)
                if name == "kubepods" or name.endswith("-kubepods"):
                    return path
        return ""


class _Top(NamedTuple):
    """The tree that is scanned, the kubepods in it, and that one's stat."""

    base: str
    path: str
    found: os.stat_result


def _qos(name: str, parent: str) -> Qos | None:
    """The class that a directory of kubepods is for."""
    if name.endswith(_SLICE):
        name = name[: -len(_SLICE)].removeprefix(parent.removesuffix(_SLICE) + "-")
    return "burstable" if name == "burstable" else "besteffort" if name == "besteffort" else None


def _below(path: str) -> tuple[str, ...]:
    """None where it cannot be looked into, for a search goes on."""
    try:
        return Directory(path).directories()
    except SourceError:
        return ()


def _stats(listing: _Listing) -> list[tuple[str, os.stat_result]]:
    """Those that are still there."""
    stat = listing.directory.stat
    return [(name, found) for name in listing.names if (found := stat(name))]
