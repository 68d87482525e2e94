"""A kubelet that has said something: recorded bodies, or literal ones, through the real parsers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from agent.sources.host import Host
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.slot import Document, Kubelet
from agent.sources.kubelet.summary import parse_summary
from tests.kubelet import bodies

Json = dict[str, Any]


def said(pods: Sequence[Json] | None = None, summary: Json | None = None, taken_s: float = 5000.0) -> Kubelet:
    """The items of ``/pods`` and the summary, answered at a monotonic time just before the fake clock's."""
    kubelet = Kubelet()
    tell(kubelet, pods, summary, taken_s)
    return kubelet


def tell(
    kubelet: Kubelet, pods: Sequence[Json] | None = None, summary: Json | None = None, taken_s: float = 5000.0
) -> None:
    """Puts other documents in; None leaves the one that is there."""
    if pods is not None:
        kubelet.put_pods(Document(parse_pods(json.dumps({"items": list(pods)}).encode()), taken_s, 0.0))
    if summary is not None:
        kubelet.put_summary(Document(parse_summary(json.dumps(summary).encode()), taken_s, 0.0))


def recorded(node: str) -> Kubelet:
    """What the kubelet of a recording said."""
    return said(bodies.said(node, "pods")["items"], bodies.said(node, "stats_summary"))


def with_kubelet(make_host: Callable[..., Host], kubelet: Kubelet) -> Host:
    """A machine without files, whose kubelet says this."""
    host = make_host({})
    host.kubelet = kubelet
    return host
