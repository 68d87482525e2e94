"""Which pods the kubelet has evicted since it last told: those that are now Failed for the reason Evicted.

It gives the same reason to a pod that it only refused to admit, also after its own restart; the message tells. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.eviction.journal import Event

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.pods import Pod

REASON: Final = "Evicted"
REJECTED: Final = "Pod was rejected"
RESOURCE: Final = "The node was low on resource: "
RESOURCE_MAX: Final = 64  # who writes a pod's status may write any message


class Evicted(NamedTuple):
    """``resource`` is what the node was low on (``memory``, ``ephemeral-storage``), empty where it is not said."""

    namespace: str
    pod: str
    uid: str
    message: str

    @property
    def rejected(self) -> bool:
        return self.message.startswith(REJECTED)

    @property
    def resource(self) -> str:
        _, found, rest = self.message.partition(RESOURCE)
        return rest.partition(".")[0][:RESOURCE_MAX] if found else ""


def evicted(pods: Iterable[Pod]) -> Iterator[Evicted]:
    for pod in pods:
        if pod.phase == "Failed" and pod.reason == REASON:
            yield Evicted(pod.namespace, pod.name, pod.uid, pod.message)


def events(before: frozenset[str], pods: Iterable[Pod], time_s: float) -> list[Event]:
    """One for each pod that is not among those already known, by uid, to be evicted."""
    return [_event(one, time_s) for one in evicted(pods) if one.uid not in before]


def _event(one: Evicted, time_s: float) -> Event:
    attributes = [("namespace", one.namespace), ("pod", one.pod), ("uid", one.uid)]
    attributes.append(("how", "rejected" if one.rejected else "evicted"))
    if one.resource:
        attributes.append(("resource", one.resource))
    return Event(
        time_s, "eviction", "occurred", f"pod/{one.namespace}/{one.pod}", one.message, attributes=tuple(attributes)
    )
