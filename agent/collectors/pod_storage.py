"""How much of the node's disks pods and their containers use, and how near that is to their own limits.

Only the kubelet knows: it walks the directories. ``used`` belongs to the object: a container's writable layer
(``rootfs``) and logs; a pod's ephemeral storage is these and its volumes on the node's disk. Statistics are taken up
to a minute before the summary; ``headroom_pod_storage_stat_age_seconds`` is the age of the oldest of a kind.

A limit's ratio is the quantity that the kubelet evicts at above 1, whatever room the node has. It is missing without
a limit, and while a number that it needs is missing: 0 would be a claim. Left out: an ``emptyDir``'s size limit; that
it is exceeded is told by ``headroom_eviction_local_storage_limit_exceeded``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from agent.collectors.pod_series import Measured, PodSeries, Rows, current, measured
from agent.collectors.selection import selection_of
from agent.eviction.layout import layout_of
from agent.eviction.limits import container_limits, counted, layers_count
from agent.eviction.resources import EPHEMERAL_STORAGE, pod_limit
from agent.model import Declared, Family, Key, Part, Writer
from agent.sources.host import Host

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import Pod
    from agent.sources.kubelet.summary import ContainerStats, Filesystem, PodStats

_POD: Final = ("namespace", "pod")
_CONTAINER: Final = ("namespace", "pod", "container")

POD_USED = Family(
    "headroom_pod_ephemeral_storage_used_bytes",
    "gauge",
    "What a pod uses of the node's disks: writable layers, logs and volumes.",
    _POD,
)
POD_INODES = Family(
    "headroom_pod_ephemeral_storage_inodes_used", "gauge", "Inodes that a pod uses of the node's disks.", _POD
)
POD_LIMIT = Family(
    "headroom_pod_ephemeral_storage_limit_bytes",
    "gauge",
    "The limit of a pod's ephemeral storage: the sum of its containers' limits.",
    _POD,
)
POD_RATIO = Family(
    "headroom_pod_ephemeral_storage_limit_ratio",
    "gauge",
    "A pod's ephemeral storage as a share of its limit; above 1 the kubelet evicts it.",
    _POD,
)
ROOTFS_USED = Family(
    "headroom_container_rootfs_used_bytes", "gauge", "What a container has written to its own layer.", _CONTAINER
)
ROOTFS_INODES = Family(
    "headroom_container_rootfs_inodes_used", "gauge", "Inodes in a container's own layer.", _CONTAINER
)
LOGS_USED = Family("headroom_container_logs_used_bytes", "gauge", "What a container's logs use.", _CONTAINER)
LOGS_INODES = Family("headroom_container_logs_inodes_used", "gauge", "Inodes of a container's logs.", _CONTAINER)
CONTAINER_RATIO = Family(
    "headroom_container_ephemeral_storage_limit_ratio",
    "gauge",
    "A container's layer and logs (only logs where images have a filesystem of their own) as a share of its "
    "ephemeral storage limit; above 1 the kubelet evicts its pod.",
    _CONTAINER,
)
AGE = Family(
    "headroom_pod_storage_stat_age_seconds",
    "gauge",
    "How old the oldest statistic of a kind is: rootfs, logs or volume.",
    ("kind",),
)


class PodStorage:
    name: Final = "pod_storage"
    part: Final[Part] = "headroom"
    families: Final[Declared] = (
        *(POD_USED, POD_INODES, POD_LIMIT, POD_RATIO),
        *(ROOTFS_USED, ROOTFS_INODES, LOGS_USED, LOGS_INODES, CONTAINER_RATIO, AGE),
    )

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._selection = selection_of(options)
        self._series = PodSeries(self.name, self.families, self._selection)
        self._oldest: dict[Key, float] = {}

    def collect(self, out: Writer) -> None:
        kubelet, calls = self._host.kubelet, self._host.calls
        summary, pods = current(kubelet.summary(), "stats/summary", calls), kubelet.pods()

        def make(rows: Rows) -> None:
            layers = layers_count(layout_of(summary.value.node))
            wanted = measured(summary.value, pods.value if pods else (), self._selection)
            for one in reversed(wanted):  # of two that bear one name, the younger is the one that stays
                rows.pod(one.uid, one.stats.namespace, one.created_s)
                _add(rows, one, layers)
            self._oldest = _oldest(wanted)

        self._series.write(out, (summary, pods), make)
        times = self._oldest
        if times and self._series.reports(AGE):
            now_s = calls.time_s()
            out.many(AGE, tuple(times), [now_s - time_s for time_s in times.values()])


def _oldest(wanted: Iterable[Measured]) -> dict[Key, float]:
    """When the oldest statistic of each kind was taken."""
    times: dict[Key, float] = {}
    for kind, stats in (pair for one in wanted for pair in _statistics(one.stats)):
        if stats is not None and stats.time_s is not None:
            times[(kind,)] = min(stats.time_s, times.get((kind,), stats.time_s))
    return times


def _statistics(pod: PodStats) -> Iterator[tuple[str, Filesystem | None]]:
    for container in pod.containers:
        yield "rootfs", container.rootfs
        yield "logs", container.logs
    for volume in pod.volumes:
        yield "volume", volume.stats


def _add(rows: Rows, one: Measured, layers: bool) -> None:
    stats, pod = one
    name = (stats.namespace, stats.name)
    used = stats.ephemeral_storage
    rows.add(POD_USED, name, used and used.used_bytes)
    rows.add(POD_INODES, name, used and used.inodes_used)
    limit = None if pod is None else _pod_limit(pod)
    rows.add(POD_LIMIT, name, limit)
    rows.add(POD_RATIO, name, _ratio(used and used.used_bytes, limit))
    limits = {} if pod is None else container_limits(pod)
    for container in stats.containers:
        key = (*name, container.name)
        rootfs, logs = container.rootfs, container.logs
        rows.add(ROOTFS_USED, key, rootfs and rootfs.used_bytes)
        rows.add(ROOTFS_INODES, key, rootfs and rootfs.inodes_used)
        rows.add(LOGS_USED, key, logs and logs.used_bytes)
        rows.add(LOGS_INODES, key, logs and logs.inodes_used)
        rows.add(CONTAINER_RATIO, key, _ratio(_counted(container, layers), limits.get(container.name)))


def _counted(container: ContainerStats, layers: bool) -> int | None:
    """What the kubelet holds against a container's limit; None while a part of it is unknown."""
    total = 0
    for part in counted(container, layers):
        if part is None or part.used_bytes is None:
            return None
        total += part.used_bytes
    return total


def _ratio(used: int | None, limit: float | None) -> float | None:
    return None if used is None or limit is None or limit <= 0 else used / limit


def _pod_limit(pod: Pod) -> int | None:
    limit = pod_limit(pod, EPHEMERAL_STORAGE)
    return None if limit is None else ceil(limit)
