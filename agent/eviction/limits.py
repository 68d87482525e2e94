"""Who is over a local storage limit of its own: whatever room the node has, the kubelet takes such a pod first. Pure.

The facts are those of pkg/kubelet/eviction/eviction_manager.go (localStorageEviction), which looks in this order: an
emptyDir's size limit, the pod's ephemeral storage limit, a container's. All offenders go in one pass. It does not look
at all where ``localStorageCapacityIsolation`` was switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from agent.eviction.layout import Layout
from agent.eviction.ranking import active
from agent.eviction.resources import EPHEMERAL_STORAGE, int64, pod_limit

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import Pod
    from agent.sources.kubelet.summary import ContainerStats, Filesystem, PodStats, Summary

Limit = Literal["emptydirfs.limit", "ephemeralpodfs.limit", "ephemeralcontainerfs.limit"]
EMPTY_DIR: Final = "emptydirfs.limit"
POD: Final = "ephemeralpodfs.limit"
CONTAINER: Final = "ephemeralcontainerfs.limit"


class Offender(NamedTuple):
    """``limit`` is the first that the pod exceeds, by the name that the kubelet counts the eviction under."""

    namespace: str
    pod: str
    limit: Limit


def offenders(pods: Iterable[Pod], summary: Summary, layout: Layout) -> tuple[Offender, ...]:
    """In the order of ``pods``. Not the critical ones, and none without statistics: those the kubelet leaves alone."""
    statistics = {stats.uid: stats for stats in summary.pods}
    found = []
    for pod in active(pods):
        stats = statistics.get(pod.uid)
        exceeded = None if stats is None or pod.critical else _exceeded(pod, stats, layout)
        if exceeded is not None:
            found.append(Offender(pod.namespace, pod.name, exceeded))
    return tuple(found)


def _exceeded(pod: Pod, stats: PodStats, layout: Layout) -> Limit | None:
    if _empty_dir_exceeds(pod, stats):
        return EMPTY_DIR
    if _pod_exceeds(pod, stats):
        return POD
    return CONTAINER if _container_exceeds(pod, stats, layers_count(layout)) else None


def _empty_dir_exceeds(pod: Pod, stats: PodStats) -> bool:
    """On disk or in memory alike."""
    used = {volume.name: int64(volume.stats.used_bytes) for volume in stats.volumes}
    limits = ((volume.name, volume.size_limit_bytes or 0) for volume in pod.volumes)
    return any(used.get(name, 0) > limit > 0 for name, limit in limits)


def _pod_exceeds(pod: Pod, stats: PodStats) -> bool:
    limit = pod_limit(pod, EPHEMERAL_STORAGE)
    used = stats.ephemeral_storage and stats.ephemeral_storage.used_bytes
    return limit is not None and int64(used) > limit


def _container_exceeds(pod: Pod, stats: PodStats, layers: bool) -> bool:
    limits = container_limits(pod)
    return any(
        sum(int64(part.used_bytes) for part in counted(one, layers) if part) > limits[one.name]
        for one in stats.containers
        if one.name in limits
    )


def container_limits(pod: Pod) -> dict[str, float]:
    """By name. A limit of nothing is none, and the kubelet does not look at init containers' and sidecars'."""
    limits = ((one.name, one.limits.get(EPHEMERAL_STORAGE)) for one in pod.containers if not one.init)
    return {name: limit for name, limit in limits if limit}


def layers_count(layout: Layout) -> bool:
    """Whether writable layers count against a container's limit: not where images have another filesystem."""
    return layout == "single"


def counted(container: ContainerStats, layers: bool) -> Iterator[Filesystem | None]:
    """What the kubelet holds against a container's limit. It takes what is unknown for 0."""
    yield container.logs
    if layers:
        yield container.rootfs
