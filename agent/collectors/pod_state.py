"""The state of this node's pods under kube-state-metrics' names, told by the kubelet instead of the API server.

Phase, restarts, why a container waits or ended, what it requests and may use: so that use against request is one
division without a cluster-wide exporter. Opt-in, because beside kube-state-metrics every series would be there twice.

Names, labels, HELP and values are those of kube-state-metrics 2.20. Left out: pods that no node has yet. A static pod's
``uid`` is the kubelet's own, not that of its mirror in the API, and it has no time of creation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent.collectors.pod_series import PodSeries, Rows, current
from agent.collectors.selection import by_age, selection_of
from agent.model import Declared, Family, Key, Part, Type, Value, Writer
from agent.sources.host import Host

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import ContainerSpec, ContainerStatus, Pod

PHASES: Final = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
QOS_CLASSES: Final = ("BestEffort", "Burstable", "Guaranteed")
INT64_MAX: Final = (1 << 63) - 1

CONDITION_STATUSES: Final = ("True", "False", "Unknown")
STATUS_REASONS: Final = (
    *("Evicted", "NodeAffinity", "NodeLost", "PreemptionByScheduler", "SchedulingGated", "Shutdown"),
    *("TerminationByKubelet", "UnexpectedAdmissionError"),
)

_POD: Final = ("namespace", "pod", "uid")
_CONTAINER: Final = (*_POD, "container")
_IMAGE: Final = ("image_spec", "image", "image_id", "container_id")
_PRECISE: Final = " It is recommended to use the {} metric exposed by kube-scheduler instead, as it is more precise."

INFO = Family(
    "kube_pod_info",
    "gauge",
    "[STABLE] Information about pod.",
    (*_POD, "host_ip", "pod_ip", "node", "created_by_kind", "created_by_name", "priority_class", "host_network"),
)
CREATED = Family("kube_pod_created", "gauge", "[STABLE] Unix creation timestamp", _POD)
STARTED = Family("kube_pod_start_time", "gauge", "[STABLE] Start time in unix timestamp for a pod.", _POD)
PHASE = Family("kube_pod_status_phase", "gauge", "[STABLE] The pods current phase.", (*_POD, "phase"))
READY = Family(
    "kube_pod_status_ready",
    "gauge",
    "[STABLE] Describes whether the pod is ready to serve requests.",
    (*_POD, "condition"),
)
REASON = Family("kube_pod_status_reason", "gauge", "The pod status reasons", (*_POD, "reason"))
OWNER = Family(
    "kube_pod_owner",
    "gauge",
    "[STABLE] Information about the Pod's owner.",
    (*_POD, "owner_kind", "owner_name", "owner_is_controller"),
)
QOS = Family("kube_pod_status_qos_class", "gauge", "The pods current qosClass.", (*_POD, "qos_class"))
CONTAINER_INFO = Family(
    "kube_pod_container_info",
    "gauge",
    "[STABLE] Information about a container in a pod.",
    (*_CONTAINER, *_IMAGE),
)


class Pair(NamedTuple):
    """A family of containers, and that of init containers, which has its own name and words."""

    main: Family
    init: Family

    def of(self, container: ContainerSpec | ContainerStatus) -> Family:
        return self.init if container.init else self.main


class Figure(NamedTuple):
    """What is said of a container's status: the value, and the reason where that is a label. None: no series."""

    families: Pair
    value: Callable[[ContainerStatus], Value | None]
    reason: Callable[[ContainerStatus], str] | None = None


def _pair(name: str, help: str, init_help: str, labels: tuple[str, ...] = (), type: Type = "gauge") -> Pair:
    keys = (*_CONTAINER, *labels)
    return Pair(
        Family(f"kube_pod_container_{name}", type, help, keys),
        Family(f"kube_pod_init_container_{name}", type, init_help, keys),
    )


def _state(state: str) -> Pair:
    help = f"[STABLE] Describes whether the {{}} is currently in {state} state."
    return _pair(f"status_{state}", help.format("container"), help.format("init container"))


def _reason(name: str, help: str, stable: bool = False) -> Pair:
    main, init = help.format("container"), help.format("init container")
    return _pair(f"status_{name}_reason", f"[STABLE] {main}" if stable else main, init, ("reason",))


_PRESENT: Final = "Describes the reason the {{}} is currently in {} state."
FIGURES: Final = (
    Figure(
        _pair(
            "status_ready",
            "[STABLE] Describes whether the containers readiness check succeeded.",
            "[STABLE] Describes whether the init containers readiness check succeeded.",
        ),
        lambda status: int(status.ready),
    ),
    Figure(_state("running"), lambda status: int(status.state == "running")),
    Figure(_state("waiting"), lambda status: int(status.state == "waiting")),
    Figure(
        _reason("waiting", _PRESENT.format("waiting"), stable=True),
        lambda status: 1 if status.state == "waiting" else None,
        lambda status: status.reason,
    ),
    Figure(_state("terminated"), lambda status: int(status.state == "terminated")),
    Figure(
        _reason("terminated", _PRESENT.format("terminated")),
        lambda status: 1 if status.state == "terminated" else None,
        lambda status: status.reason,
    ),
    Figure(
        _reason("last_terminated", "Describes the last reason the {} was in terminated state."),
        lambda status: None if status.last_exit_code is None else 1,
        lambda status: status.last_reason,
    ),
    Figure(
        _pair(
            "status_last_terminated_exitcode",
            "Describes the exit code for the last container in terminated state.",
            "Describes the exit code for the last init container in terminated state.",
        ),
        lambda status: status.last_exit_code,
    ),
    Figure(
        _pair(
            "status_restarts_total",
            "[STABLE] The number of container restarts per container.",
            "[STABLE] The number of restarts for the init container.",
            type="counter",
        ),
        lambda status: status.restarts,
    ),
)
_RESOURCE: Final = ("node", "resource", "unit")
REQUESTS = _pair(
    "resource_requests",
    "[STABLE] The number of requested request resource by a container." + _PRECISE.format("kube_pod_resource_requests"),
    "The number of requested request resource by an init container.",
    _RESOURCE,
)
LIMITS = _pair(
    "resource_limits",
    "[STABLE] The number of requested limit resource by a container." + _PRECISE.format("kube_pod_resource_limits"),
    "The number of requested limit resource by an init container.",
    _RESOURCE,
)


