"""What a pod's network devices carried, seen through one of its processes.

Source: <procfs>/<pid>/net/dev, in the network namespace of that process; no right is needed to read it. Since: 2.6.25.
Errors: Gone when the process is, Malformed. Cost: 25 us and 3 us per device.

Files below ``/proc/<pid>/net`` have inode numbers of their namespace, so the inode says whose network was read: a PID
that was given to a stranger shows, and so does a pod on the node's network. The file is opened for each read: kept
open, it would keep the namespace of a pod alive that is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from agent.errors import SourceError, from_oserror
from agent.sources.cgroup.tree import ContainerGroup
from agent.sources.net_dev import Traffic, parse_net_dev
from agent.sources.root import Root

_CHUNK = 16384


def read_network(procfs: Root, pid: int) -> tuple[int, list[Traffic]]:
    """The inode that stands for the namespace, and its devices."""
    path = procfs / f"{pid}/net/dev"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            inode, parts = os.fstat(fd).st_ino, []
            while part := os.read(fd, _CHUNK):
                parts.append(part)
        finally:
            os.close(fd)
    except OSError as error:
        raise from_oserror(error, path) from None
    return inode, parse_net_dev(b"".join(parts))


def namespace_of(procfs: Root, path: str) -> int:
    """The inode of a net/dev, given relative to procfs; 0 when there is none."""
    try:
        return os.stat(procfs / path).st_ino
    except OSError:
        return 0


def first_pid(sysfs: Root, tree: str, leaves: Iterable[ContainerGroup]) -> int:
    """A process of one of these leaves, as cgroup.procs numbers it; 0 when none can be seen."""
    for leaf in leaves:
        for inner in ("", "/container"):  # where crun puts them
            try:
                pids = sysfs.read_once(f"{tree}{leaf.path}{inner}/cgroup.procs").split(None, 1)
            except SourceError:
                continue
            if pids and pids[0].isdigit() and pids[0] != b"0":
                return int(pids[0])
    return 0
