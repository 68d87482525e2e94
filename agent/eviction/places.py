"""Where nodefs and imagefs are: the filesystems below the kubelet's root directory and below the runtime's images.

The settings say it, or what the kubelet was told (flagz, its command line), or the places where distributions have
them. What is only guessed must agree with the kubelet's summary where there is one: capacity and inodes are a
filesystem's fingerprint. A guess that does not is replaced by the one filesystem that does; else there is none, and the
reason is told: a signal of another filesystem would be worse than no signal. containerfs is where the kubelet has it:
imagefs, or nodefs where it keeps writable layers apart from images.

Nothing is read here: ``look`` and ``ask`` of ``find`` are the ``Locator``'s (``agent.eviction.locator``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.errors import Overdue, SourceError, Unsupported
from agent.sources.calls import FilesystemSpace
from agent.sources.filesystem import Answer
from agent.sources.mount_table import MountTable

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.summary import Filesystem, NodeStats

ROOT_DIRS: Final = ("/var/lib/kubelet", "/var/lib/k0s/kubelet", "/var/snap/microk8s/common/var/lib/kubelet", "/")
# A distribution's own store before the common ones: beside it there may be a runtime for something else.
IMAGE_DIRS: Final = (
    "/var/lib/rancher/k3s/agent/containerd",
    "/var/lib/rancher/rke2/agent/containerd",
    "/var/lib/k0s/containerd",
    "/var/snap/microk8s/common/var/lib/containerd",
    "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs",
    "/var/lib/containerd",
    "/var/lib/containers/storage",
    "/var/lib/docker",
)
_MOVING_INODES: Final = frozenset({"xfs", "zfs", "bcachefs", "overlay"})  # made as needed, as long as there is space
_MOVING_SIZE: Final = frozenset({"zfs"})  # datasets share a pool


class Place(NamedTuple):
    """A directory of the node and what is mounted there. ``how`` says who named it.

    ``device`` (``major:minor``), ``mount_point`` and ``fs_type`` are empty where the mount table could not be read.
    """

    path: str
    device: str
    mount_point: str
    fs_type: str
    how: str

    def text(self) -> str:
        """For people: ``/var/lib/kubelet (flagz, ext4 mounted at /)``."""
        where = f", {self.fs_type} mounted at {self.mount_point}" if self.device else ""
        return f"{self.path} ({self.how}{where})"


class Places(NamedTuple):
    """``dedicated`` is whether images have a filesystem of their own; None where that cannot be told.

    ``errors`` has the reason for what is None, by its name.
    """

    nodefs: Place | None
    imagefs: Place | None
    containerfs: Place | None
    dedicated: bool | None
    errors: dict[str, SourceError]


class Told(NamedTuple):
    """What settings and the kubelet say; empty where they say nothing."""

    root_dir: str = ""
    image_dir: str = ""
    flagz: Mapping[str, str] | None = None
    command_line: Mapping[str, str] = {}

    def root_dirs(self) -> Iterator[tuple[str, str]]:
        yield "--kubelet.root-dir", self.root_dir
        yield "flagz", (self.flagz or {}).get("root-dir", "")
        yield "command line", self.command_line.get("root-dir", "")


Look = Callable[[str], Place]
Ask = Callable[[Iterable[Place]], dict[str, Answer]]


def find(told: Told, table: MountTable, look: Look, ask: Ask, stats: NodeStats | None) -> Places:
    """``look`` makes a place of (path), ``ask`` asks places for their space, ``stats`` are the kubelet's summary's."""
    errors: dict[str, SourceError] = {}
    search = _Search(table, look, ask)
    named = next(((how, path) for how, path in told.root_dirs() if path), None)
    if named:
        nodefs: Place | None = look(named[1])._replace(how=named[0])
    else:
        nodefs = search.guess("nodefs", [look(path) for path in ROOT_DIRS], stats.fs if stats else None, errors)
    if told.image_dir:
        imagefs: Place | None = look(told.image_dir)._replace(how="--runtime.image-dir")
    else:
        guesses = [look(path) for path in IMAGE_DIRS]
        if nodefs is not None:
            guesses.append(nodefs._replace(how="nodefs"))
        imagefs = search.guess("imagefs", guesses, stats.image_fs if stats else None, errors)
    split = stats is not None and _split(stats)
    containerfs = nodefs if split else imagefs
    name = "nodefs" if split else "imagefs"
    if name in errors:
        errors["containerfs"] = errors[name]
    return Places(nodefs, imagefs, containerfs, _dedicated(nodefs, imagefs, stats), errors)


class _Search:
    """Guesses a place, and looks for another filesystem where the kubelet contradicts the guesses."""

    def __init__(self, table: MountTable, look: Look, ask: Ask) -> None:
        self._table = table
        self._look = look
        self._ask = ask

    def guess(
        self, name: str, guesses: list[Place], said: Filesystem | None, errors: dict[str, SourceError]
    ) -> Place | None:
        answers = self._ask(guesses)
        for place in guesses:
            answer = answers[place.path]
            if said is None and isinstance(answer, Overdue):
                return place  # it is there, and hangs: another one would be the wrong one
            if isinstance(answer, FilesystemSpace) and (said is None or matches(answer, said, place.fs_type)):
                return place
        if said is None:
            return guesses[-1]  # none answers: this one is always there, and its error is worth telling
        found = self._all_that_match(said)
        if len(found) == 1:
            return found[0]._replace(how="summary")
        fits = f"{len(found)} filesystems fit" if found else "no filesystem fits"
        setting = "--kubelet.root-dir" if name == "nodefs" else "--runtime.image-dir"
        errors[name] = Unsupported(name, f"{fits} what the kubelet says of it; {setting} can name it")
        return None

    def _all_that_match(self, said: Filesystem) -> list[Place]:
        places = [self._look(point) for point in self._table.prompt()]
        answers = self._ask(places)
        return [
            place
            for place in places
            if isinstance(space := answers[place.path], FilesystemSpace) and matches(space, said, place.fs_type)
        ]


def matches(space: FilesystemSpace, said: Filesystem, fs_type: str) -> bool:
    """Whether it is the filesystem that the kubelet speaks of, by what of it does not change with use."""
    if space.blocks == 0:
        return False
    capacity = space.blocks * space.fragment_bytes
    if fs_type not in _MOVING_SIZE and said.capacity_bytes not in (None, capacity):
        return False
    return said.inodes is None or fs_type in _MOVING_INODES or space.files == said.inodes


def _split(stats: NodeStats) -> bool:
    """Whether writable layers are elsewhere than images: then the kubelet tells two different filesystems."""
    return (
        stats.container_fs is not None
        and stats.image_fs is not None
        and _fingerprint(stats.container_fs) != _fingerprint(stats.image_fs)
    )


def _dedicated(nodefs: Place | None, imagefs: Place | None, stats: NodeStats | None) -> bool | None:
    """Another device. Without a mount table the kubelet's own figures tell, which are then the same or not."""
    if nodefs is not None and imagefs is not None:
        if nodefs.path == imagefs.path:
            return False
        if nodefs.device and imagefs.device:
            return nodefs.device != imagefs.device
    if stats is None or stats.fs is None or stats.image_fs is None:
        return None
    return _fingerprint(stats.fs) != _fingerprint(stats.image_fs)


def _fingerprint(said: Filesystem) -> tuple[int | None, ...]:
    return said.capacity_bytes, said.inodes, said.available_bytes, said.inodes_free
