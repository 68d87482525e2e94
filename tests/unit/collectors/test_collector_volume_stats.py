"""The volume_stats collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.selection import Selection
from agent.collectors.volume_stats import VolumeStats
from agent.errors import Absent, Gone
from agent.model import Writer
from agent.sources.host import Host
from agent.sources.kubelet.slot import Kubelet
from tests.unit.kubelet_documents import Json, recorded, said, tell, with_kubelet

Make = Callable[..., Host]
Collect = Callable[[Any], Any]

SPACE = {"availableBytes": 60, "capacityBytes": 100, "usedBytes": 30, "inodesFree": 7, "inodes": 10, "inodesUsed": 0}
SERIES = {
    "kubelet_volume_stats_available_bytes": 60,
    "kubelet_volume_stats_capacity_bytes": 100,
    "kubelet_volume_stats_used_bytes": 30,
    "kubelet_volume_stats_inodes_free": 7,
    "kubelet_volume_stats_inodes": 10,
    "kubelet_volume_stats_inodes_used": 0,
}


def volume(claim: str, namespace: str = "default", **said: Any) -> Json:
    return {"name": "data", "pvcRef": {"name": claim, "namespace": namespace}, **said}


def pod(name: str, *volumes: Json, namespace: str = "default", started: str = "2026-11-20T23:00:00Z") -> Json:
    reference = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    return {"podRef": reference, "startTime": started, "volume": list(volumes)}


def summary(*pods: Json) -> Json:
    return {"node": {}, "pods": list(pods)}


def labelled(name: str, claim: str, namespace: str = "default") -> str:
    return f'{name}{{namespace="{namespace}",persistentvolumeclaim="{claim}"}}'


def of(make_host: Make, kubelet: Kubelet, **selected: Any) -> VolumeStats:
    return VolumeStats(with_kubelet(make_host, kubelet), {"selection": Selection(selected)})


def test_a_claim_is_told_as_the_kubelet_tells_it(make_host: Make, collect: Collect) -> None:
    """All six numbers under the claim's namespace and name, with the kubelet's own HELP; 0 is a value."""
    samples = collect(of(make_host, said(summary=summary(pod("db-0", volume("data-db-0", **SPACE))))))
    assert samples == {labelled(name, "data-db-0"): value for name, value in SERIES.items()}
    help = "# HELP kubelet_volume_stats_available_bytes [ALPHA] Number of available bytes in the volume\n"
    assert help + "# TYPE kubelet_volume_stats_available_bytes gauge\n" in samples.text


def test_what_the_summary_lacks_is_absent(make_host: Make, collect: Collect) -> None:
    """A number that the kubelet does not have makes no series, where its own page says 0 or fails."""
    samples = collect(of(make_host, said(summary=summary(pod("db-0", volume("data-db-0", usedBytes=30))))))
    assert samples == {labelled("kubelet_volume_stats_used_bytes", "data-db-0"): 30}


def test_a_claim_of_several_pods_is_told_once(make_host: Make, collect: Collect) -> None:
    """The oldest pod that uses it tells, wherever it is in the summary."""
    young = pod("b", volume("shared", usedBytes=31), started="2026-11-20T23:30:00Z")
    old = pod("a", volume("shared", usedBytes=30), started="2026-11-20T23:00:00Z")
    samples = collect(of(make_host, said(summary=summary(young, old))))
    assert samples == {labelled("kubelet_volume_stats_used_bytes", "shared"): 30}


def test_one_name_in_two_namespaces_is_two_claims(make_host: Make, collect: Collect) -> None:
    """A claim is its namespace and its name."""
    two = summary(pod("a", volume("data", "x", usedBytes=1)), pod("b", volume("data", "y", usedBytes=2)))
    samples = collect(of(make_host, said(summary=two)))
    assert sorted(samples.values()) == [1, 2]


def test_volumes_without_a_claim_are_left_out(make_host: Make, collect: Collect) -> None:
    """The recorded node has only emptyDirs."""
    assert collect(of(make_host, recorded("idle"))) == {}


def test_excluded_pods_are_left_out(make_host: Make, collect: Collect) -> None:
    """A claim is reported while any wanted pod uses it; labels are those of /pods."""
    labels = {"metadata": {"namespace": "default", "name": "b", "uid": "uid-b", "labels": {"team": "b"}}}
    both = summary(
        pod("a", volume("mine", usedBytes=1), volume("shared", usedBytes=2)), pod("b", volume("shared", usedBytes=2))
    )
    collector = of(make_host, said([labels], both), **{"label-include": ("team=b",)})
    assert collect(collector) == {labelled("kubelet_volume_stats_used_bytes", "shared"): 2}
    assert collect(of(make_host, said(summary=both), **{"namespace-exclude": "default"})) == {}


def test_excluded_metrics_are_left_out(make_host: Make, collect: Collect) -> None:
    """The setting names families."""
    kubelet = said(summary=summary(pod("db-0", volume("data-db-0", **SPACE))))
    samples = collect(of(make_host, kubelet, **{"metric-exclude": "_inodes"}))
    assert len(samples) == 3


def test_unchanged_documents_give_the_same_blocks(make_host: Make) -> None:
    """Between two answers of the kubelet nothing is made again; with a new answer, keys that are equal stay."""
    kubelet = said(summary=summary(pod("db-0", volume("data-db-0", usedBytes=30))))
    collector = of(make_host, kubelet)
    first, second, third = Writer(), Writer(), Writer()
    collector.collect(first)
    collector.collect(second)
    assert first.blocks[0].values is second.blocks[0].values
    tell(kubelet, summary=summary(pod("db-0", volume("data-db-0", usedBytes=31))))
    collector.collect(third)
    assert list(third.blocks[0].values) == [31]
    assert third.blocks[0].keys is first.blocks[0].keys


def test_without_a_kubelet_there_is_nothing(make_host: Make) -> None:
    """No summary yet, or no kubelet: nothing is wrong and nothing is said."""
    with pytest.raises(Absent):
        of(make_host, Kubelet()).collect(Writer())


def test_an_old_summary_is_not_the_present(make_host: Make, calls: Any, collect: Collect) -> None:
    """Five minutes without an answer end the series."""
    collector = of(make_host, said(summary=summary(pod("db-0", volume("data-db-0", usedBytes=30)))))
    calls.now_monotonic_s = 5300.0
    assert len(collect(collector)) == 1
    calls.now_monotonic_s = 5300.5
    with pytest.raises(Gone):
        collector.collect(Writer())
