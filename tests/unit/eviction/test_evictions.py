"""Evicted pods are told from others, and evicted ones from those that were only refused."""

from __future__ import annotations

from typing import Any

from agent.eviction.evictions import RESOURCE_MAX, events, evicted
from agent.eviction.journal import Event
from tests.unit.eviction.pod_documents import item, pods_of

LOW = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. Container c was using 1Gi. "
REJECTED = "Pod was rejected: The node had condition: [DiskPressure]"


def failed(name: str, message: str, reason: str = "Evicted", phase: str = "Failed") -> Any:
    pod = item(name, phase=phase)
    pod["status"] |= {"reason": reason, "message": message}
    return pod


def test_an_evicted_pod_is_an_event() -> None:
    """With the resource that ran out, whose it was, and the kubelet's own words."""
    found = events(frozenset(), pods_of([failed("a", LOW), item("b")]), 12.5)
    whose = (("namespace", "default"), ("pod", "a"), ("uid", "uid-a"))
    attributes = (*whose, ("how", "evicted"), ("resource", "memory"))
    assert found == [Event(12.5, "eviction", "occurred", "pod/default/a", LOW, attributes=attributes)]


def test_a_rejected_pod_is_not_an_evicted_one() -> None:
    """The kubelet gives both the same reason; a pod that it refused at its restart never used anything up."""
    (event,) = events(frozenset(), pods_of([failed("a", REJECTED)]), 0.0)
    assert dict(event.attributes) == {"namespace": "default", "pod": "a", "uid": "uid-a", "how": "rejected"}


def test_only_what_failed_for_this_reason() -> None:
    """Neither another reason nor a pod that still runs."""
    others = [failed("a", LOW, reason="Preempting"), failed("b", LOW, phase="Running"), failed("c", LOW, reason="")]
    assert list(evicted(pods_of(others))) == []


def test_each_is_told_once() -> None:
    """By its uid: one of the same name that comes after it is another pod."""
    pods = pods_of([failed("a", LOW), failed("b", LOW)])
    assert [event.subject for event in events(frozenset({"uid-a"}), pods, 0.0)] == ["pod/default/b"]


def test_a_message_of_any_length_has_a_short_resource() -> None:
    """Whoever may write a pod's status may write anything there."""
    (one,) = evicted(pods_of([failed("a", "The node was low on resource: " + "x" * 5000)]))
    assert one.resource == "x" * RESOURCE_MAX
    (one,) = evicted(pods_of([failed("a", "")]))
    assert (one.resource, one.rejected) == ("", False)
