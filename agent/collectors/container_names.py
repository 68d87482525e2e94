"""Whose a cgroup is: the labels that cAdvisor has, from what the kubelet says.

A container is known by its id in ``/pods``; where that is refused, its pod by the uid in the summary; without a kubelet
there is the container id alone, in ``name`` and ``id``, as in every other case. Until the kubelet has named a new
container it is reported with what is known: its pod is never guessed, and ``container`` stays empty.

The sandbox (pause) is the leaf of a pod that is *not* among the pod's containers. That is only sound when ``/pods`` was
read well after the leaf was made, so a younger one counts as a container not named yet. Without ``/pods`` nothing tells
a sandbox from a container, and it is reported as what it is: one more leaf.

While there is a leaf that ``/pods`` could still tell about, it is asked again; one that no pod owns up to in time stays
without a name, and is not asked about any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent.collectors.selection import Selection
from agent.model import Key
from agent.sources.cgroup.tree import ContainerGroup, PodGroup, Scan
from agent.sources.host import Host
from agent.sources.kubelet.slot import Document

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import ContainerStatus, Pod
    from agent.sources.kubelet.summary import PodStats, Summary

LABELS: Final = ("container", "id", "image", "name", "namespace", "pod")
SETTLED_S: Final = 10.0  # how long the kubelet may take to list a container that was just made


class Names(NamedTuple):
    """``containers`` are the leaves to report, with their labels; ``sandboxes`` lead from a pod's uid to its leaf.

    ``left_out`` are the uids of pods that nobody wants reported.
    """

    containers: dict[ContainerGroup, Key]
    started_s: dict[ContainerGroup, float]
    sandboxes: dict[str, ContainerGroup]
    pods: dict[str, Pod]
    stats: dict[str, PodStats]
    left_out: frozenset[str] = frozenset()

    def pod(self, uid: str) -> tuple[str, str]:
        """Namespace and name; empty while nobody said."""
        said = self.pods.get(uid) or self.stats.get(uid)
        return (said.namespace, said.name) if said else ("", "")

    def on_node_network(self, uid: str) -> bool | None:
        """None while nobody said."""
        said = self.pods.get(uid)
        return said.host_network if said else None


class Naming:
    """Names the leaves of a scan. The same object while neither the scan nor the kubelet's documents changed."""

    def __init__(self, host: Host, selection: Selection) -> None:
        self._kubelet = host.kubelet
        self._selection = selection
        self._seen: tuple[object, ...] = ()
        self._names = Names({}, {}, {}, {}, {})

    def cgroup_root(self) -> str:
        """What the kubelet is configured with; empty for the usual place, and while nobody said."""
        said = self._kubelet.configz()
        return said.value.cgroup_root if said else ""

    def of(self, scan: Scan) -> Names:
        pods, summary = self._kubelet.pods(), self._kubelet.summary()
        seen = (scan, pods, summary)
        if len(self._seen) != len(seen) or any(a is not b for a, b in zip(seen, self._seen, strict=True)):
            self._names = self._name(scan, pods, summary)
            self._seen = seen
        return self._names

    def _name(self, scan: Scan, pods: Document[tuple[Pod, ...]] | None, summary: Document[Summary] | None) -> Names:
        names = Names(
            {},
            {},
            {},
            {pod.cgroup_uid: pod for pod in pods.value} if pods else {},
            {stats.uid: stats for stats in summary.value.pods} if summary else {},
        )
        names = names._replace(left_out=self._unwanted(scan, names))
        statuses = {s.container_id: s for pod in names.pods.values() for s in pod.statuses if s.container_id}
        unnamed = False
        for group in scan.containers:
            status = statuses.get(group.container_id)
            left_out, known = group.pod_uid in names.left_out, group.pod_uid in names.pods
            young = pods is not None and group.born_s + SETTLED_S >= pods.time_s
            unnamed |= young and status is None and not (left_out and known)
            if left_out:
                continue
            if pods and status is None and known and not young:
                names.sandboxes[group.pod_uid] = group
                continue
            key = _key(group, status, *names.pod(group.pod_uid))
            before = self._names.containers.get(group)
            names.containers[group] = before if before == key else key
            if status and status.started_s is not None:
                names.started_s[group] = status.started_s
        self._kubelet.unnamed = unnamed
        return names

    def _unwanted(self, scan: Scan, names: Names) -> frozenset[str]:
        """By what is known of a pod: its namespace and labels, its namespace alone, or nothing."""
        left_out = set()
        for uid in {pod.uid for pod in scan.pods} | {group.pod_uid for group in scan.containers}:
            pod, namespace = names.pods.get(uid), names.pod(uid)[0]
            if not self._selection.wanted(namespace or None, pod.labels if pod else None):
                left_out.add(uid)
        return frozenset(left_out)


def _key(group: ContainerGroup, status: ContainerStatus | None, namespace: str, pod: str) -> Key:
    container, image = (status.name, status.image) if status else ("", "")
    return (container, group.path, image, group.container_id, namespace, pod)


def sandbox_key(pod: PodGroup, sandbox: ContainerGroup | None, namespace: str, name: str) -> Key:
    """The labels of a pod's network: the sandbox's, or the pod's own cgroup while nobody knows which leaf that is.

    The image stays empty: no document of the kubelet says which one the sandbox is made of.
    """
    path, container_id = (sandbox.path, sandbox.container_id) if sandbox else (pod.path, "")
    return ("", path, "", container_id, namespace, name)
