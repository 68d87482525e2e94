"""``/stats/summary``: what the kubelet itself decides evictions by, and the storage that only it knows.

Source: GET /stats/summary by ``nodes/stats``, stats/v1alpha1. Since: Kubernetes 1.3. Shape: JSON, 4 kB a pod.
Units: bytes, inodes, seconds since the epoch with a resolution of one second. Errors: Malformed.
Every number is optional: None is what was not said, never 0. The times are those of the statistics, up to 27 s (a
volume's: a minute) before the answer. Pods without a running container are not in it.
Cost: 18.5 ms of the kubelet's CPU and 23.3 ms of containerd's at 99 pods: the dearest of the three.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.sources.kubelet.document import (
    Json,
    field_object,
    field_objects,
    field_text,
    field_uint,
    required_text,
)
from agent.sources.kubelet.listing import parse_listing
from agent.sources.kubelet.timestamp import field_time


class Filesystem(NamedTuple):
    """Available and capacity are of the whole filesystem; used is what belongs to the object."""

    time_s: float | None
    available_bytes: int | None
    capacity_bytes: int | None
    used_bytes: int | None
    inodes_free: int | None
    inodes: int | None
    inodes_used: int | None


class MemoryStats(NamedTuple):
    """``available_bytes`` is the limit less the working set, absent without a limit (some runtimes say 0 instead)."""

    time_s: float | None
    available_bytes: int | None
    usage_bytes: int | None
    working_set_bytes: int | None
    rss_bytes: int | None
    page_faults: int | None
    major_page_faults: int | None


class Interface(NamedTuple):
    """One device of a network namespace, counted since the device was made."""

    name: str
    rx_bytes: int | None
    rx_errors: int | None
    tx_bytes: int | None
    tx_errors: int | None


class NetworkStats(NamedTuple):
    """For a pod on the host's network these are the node's own devices."""

    time_s: float | None
    interfaces: tuple[Interface, ...]


class Volume(NamedTuple):
    """One mounted volume; ``pvc`` is (namespace, name) of its claim."""

    name: str
    pvc: tuple[str, str] | None
    stats: Filesystem


class ContainerStats(NamedTuple):
    """One running container."""

    name: str
    started_s: float | None
    memory: MemoryStats | None
    rootfs: Filesystem | None
    logs: Filesystem | None


class PodStats(NamedTuple):
    """One pod with a running container. ``started_s`` is when its sandbox was made."""

    namespace: str
    name: str
    uid: str
    started_s: float | None
    containers: tuple[ContainerStats, ...]
    memory: MemoryStats | None
    network: NetworkStats | None
    volumes: tuple[Volume, ...]
    ephemeral_storage: Filesystem | None
    process_count: int | None


class SystemContainer(NamedTuple):
    """A cgroup of the system: ``pods``, ``kubelet``, ``runtime`` or ``misc``."""

    name: str
    started_s: float | None
    memory: MemoryStats | None


class Pids(NamedTuple):
    """Tasks of the whole node."""

    time_s: float | None
    max: int | None
    current: int | None


class NodeStats(NamedTuple):
    """The node. ``fs`` holds the kubelet's own directory, ``image_fs`` the images, ``container_fs`` writable layers."""

    name: str
    started_s: float | None
    memory: MemoryStats | None
    network: NetworkStats | None
    fs: Filesystem | None
    image_fs: Filesystem | None
    container_fs: Filesystem | None
    pids: Pids | None
    system_containers: tuple[SystemContainer, ...]


class Summary(NamedTuple):
    """The whole answer."""

    node: NodeStats
    pods: tuple[PodStats, ...]


def parse_summary(buf: bytes) -> Summary:
    """Shape: ``{"node": {...}, "pods": [...]}``."""
    document, pods = parse_listing(buf, "stats/summary", "pods", _pod)
    return Summary(_node(field_object(document, "node")), pods)


def _node(said: Json) -> NodeStats:
    runtime = field_object(said, "runtime")
    return NodeStats(
        name=field_text(said, "nodeName"),
        started_s=field_time(said, "startTime"),
        memory=_memory(said),
        network=_network(said),
        fs=_filesystem(said, "fs"),
        image_fs=_filesystem(runtime, "imageFs"),
        container_fs=_filesystem(runtime, "containerFs"),
        pids=_pids(said),
        system_containers=tuple(_system(one) for one in field_objects(said, "systemContainers")),
    )


def _system(said: Json) -> SystemContainer:
    return SystemContainer(required_text(said, "name"), field_time(said, "startTime"), _memory(said))


def _pids(said: Json) -> Pids | None:
    given = field_object(said, "rlimit")
    if not given:
        return None
    return Pids(field_time(given, "time"), field_uint(given, "maxpid"), field_uint(given, "curproc"))


def _pod(said: Json) -> PodStats:
    reference = field_object(said, "podRef")
    return PodStats(
        namespace=required_text(reference, "namespace"),
        name=required_text(reference, "name"),
        uid=required_text(reference, "uid"),
        started_s=field_time(said, "startTime"),
        containers=tuple(_container(one) for one in field_objects(said, "containers")),
        memory=_memory(said),
        network=_network(said),
        volumes=tuple(_volume(one) for one in field_objects(said, "volume")),
        ephemeral_storage=_filesystem(said, "ephemeral-storage"),
        process_count=field_uint(field_object(said, "process_stats"), "process_count"),
    )


def _container(said: Json) -> ContainerStats:
    return ContainerStats(
        name=required_text(said, "name"),
        started_s=field_time(said, "startTime"),
        memory=_memory(said),
        rootfs=_filesystem(said, "rootfs"),
        logs=_filesystem(said, "logs"),
    )


def _volume(said: Json) -> Volume:
    claim = field_object(said, "pvcRef")
    pvc = (required_text(claim, "namespace"), required_text(claim, "name")) if claim else None
    return Volume(required_text(said, "name"), pvc, _space(said))


def _filesystem(owner: Json, name: str) -> Filesystem | None:
    given = field_object(owner, name)
    return _space(given) if given else None


def _space(given: Json) -> Filesystem:
    return Filesystem(
        field_time(given, "time"),
        field_uint(given, "availableBytes"),
        field_uint(given, "capacityBytes"),
        field_uint(given, "usedBytes"),
        field_uint(given, "inodesFree"),
        field_uint(given, "inodes"),
        field_uint(given, "inodesUsed"),
    )


def _memory(owner: Json) -> MemoryStats | None:
    given = field_object(owner, "memory")
    if not given:
        return None
    return MemoryStats(
        field_time(given, "time"),
        field_uint(given, "availableBytes"),
        field_uint(given, "usageBytes"),
        field_uint(given, "workingSetBytes"),
        field_uint(given, "rssBytes"),
        field_uint(given, "pageFaults"),
        field_uint(given, "majorPageFaults"),
    )


def _network(owner: Json) -> NetworkStats | None:
    """The list of devices; ``name`` beside it repeats one of them, and is all that an old kubelet gives."""
    given = field_object(owner, "network")
    if not given:
        return None
    devices = field_objects(given, "interfaces") or ([given] if field_text(given, "name") else [])
    return NetworkStats(field_time(given, "time"), tuple(_interface(one) for one in devices))


def _interface(said: Json) -> Interface:
    return Interface(
        required_text(said, "name"),
        field_uint(said, "rxBytes"),
        field_uint(said, "rxErrors"),
        field_uint(said, "txBytes"),
        field_uint(said, "txErrors"),
    )
