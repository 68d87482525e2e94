"""The processes of a cgroup, and what the node's procfs tells of them: open files and their network.

Source: cgroup.procs; <procfs>/<pid>/fd, proc_pid_fd(5); <procfs>/<pid>/cgroup. Since: the size of ``fd`` is the number
of its entries since 6.2; before that it has to be listed, which needs the owner's rights or CAP_SYS_PTRACE.
Errors: none; what cannot be known is None. Cost: 2 us a process by size, 10 us and more by listing.

A pid in cgroup.procs is numbered in the *reader's* PID namespace: from a pod that has its own, v1 lists nobody and v2
writes 0 for each. Then processes can be counted on v2 only, and a process is found by reading who is in which cgroup.
"""

from __future__ import annotations

import os
import re
from typing import Final

from agent.errors import SourceError
from agent.sources.root import Root

_ID: Final = re.compile(rb"[0-9a-f]{64}(?=(?:\.scope)?(?:/container)?$)", re.MULTILINE)


class Processes:
    """The node's processes as far as we may see them."""

    __slots__ = ("_fd_has_size", "_procfs", "numbered_alike")

    def __init__(self, procfs: Root) -> None:
        self._procfs = procfs
        self.numbered_alike = _numbered_alike(procfs)
        self._fd_has_size = _size(procfs / "self/fd") > 0

    def count(self, pids: list[bytes], version: int) -> int | None:
        return len(pids) if self.numbered_alike or version == 2 else None

    def file_descriptors(self, pids: list[bytes]) -> int | None:
        """How many files they have open together; None when some process did not let us look."""
        if not self.numbered_alike:
            return None
        total: int | None = None
        for pid in pids:
            path = f"{self._procfs.path}/{pid.decode()}/fd"
            try:
                total = (total or 0) + (os.stat(path).st_size if self._fd_has_size else len(os.listdir(path)))
            except OSError:
                if os.path.exists(os.path.dirname(path)):
                    return None
                # else it ended meanwhile; where all seem to have, they are hidden from us
        return total

    def by_container(self, wanted: set[str]) -> dict[str, int]:
        """A process for each of these container ids, found by asking every process. 12 us for each on the node."""
        found: dict[str, int] = {}
        for name in self._procfs.list(""):
            if not name.isdigit():
                continue
            try:
                match = _ID.search(self._procfs.read_once(f"{name}/cgroup"))
            except SourceError:
                continue
            if match and (known := match[0].decode()) in wanted:
                found.setdefault(known, int(name))
        return found


def _numbered_alike(procfs: Root) -> bool:
    """Whether our PIDs are those of this procfs. A recording has no ``self``, and numbers of its own."""
    try:
        return os.readlink(procfs / "self") == str(os.getpid())
    except OSError:
        return not procfs.exists("self")


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
