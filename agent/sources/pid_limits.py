"""How many tasks the node may have, and how many it has: the kubelet's ``rlimit``.

Source: the smaller of <procfs>/sys/kernel/pid_max and threads-max; tasks of <procfs>/loadavg. Since: 2.6.
Units: tasks (threads), of the whole node. Errors: Gone, Malformed; Unsupported where only the reader's own is told.
Cost: three reads, 6 us.

threads-max and loadavg are of the whole node, whoever reads them. But since Linux 6.14 every PID namespace has a
pid_max of its own, 4194304 when it is made, and the kernel answers for the namespace of the *reader*, even through the
node's procfs: a pod with PIDs of its own does not see the node's. There the kubelet is believed, which tells the
smaller of the two; without a kubelet it is not known.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.errors import Malformed, SourceError, Unsupported
from agent.sources.cgroup.processes import Processes
from agent.sources.host import Host
from agent.sources.loadavg import read_task_count
from agent.sources.root import Root

PID_MAX: Final = "sys/kernel/pid_max"
THREADS_MAX: Final = "sys/kernel/threads-max"
PER_NAMESPACE_SINCE: Final = (6, 14)


class PidLimits(NamedTuple):
    """Tasks that there may be, and that there are."""

    max: int
    current: int


class PidReader:
    """Reads them again and again. Whose pid_max we see is found out once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._sees_the_nodes: bool | None = None

    def read(self, said_max: int | None = None) -> PidLimits:
        """``said_max`` is what the kubelet last took for the maximum; only where ours is not the node's."""
        if self._sees_the_nodes is None:
            self._sees_the_nodes = sees_the_nodes_pid_max(self._host)
        procfs = self._host.procfs
        if self._sees_the_nodes:
            most = min(read_limit(procfs, PID_MAX), read_limit(procfs, THREADS_MAX))
        elif said_max is not None:
            most = min(said_max, read_limit(procfs, THREADS_MAX))
        else:
            raise Unsupported(procfs / PID_MAX, "is that of our own PID namespace, and there is no kubelet to ask")
        return PidLimits(most, read_task_count(procfs))


def read_limit(procfs: Root, name: str) -> int:
    buf = procfs.attribute(name)
    try:
        return int(buf)
    except ValueError:
        raise Malformed(procfs / name, "a whole number expected", buf) from None


def sees_the_nodes_pid_max(host: Host) -> bool:
    """Where our PIDs are the node's, and on a kernel that has only one pid_max."""
    if Processes(host.procfs).numbered_alike:
        return True
    try:
        version = host.calls.uname().release.split(".")
        return (int(version[0]), int(version[1].partition("-")[0])) < PER_NAMESPACE_SINCE
    except (SourceError, ValueError, IndexError):
        return False
