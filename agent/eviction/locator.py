"""Finds nodefs and imagefs on this node, and again when something may have changed: a thin shell around ``places``.

They are looked at again every minute, when the mount table changed (it is compared every 10 s, as to read it costs 2 us
a mount) and when the kubelet first tells. Nothing here waits for a filesystem longer than ``Spaces`` does.
Cost: 300 us to find them; else nothing. Threads: one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from agent.errors import SourceError
from agent.eviction.places import Place, Places, Told, find
from agent.sources.filesystem import Answer, Spaces
from agent.sources.host import Host
from agent.sources.mount_table import MountTable
from agent.sources.mountinfo import parse_mountinfo, read_mountinfo

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.summary import NodeStats

VALID_S: Final = 60.0
TABLE_S: Final = 10.0


class Locator:
    """``spaces`` waits for filesystems that may hang, and remembers which do."""

    def __init__(self, host: Host, spaces: Spaces, root_dir: str = "", image_dir: str = "") -> None:
        self._host = host
        self._spaces = spaces
        self._told = Told(root_dir, image_dir)
        self._bytes: bytes | None = None
        self._table = MountTable(())
        self._table_due_s = self._due_s = float("-inf")
        self._had_stats = False
        self._places = Places(None, None, None, None, {})

    def tell(self, flagz: Mapping[str, str] | None, command_line: Mapping[str, str]) -> None:
        """What the kubelet was started with, as far as it is known now."""
        told = self._told._replace(flagz=flagz, command_line=command_line)
        if list(told.root_dirs()) != list(self._told.root_dirs()):
            self._due_s = float("-inf")
        self._told = told

    def places(self, now_s: float) -> Places:
        """The same object as long as nothing was looked at again."""
        stats = self._stats()
        changed = self._read_table(now_s) if now_s >= self._table_due_s else False
        if changed or now_s >= self._due_s or (stats is not None) != self._had_stats:
            self._due_s = now_s + VALID_S
            self._had_stats = stats is not None
            self._places = find(self._told, self._table, self._look, self.ask, stats)
        return self._places

    def ask(self, places: Iterable[Place]) -> dict[str, Answer]:
        """The space of each, by path. Those that may hang are asked together, and only as long as they are patient."""
        rootfs = self._host.rootfs.path
        paths = {place.path: f"{rootfs}{place.path}" for place in places}
        slow = [ours for path, ours in paths.items() if self._table.may_hang(path)]
        answers = self._spaces.ask(slow) if slow else {}
        return {path: answers[ours] if ours in answers else self._spaces.space(ours) for path, ours in paths.items()}

    def _look(self, path: str) -> Place:
        path = self._table.resolve(self._host.rootfs, path)
        mount = self._table.mount_of(path)
        if mount is None:
            return Place(path, "", "", "", "its usual place")
        device = f"{mount.major}:{mount.minor}"
        return Place(path, device, self._table.mount_point_of(path), mount.fs_type, "its usual place")

    def _read_table(self, now_s: float) -> bool:
        """Whether it is another one than before. One that cannot be read is empty: then everything may hang."""
        self._table_due_s = now_s + TABLE_S
        try:
            buf = read_mountinfo(self._host.procfs).buf
            mounts = parse_mountinfo(buf) if buf != self._bytes else None
        except SourceError:
            buf, mounts = b"", []
        if buf == self._bytes or mounts is None:
            return False
        self._bytes, self._table = buf, MountTable(mounts, self._host.rootfs.path)
        return True

    def _stats(self) -> NodeStats | None:
        document = self._host.kubelet.summary()
        return document.value.node if document else None
