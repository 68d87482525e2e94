"""In which order the kubelet takes pods when a signal's threshold is met. Pure.

memory, disk and inodes: pods without statistics, then those that use more than they asked for, then the others; among
equals the lower priority first, then who uses most beyond the request. pids: the lower priority, then who has most.
The facts are those of pkg/kubelet/eviction/helpers.go (rankMemoryPressure, rankPIDPressure, rankDiskPressureFunc).

The kubelet's sort is not stable: among pods that it takes for equals anyone may be first. Here it is the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent.eviction.layout import Layout
from agent.eviction.resources import EPHEMERAL_STORAGE, int64, pod_request
from agent.eviction.signals import ALLOCATABLE_MEMORY, MEMORY, PIDS, unit

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import Pod
    from agent.sources.kubelet.summary import Filesystem, PodStats, Summary

TOP: Final = 10
ENDED: Final = frozenset({"Succeeded", "Failed"})
LOCAL_KINDS: Final = frozenset({"hostPath", "gitRepo", "configMap"})

# What of a pod counts for a filesystem's signals. Nobody counts its images.
_COUNTED: Final[dict[Layout, dict[str, frozenset[str]]]] = {
    "single": dict.fromkeys(("nodefs", "imagefs", "containerfs"), frozenset({"rootfs", "logs", "volumes"})),
    "dedicated": {
        "nodefs": frozenset({"logs", "volumes"}),
        "imagefs": frozenset({"rootfs"}),
        "containerfs": frozenset({"rootfs"}),
    },
    "split": {
        "nodefs": frozenset({"rootfs", "logs", "volumes"}),
        "imagefs": frozenset(),
        "containerfs": frozenset({"rootfs", "logs", "volumes"}),
    },
}


class Candidate(NamedTuple):
    """One pod for one signal, in the signal's unit. ``usage`` is None where there are no statistics.

    ``request`` is in bytes for inodes too: the kubelet subtracts it from their number, so whoever asked for ephemeral
    storage goes last. For pids there is none.
    """

    namespace: str
    name: str
    uid: str
    priority: int
    critical: bool
    usage: int | None
    request: float


def rank(signal: str, candidates: Iterable[Candidate], limit: int = TOP) -> list[Candidate]:
    """The first ``limit`` that would go, in their order. A critical pod never goes: the kubelet passes it over."""
    order = _most_processes if signal == PIDS else _most_inodes if unit(signal) == "inodes" else _most_beyond_request
    return sorted((one for one in candidates if not one.critical), key=order)[:limit]


def _most_beyond_request(one: Candidate) -> tuple[Any, ...]:
    if one.usage is None:
        return (0, one.priority, 0, *one[:3])
    return (1 if one.usage > one.request else 2, one.priority, one.request - one.usage, *one[:3])


def _most_inodes(one: Candidate) -> tuple[Any, ...]:
    """Nobody can ask for inodes: who has any has more than asked for."""
    if one.usage is None:
        return (0, one.priority, 0, *one[:3])
    return (1 if one.usage > 0 else 2, one.priority, one.request - one.usage, *one[:3])


def _most_processes(one: Candidate) -> tuple[Any, ...]:
    if one.usage is None:
        return (one.priority, 0, 0, *one[:3])
    return (one.priority, 1, -one.usage, *one[:3])


def active(pods: Iterable[Pod]) -> Iterator[Pod]:
    """Those that the kubelet chooses from: all that did not end, running or not."""
    return (pod for pod in pods if pod.phase not in ENDED)


def candidates_from_summary(signal: str, pods: Iterable[Pod], summary: Summary, layout: Layout) -> list[Candidate]:
    """By the statistics that the kubelet itself will use, up to half a minute old, a volume's up to a minute."""
    statistics = {stats.uid: stats for stats in summary.pods}
    request = _request_for(signal)

    def usage(pod: Pod) -> int | None:
        stats = statistics.get(pod.uid)
        return None if stats is None else _usage(signal, pod, stats, layout)

    return [_candidate(pod, usage(pod), request(pod)) for pod in active(pods)]


def candidates_direct_memory(pods: Iterable[Pod], working_sets: Mapping[str, int]) -> list[Candidate]:
    """By our own reading: working sets in bytes, by the uid in the cgroup's name."""
    request = _request_for(MEMORY)
    return [_candidate(pod, usage, request(pod)) for pod, usage in _fresh(pods, working_sets)]


def candidates_direct_pids(pods: Iterable[Pod], processes: Mapping[str, int]) -> list[Candidate]:
    """By our own reading: numbers of processes, by the uid in the cgroup's name."""
    return [_candidate(pod, usage, 0) for pod, usage in _fresh(pods, processes)]


def _fresh(pods: Iterable[Pod], usages: Mapping[str, int]) -> Iterator[tuple[Pod, int | None]]:
    """The kubelet has no statistics of a pod whose containers all wait, though its sandbox has a cgroup.

    One that ran when the kubelet told, and has no cgroup any more, is gone since then.
    """
    for pod in active(pods):
        if not any(status.state == "running" for status in pod.statuses):
            yield pod, None
        elif pod.cgroup_uid in usages:
            yield pod, usages[pod.cgroup_uid]


def _candidate(pod: Pod, usage: int | None, request: float) -> Candidate:
    return Candidate(pod.namespace, pod.name, pod.uid, pod.priority or 0, pod.critical, usage, request)


def _request_for(signal: str) -> Callable[[Pod], float]:
    if signal == PIDS:
        return lambda pod: 0
    resource = "memory" if signal in (MEMORY, ALLOCATABLE_MEMORY) else EPHEMERAL_STORAGE
    return lambda pod: pod_request(pod, resource)


def _usage(signal: str, pod: Pod, stats: PodStats, layout: Layout) -> int:
    """A number that is missing among statistics counts as 0, as it does in the kubelet."""
    if signal == PIDS:
        return int64(stats.process_count)
    if signal in (MEMORY, ALLOCATABLE_MEMORY):
        return int64(stats.memory and stats.memory.working_set_bytes)
    counted = _COUNTED[layout][signal.partition(".")[0]]
    inodes = unit(signal) == "inodes"
    return sum(int64(fs.inodes_used if inodes else fs.used_bytes) for fs in _parts(pod, stats, counted))


def _parts(pod: Pod, stats: PodStats, counted: frozenset[str]) -> Iterator[Filesystem]:
    for container in stats.containers:
        if "rootfs" in counted and container.rootfs is not None:
            yield container.rootfs
        if "logs" in counted and container.logs is not None:
            yield container.logs
    if "volumes" in counted:
        volumes = {volume.name: volume.stats for volume in reversed(stats.volumes)}
        yield from (volumes[name] for name in _local_volumes(pod) if name in volumes)


def _local_volumes(pod: Pod) -> Iterator[str]:
    """Those on the node's disk, as far as the kubelet counts them: no secrets, and no directory in memory."""
    for volume in pod.volumes:
        if volume.kind in LOCAL_KINDS or (volume.kind == "emptyDir" and not volume.medium):
            yield volume.name