class PodState:
    name: Final = "pod_state"
    part: Final[Part] = "headroom"
    families: Final[Declared] = (
        *(INFO, OWNER, CREATED, STARTED, PHASE, REASON, READY, QOS, CONTAINER_INFO),
        *(family for figure in FIGURES for family in figure.families),
        *(*REQUESTS, *LIMITS),
    )

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._selection = selection_of(options)
        self._series = PodSeries(self.name, self.families, self._selection)

    def collect(self, out: Writer) -> None:
        pods = current(self._host.kubelet.pods(), "pods", self._host.calls)

        def make(rows: Rows) -> None:
            for pod in sorted(pods.value, key=lambda pod: by_age(pod.created_s, pod.uid)):
                if self._selection.wanted(pod.namespace, pod.labels):
                    rows.pod(pod.cgroup_uid, pod.namespace, pod.created_s)
                    _add(rows, pod)

        self._series.write(out, (pods,), make)


def _add(rows: Rows, pod: Pod) -> None:
    name = (pod.namespace, pod.name, pod.uid)
    _add_origin(rows, name, pod)
    _add_status(rows, name, pod)
    specs = {(spec.name, spec.init): spec for spec in pod.containers}
    for status in pod.statuses:
        spec = specs.get((status.name, status.init))
        if not status.ephemeral:
            _add_container(rows, (*name, status.name), status, spec)
    for spec in pod.containers:
        _add_resources(rows, REQUESTS.of(spec), (*name, spec.name, pod.node), spec.requests)
        _add_resources(rows, LIMITS.of(spec), (*name, spec.name, pod.node), spec.limits)


def _add_origin(rows: Rows, name: Key, pod: Pod) -> None:
    controllers = ((owner.kind, owner.name) for owner in pod.owners if owner.controller)
    created_by, network = next(controllers, ("", "")), _word(pod.host_network)
    rows.add(INFO, (*name, pod.host_ip, pod.pod_ip, pod.node, *created_by, pod.priority_class, network), 1)
    for owner in pod.owners:
        rows.add(OWNER, (*name, owner.kind, owner.name, _word(owner.controller)), 1)
    if not pod.owners:
        rows.add(OWNER, (*name, "", "", ""), 1)
    rows.add(CREATED, name, None if pod.created_s is None else int(pod.created_s))
    rows.add(STARTED, name, None if pod.started_s is None else int(pod.started_s))


def _add_status(rows: Rows, name: Key, pod: Pod) -> None:
    if pod.phase:
        for phase in PHASES:
            rows.add(PHASE, (*name, phase), int(phase == pod.phase))
    if pod.qos:
        for qos in QOS_CLASSES:
            rows.add(QOS, (*name, qos), int(qos == pod.qos))
    for condition in pod.conditions:
        if condition.type == "Ready":
            for status in CONDITION_STATUSES:
                rows.add(READY, (*name, status.lower()), int(status == condition.status))
    for reason in _reasons(pod):
        rows.add(REASON, (*name, reason), 1)


def _reasons(pod: Pod) -> Iterator[str]:
    """The known reasons wherever the pod's status has them; another is only counted where it is the pod's own."""
    found = {pod.reason, *(condition.reason for condition in pod.conditions)}
    found.update(s.reason for s in pod.statuses if s.state == "terminated" and not s.init and not s.ephemeral)
    yield from (reason for reason in STATUS_REASONS if reason in found)
    if pod.reason and pod.reason not in STATUS_REASONS:
        yield "Other"


def _add_container(rows: Rows, key: Key, status: ContainerStatus, spec: ContainerSpec | None) -> None:
    if spec is not None and not status.init:
        container_id = f"{status.runtime}://{status.container_id}" if status.container_id else ""
        rows.add(CONTAINER_INFO, (*key, spec.image, status.image, status.image_id, container_id), 1)
    for families, value, reason in FIGURES:
        labels = key if reason is None else (*key, reason(status))
        rows.add(families.of(status), labels, value(status))


def _word(truth: bool) -> str:
    return "true" if truth else "false"


def _add_resources(rows: Rows, family: Family, key: Key, quantities: Mapping[str, float]) -> None:
    for name, quantity in sorted(quantities.items()):
        unit = _unit(name)
        if unit:
            sane = min(quantity, INT64_MAX)  # as in Kubernetes' own arithmetic; a spec may say 1e300
            value = ceil(round(sane * 1000, 6)) / 1000 if unit == "core" else ceil(sane)
            rows.add(family, (*key, re.sub("[^a-zA-Z0-9_]", "_", name), unit), value)


def _unit(resource: str) -> str:
    """kube-state-metrics' unit of a resource; nothing for one that it does not report."""
    if resource == "cpu":
        return "core"
    if resource in ("memory", "storage", "ephemeral-storage"):
        return "byte"
    if resource.startswith(("hugepages-", "attachable-volumes-")):
        return "byte"
    extended = "/" in resource and "kubernetes.io/" not in resource and not resource.startswith("requests.")
    return "integer" if extended else ""
