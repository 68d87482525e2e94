"""The node as one value: ``Host(procfs, sysfs, rootfs, calls)``. Everything that reads the machine goes through it."""

from __future__ import annotations

from typing import Final

from agent.errors import Denied
from agent.sources.calls import Calls, RecordedCalls, SystemCalls
from agent.sources.kubelet.slot import NO_KUBELET, Kubelet
from agent.sources.root import Root

UDEV_DATA: Final = "/run/udev/data"
OWN_PROCFS: Final = "/proc"


class Host:
    """Where the node's trees are, who answers for its kernel, and what its kubelet last said.

    ``cgroup_root`` is the kubelet's setting of that name, where it is known without asking.
    """

    __slots__ = ("_net", "calls", "cgroup_root", "kubelet", "node_name", "procfs", "rootfs", "sysfs", "udev_data")

    def __init__(
        self,
        procfs: Root,
        sysfs: Root,
        rootfs: Root,
        calls: Calls,
        node_name: str = "",
        udev_data: Root | None = None,
        kubelet: Kubelet = NO_KUBELET,
        cgroup_root: str = "",
    ) -> None:
        self.procfs = procfs
        self.sysfs = sysfs
        self.rootfs = rootfs
        self.calls = calls
        self.node_name = node_name
        self.udev_data = udev_data or Root(UDEV_DATA)
        self.kubelet = kubelet
        self.cgroup_root = cgroup_root
        self._net = _network_of(procfs)

    @classmethod
    def at(
        cls,
        procfs: str,
        sysfs: str,
        rootfs: str,
        recorded_calls: str = "",
        node_name: str = "",
        udev_data: str = UDEV_DATA,
        kubelet: Kubelet = NO_KUBELET,
        cgroup_root: str = "",
    ) -> Host:
        """The node whose trees are mounted there. ``recorded_calls`` is a file that answers in the kernel's place."""
        root = Root(rootfs)
        calls: Calls
        if recorded_calls:
            calls = RecordedCalls.read(recorded_calls, rootfs)
        else:
            calls = SystemCalls(procfs, rootfs, root / root.resolve("etc/localtime"))
        return cls(Root(procfs), Root(sysfs), root, calls, node_name, Root(udev_data), kubelet, cgroup_root)

    def net(self, name: str) -> str:
        """A file of the node's network namespace, relative to procfs.

        ``/proc/net`` is the *reader's*; PID 1 of the host's procfs is in the node's. A recording may lack it. Raises
        Denied where it is hidden from us (hidepid): there is no way to the node's network then.
        """
        if not self._net:
            raise Denied(self.procfs / "1/net", "PID 1 is hidden (hidepid), and net itself is this process's own")
        return f"{self._net}/{name}"

    def close(self) -> None:
        """Let go of every kept descriptor; what is read after that is opened anew."""
        for root in (self.procfs, self.sysfs, self.rootfs, self.udev_data):
            root.close()


def _network_of(procfs: Root) -> str:
    """PID 1's; in our own /proc, where we are at home, ours; the only one of a recording; none where it is hidden."""
    if procfs.exists("1/net"):
        return "1/net"
    is_live = procfs.exists("self")
    return "" if is_live and procfs.path != OWN_PROCFS else "net"
