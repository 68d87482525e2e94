"""The node's mounts by path: on which filesystem a path is, and whether asking there may hang.

Source: mountinfo (``agent.sources.mountinfo``) and the symbolic links below rootfs. Since: 2.6.26. Units: none.
Errors: none; a path on no known mount may hang. Cost: 2 us a look-up, 5 us per component of a path to resolve.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.errors import SourceError
from agent.sources.filesystem import may_hang
from agent.sources.mountinfo import Mount
from agent.sources.root import SYMLINKS_MAX, Root


class MountTable:
    """Paths are the node's. ``rootfs`` is where its root is for us, which our own mount table has before them."""

    def __init__(self, mounts: Sequence[Mount], rootfs: str = "") -> None:
        slow = may_hang(mounts)
        # a later mount covers an earlier one at the same place
        self._mounts = {_as_the_node_sees_it(mount.mount_point, rootfs): mount for mount in mounts}
        self._slow = {_as_the_node_sees_it(point, rootfs) for point in slow}

    def mount_point_of(self, path: str) -> str:
        """The nearest mount point above a path or at it; empty where nothing is known."""
        while path not in self._mounts:
            if path in ("", "/"):
                return ""
            path = path.rpartition("/")[0] or "/"
        return path

    def mount_of(self, path: str) -> Mount | None:
        return self._mounts.get(self.mount_point_of(path))

    def may_hang(self, path: str) -> bool:
        point = self.mount_point_of(path)
        return not point or point in self._slow

    def prompt(self) -> list[str]:
        """One mount point of each filesystem that answers from memory, the shortest."""
        found: dict[tuple[str, str], str] = {}
        for point in sorted(self._mounts, key=lambda point: (len(point), point)):
            mount = self._mounts[point]
            if point not in self._slow:
                found.setdefault((mount.major, mount.minor), point)
        return list(found.values())

    def resolve(self, rootfs: Root, path: str) -> str:
        """A path with its symbolic links followed inside the node's tree, up to where that might hang."""
        done: list[str] = []
        pending, hops = path.split("/"), 0
        while pending:
            name = pending.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                done = done[:-1]
                continue
            here = "/".join(("", *done, name))
            if self.may_hang(here) or hops > SYMLINKS_MAX:
                return "/".join((here, *(part for part in pending if part)))
            try:
                target = rootfs.link(here[1:])
            except SourceError:
                done.append(name)
                continue
            hops += 1
            if target.startswith("/"):
                done = []
            pending[:0] = target.split("/")
        return "/" + "/".join(done)


def _as_the_node_sees_it(path: str, rootfs: str) -> str:
    if rootfs and (path == rootfs or path.startswith(rootfs + "/")):
        return path[len(rootfs) :] or "/"
    return path
