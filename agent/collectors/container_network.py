"""What each pod's network carried, as cAdvisor tells it: once per pod, in the name of its sandbox.

It is read inside the pod's network namespace through one of its processes. A pod on the node's network is left out:
its devices are the node's, which ``node_network_*`` tells once and nobody should sum. Where no process of a pod can be
found, the kubelet's summary has bytes and errors; it is used only for pods of which the kubelet said that they are not
on the node's network. As in cAdvisor, ``lo``, ``veth*``, ``docker*`` and ``nerdctl*`` are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.collectors.container_columns import Columns
from agent.collectors.container_names import LABELS, Names, sandbox_key
from agent.collectors.devices import label
from agent.errors import Gone
from agent.model import Declared, Family, Key, Writer
from agent.sources.cgroup.hierarchy import Hierarchy
from agent.sources.cgroup.network import first_pid, namespace_of, read_network
from agent.sources.cgroup.processes import Processes
from agent.sources.cgroup.tree import ContainerGroup, PodGroup, Scan
from agent.sources.host import Host

IGNORED: Final = ("lo", "veth", "docker", "nerdctl")
SEARCH_EVERY_S: Final = 10.0  # asking every process of the node whose it is costs 12 us each


def _family(name: str, help: str) -> Family:
    labels = tuple(sorted((*LABELS, "interface")))
    return Family(f"container_network_{name}_total", "counter", f"Cumulative count of {help}", labels)


FAMILIES: Final[tuple[Family, ...]] = (
    _family("receive_bytes", "bytes received"),
    _family("receive_errors", "errors encountered while receiving"),
    _family("transmit_bytes", "bytes transmitted"),
    _family("transmit_errors", "errors encountered while transmitting"),
    _family("receive_packets", "packets received"),
    _family("receive_packets_dropped", "packets dropped while receiving"),
    _family("transmit_packets", "packets transmitted"),
    _family("transmit_packets_dropped", "packets dropped while transmitting"),
)
_Row = tuple[str, tuple[int | None, ...]]
"""A device and its counters in the order of FAMILIES, as many as are known."""


class ContainerNetwork:
    """Gives the eight families of all pods. A pod's process and namespace are remembered while they are the same."""

    families: Final[Declared] = FAMILIES

    def __init__(self, host: Host, columns: Columns, processes: Processes, hierarchy: Hierarchy) -> None:
        self._host = host
        self._columns = columns
        self._processes = processes
        self._tree = hierarchy.main
        self._found: dict[PodGroup, tuple[int, int]] = {}
        self._wait_s: dict[PodGroup, float] = {}

    def give(self, out: Writer, scan: Scan, names: Names) -> None:
        pods = [
            pod for pod in scan.pods if names.on_node_network(pod.uid) is not True and pod.uid not in names.left_out
        ]
        self._find(pods, scan, names)
        node = 0
        with out.optional:
            node = namespace_of(self._host.procfs, self._host.net("dev"))
        columns: list[list[tuple[Key, int]]] = [[] for _ in FAMILIES]
        for pod in pods:
            rows: Sequence[_Row] = ()
            with out.optional:
                rows = self._rows(pod, names, node)
            if not rows:
                continue
            container, path, image, *rest = sandbox_key(pod, names.sandboxes.get(pod.uid), *names.pod(pod.uid))
            for device, counters in rows:
                if device.lower().startswith(IGNORED):
                    continue
                key = (container, path, image, label(device), *rest)
                for column, value in zip(columns, counters, strict=False):
                    if value is not None:
                        column.append((key, value))
        for family, column in zip(FAMILIES, columns, strict=True):
            keys = [key for key, _ in column]
            self._columns.give_listed(out, family, keys, [value for _, value in column])

    def _rows(self, pod: PodGroup, names: Names, node: int) -> Sequence[_Row]:
        pid, known = self._found.get(pod, (0, 0))
        if pid:
            try:
                inode, devices = read_network(self._host.procfs, pid)
            except Gone:
                inode, devices = 0, []
            if inode == node and inode:  # on the node's network, or not moved to its own yet
                self._forget(pod)
                return ()
            if inode and known in (0, inode):
                self._found[pod] = (pid, inode)
                return [
                    (
                        t.device,
                        (
                            t.receive_bytes,
                            t.receive_errs,
                            t.transmit_bytes,
                            t.transmit_errs,
                            t.receive_packets,
                            t.receive_drop,
                            t.transmit_packets,
                            t.transmit_drop,
                        ),
                    )
                    for t in devices
                ]
            self._found.pop(pod, None)  # it ended, and its number may be a stranger's now
        return self._said(pod, names)

    def _said(self, pod: PodGroup, names: Names) -> Sequence[_Row]:
        """What the summary has, of a pod that has a network of its own."""
        stats = names.stats.get(pod.uid)
        if names.on_node_network(pod.uid) is not False or stats is None or stats.network is None:
            return ()
        return [(i.name, (i.rx_bytes, i.rx_errors, i.tx_bytes, i.tx_errors)) for i in stats.network.interfaces]

    def _forget(self, pod: PodGroup) -> None:
        self._found.pop(pod, None)
        self._wait_s[pod] = self._host.calls.monotonic_s() + SEARCH_EVERY_S

    def _find(self, pods: Sequence[PodGroup], scan: Scan, names: Names) -> None:
        """A process for every pod that has none remembered; of pods that had none, not at every collection."""
        self._found = {pod: self._found[pod] for pod in pods if pod in self._found}
        now_s = self._host.calls.monotonic_s()
        self._wait_s = {pod: due_s for pod in pods if (due_s := self._wait_s.get(pod, 0.0)) > now_s}
        lost = {pod.uid: pod for pod in pods if pod not in self._found and pod not in self._wait_s}
        if not lost:
            return
        leaves: dict[str, list[ContainerGroup]] = {}
        for leaf in scan.containers:
            if leaf.pod_uid in lost:
                leaves.setdefault(leaf.pod_uid, []).append(leaf)
        for uid, pid in self._pids(leaves, names).items():
            self._found[lost[uid]] = (pid, 0)
        for pod in lost.values():
            if pod not in self._found:
                self._wait_s[pod] = now_s + SEARCH_EVERY_S

    def _pids(self, leaves: dict[str, list[ContainerGroup]], names: Names) -> dict[str, int]:
        """By pod uid."""
        if not self._processes.numbered_alike:
            owners = {leaf.container_id: uid for uid, group in leaves.items() for leaf in group}
            return {owners[known]: pid for known, pid in self._processes.by_container(set(owners)).items()}
        pids = {}
        for uid, group in leaves.items():
            sandbox = names.sandboxes.get(uid)
            if pid := first_pid(self._host.sysfs, self._tree, sorted(group, key=lambda leaf: leaf is not sandbox)):
                pids[uid] = pid
        return pids
