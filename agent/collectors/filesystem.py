"""How full the node's filesystems are, in bytes and in files.

Only what is mounted for PID 1 counts. A mount that does not answer is there all the same, with
``node_filesystem_device_error`` 1 and the reason in the label ``device_error``, in node_exporter's words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from agent.collectors.filter import filter_of
from agent.errors import SourceError
from agent.model import Declared, Family, Part, Writer
from agent.sources.calls import FilesystemSpace
from agent.sources.filesystem import Answer, Spaces, may_hang
from agent.sources.host import Host
from agent.sources.mountinfo import Mount, MountInfo, parse_mountinfo, read_mountinfo

LABELS: Final = ("device", "mountpoint", "fstype", "device_error")


def _gauge(name: str, help: str, labels: tuple[str, ...] = LABELS) -> Family:
    return Family(f"node_filesystem_{name}", "gauge", help, labels)


SIZE = _gauge("size_bytes", "Filesystem size in bytes.")
FREE = _gauge("free_bytes", "Filesystem free space in bytes.")
AVAIL = _gauge("avail_bytes", "Filesystem space available to non-root users in bytes.")
FILES = _gauge("files", "Filesystem total file nodes.")
FILES_FREE = _gauge("files_free", "Filesystem total free file nodes.")
PURGEABLE = _gauge("purgeable_bytes", "Filesystem space available including purgeable space (MacOS specific).")
READONLY = _gauge("readonly", "Filesystem read-only status.")
DEVICE_ERROR = _gauge("device_error", "Whether an error occurred while getting statistics for the given device.")
MOUNT_INFO = _gauge("mount_info", "Filesystem mount information.", ("device", "major", "minor", "mountpoint"))


class _Wanted(NamedTuple):
    """A mount that is reported: where it is for the node (as text) and for us, and whether it may hang.

    ``numbers`` are the device numbers of all that is mounted there under this device's name.
    """

    mount: Mount
    mount_point: str
    path: str
    slow: bool
    numbers: tuple[tuple[str, str], ...]


class Filesystem:
    name: Final = "filesystem"
    part: Final[Part] = "node"
    families: Final[Declared] = (SIZE, FREE, AVAIL, FILES, FILES_FREE, PURGEABLE, READONLY, DEVICE_ERROR, MOUNT_INFO)

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._procfs = host.procfs
        self._rootfs = host.rootfs.path
        self._spaces = Spaces(host.calls)
        self._points = filter_of(self.name, options, "mount-points-include", "mount-points-exclude")
        self._types = filter_of(self.name, options, "fs-types-include", "fs-types-exclude")
        self._table = MountInfo(b"", is_own=False)
        self._wanted: list[_Wanted] = []
        self._keys = _Keys([], ())

    def collect(self, out: Writer) -> None:
        table = read_mountinfo(self._procfs)
        if table != self._table:
            mounts = parse_mountinfo(table.buf)
            self._wanted = self._choose([m for m in mounts if self._is_below_root(m)] if table.is_own else mounts)
            self._table = table
        answers = self._ask()
        errors = tuple(_reason(answer) for answer in answers)
        if not self._keys.fit(self._wanted, errors):
            self._keys = _Keys(self._wanted, errors)
        self._keys.write(answers, out)

    def _choose(self, mounts: Sequence[Mount]) -> list[_Wanted]:
        """Each (device, mount point, type) once, and then the later mount: it covers the earlier ones.

        The earlier ones are still mounted below it, and keep their line in ``node_filesystem_mount_info``.
        """
        slow = may_hang(mounts)
        chosen: dict[tuple[str, str, str], _Wanted] = {}
        for mount in mounts:
            point = self._as_the_node_sees_it(mount.mount_point)
            shown = point.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            if self._points.wanted(shown) and self._types.wanted(mount.fs_type):
                key = (mount.device, shown, mount.fs_type)
                numbers = chosen[key].numbers if key in chosen else ()
                numbers = tuple(dict.fromkeys((*numbers, (mount.major, mount.minor))))
                chosen[key] = _Wanted(mount, shown, self._rootfs + point, mount.mount_point in slow, numbers)
        return list(chosen.values())

    def _as_the_node_sees_it(self, path: str) -> str:
        """Where only our own mounts can be read, the node's lie below the mount of its root."""
        if self._rootfs and (path == self._rootfs or path.startswith(self._rootfs + "/")):
            return path[len(self._rootfs) :] or "/"
        return path

    def _is_below_root(self, mount: Mount) -> bool:
        """Of our own mounts, those of the node. The others are a pod's: its /etc/hosts is none of the node's."""
        return f"{mount.mount_point}/".startswith(f"{self._rootfs}/")

    def _ask(self) -> list[Answer]:
        slow = [wanted.path for wanted in self._wanted if wanted.slow]
        answers = self._spaces.ask(slow) if slow else {}
        return [answers[w.path] if w.slow else self._spaces.space(w.path) for w in self._wanted]


class _Keys:
    """The label values of all mounts and of those that answer. The same objects as long as nothing changes."""

    def __init__(self, mounts: list[_Wanted], errors: tuple[str, ...]) -> None:
        self._mounts = mounts
        self._errors = errors
        self._all = tuple(
            (wanted.mount.device, wanted.mount_point, wanted.mount.fs_type, error)
            for wanted, error in zip(mounts, errors, strict=True)
        )
        self._read_only = [int(wanted.mount.read_only) for wanted in mounts]
        self._failed = [int(error != "") for error in errors]
        answering = [key for key, error in zip(self._all, errors, strict=True) if not error]
        self._answering = self._all if len(answering) == len(self._all) else tuple(answering)
        self._devices = tuple(
            (key[0], major, minor, key[1])
            for wanted, key, error in zip(mounts, self._all, errors, strict=True)
            if not error
            for major, minor in wanted.numbers
        )
        self._zeros = (0,) * len(answering)
        self._ones = (1,) * len(self._devices)

    def fit(self, mounts: list[_Wanted], errors: tuple[str, ...]) -> bool:
        return mounts is self._mounts and errors == self._errors

    def write(self, answers: Sequence[Answer], out: Writer) -> None:
        spaces = [answer for answer in answers if isinstance(answer, FilesystemSpace)]
        out.many(DEVICE_ERROR, self._all, self._failed)
        out.many(READONLY, self._all, self._read_only)
        out.many(SIZE, self._answering, [space.blocks * space.fragment_bytes for space in spaces])
        out.many(FREE, self._answering, [space.blocks_free * space.fragment_bytes for space in spaces])
        out.many(AVAIL, self._answering, [space.blocks_available * space.fragment_bytes for space in spaces])
        out.many(FILES, self._answering, [space.files for space in spaces])
        out.many(FILES_FREE, self._answering, [space.files_free for space in spaces])
        out.many(PURGEABLE, self._answering, self._zeros)
        out.many(MOUNT_INFO, self._devices, self._ones)


def _reason(answer: Answer) -> str:
    """Why there is no answer, as Go spells it: the C library's text in lower case, with one exception."""
    if not isinstance(answer, SourceError):
        return ""
    if answer.detail == "Stale file handle":
        return "stale NFS file handle"
    return answer.detail[:1].lower() + answer.detail[1:] or answer.reason
