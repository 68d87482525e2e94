"""``/pods``: the pods that the kubelet runs here, as their specs and their latest status say.

Source: GET /pods, a v1.PodList. Since: Kubernetes 1.0; by ``nodes/pods`` since 1.33. Shape: JSON, 3 kB a pod.
Units: cpu in cores, memory and storage in bytes, times in seconds since the epoch. Errors: Malformed.
Cost: 1.0 ms of the kubelet's CPU at 9 pods, 4.5 ms at 99; here 20 us a pod.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, cast

from agent.sources.kubelet.document import (
    Json,
    field_bool,
    field_int32,
    field_object,
    field_objects,
    field_text,
    field_texts,
    required_text,
)
from agent.sources.kubelet.listing import parse_listing
from agent.sources.kubelet.quantity import field_quantities, parse_quantity
from agent.sources.kubelet.timestamp import field_time

SYSTEM_CRITICAL_PRIORITY: Final = 2_000_000_000
SOURCE: Final = "kubernetes.io/config.source"
HASH: Final = "kubernetes.io/config.hash"

State = Literal["running", "waiting", "terminated", ""]


class ContainerSpec(NamedTuple):
    """What one container asked for. A resource that was not named is absent, which is not 0.

    ``sidecar`` is an init container that is always restarted: it runs, and counts, beside the others.
    """

    name: str
    requests: dict[str, float]
    limits: dict[str, float]
    init: bool
    sidecar: bool = False
    image: str = ""


class ContainerStatus(NamedTuple):
    """How one container is. ``container_id`` is without its runtime's ``containerd://``, empty while there is none.

    ``reason`` is that of the present state (``CrashLoopBackOff``), ``last_reason`` that of the run before it;
    ``runtime`` is what stood before ``://``.
    """

    name: str
    container_id: str
    image: str
    image_id: str
    state: State
    reason: str
    last_reason: str
    last_exit_code: int | None
    restarts: int
    ready: bool
    init: bool
    started_s: float | None
    ephemeral: bool = False
    runtime: str = ""


class VolumeSpec(NamedTuple):
    """One volume. ``kind`` is its source: ``emptyDir``, ``configMap``, ``persistentVolumeClaim``, ...

    ``medium`` and ``size_limit_bytes`` are an emptyDir's: on ``Memory`` it is a tmpfs; a limit that is not set is None.
    """

    name: str
    kind: str
    medium: str = ""
    size_limit_bytes: float | None = None


class Owner(NamedTuple):
    """An object that the pod belongs to: it goes when that goes."""

    kind: str
    name: str
    controller: bool


class Condition(NamedTuple):
    """``status`` is True, False or Unknown, as text."""

    type: str
    status: str
    reason: str


class Pod(NamedTuple):
    """One pod. ``cgroup_uid`` is what its cgroup is named after: for a static pod the hash of its manifest.

    ``critical`` is one that the kubelet never evicts. ``requests`` and ``limits`` are those of the pod as a whole,
    where it has them, besides its containers'. ``message`` says more of ``reason``, for people.
    """

    namespace: str
    name: str
    uid: str
    node: str
    phase: str
    reason: str
    host_network: bool
    priority: int | None
    priority_class: str
    qos: str
    labels: dict[str, str]
    static: bool
    cgroup_uid: str
    created_s: float | None
    started_s: float | None
    containers: tuple[ContainerSpec, ...]
    statuses: tuple[ContainerStatus, ...]
    overhead: dict[str, float]
    critical: bool
    requests: dict[str, float] = {}  # noqa: RUF012  # a default, never changed
    limits: dict[str, float] = {}  # noqa: RUF012
    host_ip: str = ""
    pod_ip: str = ""
    owners: tuple[Owner, ...] = ()
    conditions: tuple[Condition, ...] = ()
    volumes: tuple[VolumeSpec, ...] = ()
    message: str = ""


def parse_pods(buf: bytes) -> tuple[Pod, ...]:
    """Shape: ``{"kind": "PodList", "items": [{"metadata": ..., "spec": ..., "status": ...}]}``."""
    return parse_listing(buf, "pods", "items", _pod)[1]


def _pod(item: Json) -> Pod:
    metadata, spec, status = (field_object(item, part) for part in ("metadata", "spec", "status"))
    annotations = field_texts(metadata, "annotations")
    static = annotations.get(SOURCE, "api") != "api"
    uid, priority = required_text(metadata, "uid"), field_int32(spec, "priority")
    resources = field_object(spec, "resources")
    return Pod(
        namespace=required_text(metadata, "namespace"),
        name=required_text(metadata, "name"),
        uid=uid,
        node=field_text(spec, "nodeName"),
        phase=field_text(status, "phase"),
        reason=field_text(status, "reason"),
        host_network=field_bool(spec, "hostNetwork"),
        priority=priority,
        priority_class=field_text(spec, "priorityClassName"),
        qos=field_text(status, "qosClass"),
        labels=field_texts(metadata, "labels"),
        static=static,
        cgroup_uid=(annotations.get(HASH) or uid) if static else uid,
        created_s=field_time(metadata, "creationTimestamp"),
        started_s=field_time(status, "startTime"),
        containers=tuple(_specs(spec)),
        statuses=tuple(_statuses(status)),
        overhead=field_quantities(spec, "overhead"),
        critical=static or (priority is not None and priority >= SYSTEM_CRITICAL_PRIORITY),
        requests=field_quantities(resources, "requests"),
        limits=field_quantities(resources, "limits"),
        host_ip=field_text(status, "hostIP"),
        pod_ip=field_text(status, "podIP"),
        owners=tuple(_owners(metadata)),
        conditions=tuple(_conditions(status)),
        volumes=tuple(_volumes(spec)),
        message=field_text(status, "message"),
    )


def _volumes(spec: Json) -> Iterator[VolumeSpec]:
    """The source is the one key besides the name: without any the volume is an empty directory."""
    for volume in field_objects(spec, "volumes"):
        name = required_text(volume, "name")
        kind = next((key for key, said in volume.items() if key != "name" and said is not None), "emptyDir")
        source = field_object(volume, kind)
        if kind != "emptyDir":
            yield VolumeSpec(name, kind)
            continue
        limit = field_text(source, "sizeLimit")
        yield VolumeSpec(name, kind, field_text(source, "medium"), parse_quantity(limit) if limit else None)


def _owners(metadata: Json) -> Iterator[Owner]:
    for owner in field_objects(metadata, "ownerReferences"):
        yield Owner(field_text(owner, "kind"), field_text(owner, "name"), field_bool(owner, "controller"))


def _conditions(status: Json) -> Iterator[Condition]:
    for said in field_objects(status, "conditions"):
        yield Condition(field_text(said, "type"), field_text(said, "status"), field_text(said, "reason"))


def _specs(spec: Json) -> Iterator[ContainerSpec]:
    for name in ("initContainers", "containers"):
        init = name == "initContainers"
        for container in field_objects(spec, name):
            resources = field_object(container, "resources")
            yield ContainerSpec(
                name=required_text(container, "name"),
                requests=field_quantities(resources, "requests"),
                limits=field_quantities(resources, "limits"),
                init=init,
                sidecar=init and field_text(container, "restartPolicy") == "Always",
                image=field_text(container, "image"),
            )


def _statuses(status: Json) -> Iterator[ContainerStatus]:
    for name in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for container in field_objects(status, name):
            yield _status(container, init=name.startswith("init"), ephemeral=name.startswith("ephemeral"))


def _status(container: Json, init: bool, ephemeral: bool) -> ContainerStatus:
    states = field_object(container, "state")
    state = next((name for name in ("running", "terminated", "waiting") if states.get(name) is not None), "")
    details = field_object(states, state)
    last = field_object(field_object(container, "lastState"), "terminated")
    runtime, _, container_id = field_text(container, "containerID").rpartition("://")
    return ContainerStatus(
        name=required_text(container, "name"),
        container_id=container_id,
        image=field_text(container, "image"),
        image_id=field_text(container, "imageID"),
        state=cast("State", state),
        reason=field_text(details, "reason"),
        last_reason=field_text(last, "reason"),
        last_exit_code=field_int32(last, "exitCode"),
        restarts=field_int32(container, "restartCount") or 0,
        ready=field_bool(container, "ready"),
        init=init,
        started_s=field_time(details, "startedAt"),
        ephemeral=ephemeral,
        runtime=runtime,
    )
