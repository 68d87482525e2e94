"""What collectors see of the kubelet."""

from __future__ import annotations

from collections.abc import Callable

from agent.sources.host import Host
from agent.sources.kubelet.pods import Pod, parse_pods
from agent.sources.kubelet.slot import NO_KUBELET, Document, Kubelet
from tests.kubelet.bodies import body


def test_without_a_kubelet_nothing_is_known(make_host: Callable[..., Host]) -> None:
    """A host has no kubelet unless it is given one."""
    host = make_host({})
    assert host.kubelet is NO_KUBELET
    assert (host.kubelet.pods(), host.kubelet.summary(), host.kubelet.configz()) == (None, None, None)
    assert host.kubelet.flagz() is None


def test_a_document_is_replaced_as_a_whole() -> None:
    """With its own times."""
    pods: tuple[Pod, ...] = parse_pods(body("idle", "pods"))
    kubelet = Kubelet(pods=Document(pods, 1.0, 1000.0))
    before = kubelet.pods()
    kubelet.put_pods(Document(pods[:1], 2.0, 1001.0))
    after = kubelet.pods()
    assert before is not None
    assert before.value == pods
    assert after == (pods[:1], 2.0, 1001.0)
