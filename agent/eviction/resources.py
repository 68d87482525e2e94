"""What a whole pod asks for and may use, as the kubelet adds up its containers.

All that run together count, or an init container with the sidecars that were started before it, if that is more.
The facts are those of component-helpers/resource (PodRequests, PodLimits) and pkg/api/v1/resource.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import ContainerSpec, Pod

EPHEMERAL_STORAGE: Final = "ephemeral-storage"
INT64_MAX: Final = (1 << 63) - 1
_POD_LEVEL: Final = frozenset({"cpu", "memory"})


def pod_request(pod: Pod, resource: str) -> float:
    """What the kubelet ranks by; 0 where nothing asked.

    A request of the pod as a whole replaces its containers', and then also that for a resource which only containers
    can ask for: a pod with a memory request of its own is ranked as if it had asked for no ephemeral storage.
    """
    if _has_pod_level(pod):
        request = _bounded(pod.requests.get(resource)) if _is_pod_level(resource) else 0
    else:
        request = _together((one, one.requests.get(resource)) for one in pod.containers) or 0
    return _with_overhead(pod, resource, request)


def pod_limit(pod: Pod, resource: str) -> float | None:
    """None where no container has a limit; one with a limit is enough for the pod to have one.

    For ephemeral storage: a limit of the pod as a whole, which that resource cannot have, is not looked at.
    """
    limit = _together((one, one.limits.get(resource)) for one in pod.containers)
    return None if limit is None else _with_overhead(pod, resource, limit)


def int64(value: int | None) -> int:
    """What the kubelet makes of an unsigned statistic: what wrapped below zero once is below zero again."""
    value = value or 0
    return value - (1 << 64) if value >> 63 else value


def _together(named: Iterable[tuple[ContainerSpec, float | None]]) -> float | None:
    """None if no container named the resource. Init containers come in the order in which they are started."""
    running: float = 0
    starting: float = 0
    sidecars: float = 0
    found = False
    for container, given in named:
        found = found or given is not None
        amount = _bounded(given)
        if container.init and not container.sidecar:
            starting = max(starting, sidecars + amount)
            continue
        running += amount
        if container.sidecar:
            sidecars += amount
    return max(running, starting) if found else None


def _with_overhead(pod: Pod, resource: str, amount: float) -> float:
    return amount + _bounded(pod.overhead.get(resource)) if amount else amount


def _bounded(amount: float | None) -> float:
    """A spec may say 1e300."""
    return max(-INT64_MAX, min(amount or 0, INT64_MAX))


def _has_pod_level(pod: Pod) -> bool:
    return any(map(_is_pod_level, pod.requests)) or any(map(_is_pod_level, pod.limits))


def _is_pod_level(resource: str) -> bool:
    return resource in _POD_LEVEL or resource.startswith("hugepages-")
