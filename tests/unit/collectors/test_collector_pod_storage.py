"""The pod_storage collector."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from agent.collectors.pod_storage import PodStorage
from agent.collectors.selection import Selection
from agent.errors import Absent, Gone
from agent.model import Writer
from agent.sources.host import Host
from agent.sources.kubelet.slot import Kubelet
from tests.kubelet import bodies
from tests.unit.kubelet_documents import Json, recorded, said, with_kubelet

Make = Callable[..., Host]
Collect = Callable[[Any], Any]

MI = 1 << 20
TIME = "2026-11-20T23:31:00Z"
NOW_S = datetime.fromisoformat("2026-11-20T23:32:00+00:00").timestamp()
ONE_DISK = {"fs": {"capacityBytes": 1000, "inodes": 10}, "runtime": {"imageFs": {"capacityBytes": 1000, "inodes": 10}}}
TWO_DISKS = {"fs": {"capacityBytes": 1000, "inodes": 10}, "runtime": {"imageFs": {"capacityBytes": 2000, "inodes": 10}}}


def of(make_host: Make, kubelet: Kubelet, **selected: Any) -> PodStorage:
    return PodStorage(with_kubelet(make_host, kubelet), {"selection": Selection(selected)})


def measured(name: str, *containers: Json, **more: Any) -> Json:
    """A pod of the summary."""
    reference = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return {"podRef": reference, "startTime": TIME, "containers": list(containers), **more}


def container(name: str, rootfs: int | None = None, logs: int | None = None) -> Json:
    parts = {"rootfs": rootfs, "logs": logs}
    return {"name": name, **{part: {"usedBytes": used} for part, used in parts.items() if used is not None}}


def pod(name: str, *specs: Json, **more: Any) -> Json:
    """An item of /pods."""
    metadata = {"namespace": "default", "name": name, "uid": f"uid-{name}", "creationTimestamp": TIME}
    return {"metadata": metadata, "spec": {"containers": list(specs), **more}}


def spec(name: str, limit: str = "", **more: Any) -> Json:
    return {"name": name, "resources": {"limits": {"ephemeral-storage": limit} if limit else {}}, **more}


def summary(*pods: Json, node: Json = ONE_DISK) -> Json:
    return {"node": node, "pods": list(pods)}


def of_family(samples: dict[str, float], name: str) -> dict[str, float]:
    """Values by labels."""
    start = f"headroom_{name}{{"
    return {series.removeprefix(start).rstrip("}"): v for series, v in samples.items() if series.startswith(start)}


def pod_ratio(make_host: Make, collect: Collect, used: int, item: Json) -> dict[str, float]:
    kubelet = said([item], summary(measured("a", **{"ephemeral-storage": {"usedBytes": used}})))
    return of_family(collect(of(make_host, kubelet)), "pod_ephemeral_storage_limit_ratio")


def expected_of_summary(node: str) -> dict[str, float]:
    """What the recorded summary says, read without our parsers."""
    expected: dict[str, float] = {}
    for item in bodies.said(node, "stats_summary")["pods"]:
        names = f'namespace="{item["podRef"]["namespace"]}",pod="{item["podRef"]["name"]}"'
        expected[f"headroom_pod_ephemeral_storage_used_bytes{{{names}}}"] = item["ephemeral-storage"]["usedBytes"]
        expected[f"headroom_pod_ephemeral_storage_inodes_used{{{names}}}"] = item["ephemeral-storage"]["inodesUsed"]
        for one in item["containers"]:
            for part in ("rootfs", "logs"):
                labels = f'{{{names},container="{one["name"]}"}}'
                expected[f"headroom_container_{part}_used_bytes{labels}"] = one[part]["usedBytes"]
                expected[f"headroom_container_{part}_inodes_used{labels}"] = one[part]["inodesUsed"]
    return expected


@pytest.mark.parametrize("node", ["idle", "imagefs-is-nodefs", "memory-pressure"])
def test_every_value_is_that_of_the_recorded_summary(node: str, make_host: Make, collect: Collect) -> None:
    """All that the summary says of storage, and besides it only limits, shares and ages."""
    samples = collect(of(make_host, recorded(node)))
    expected = expected_of_summary(node)
    assert len(expected) > 20
    rest = {series: value for series, value in samples.items() if series not in expected}
    assert {series: samples.get(series) for series in expected} == expected
    assert all("_limit_" in series or "_age_" in series for series in rest)


def test_the_recorded_limit_is_the_pods_and_its_containers(make_host: Make, collect: Collect) -> None:
    """One of three containers of bu-multi-rnode has a limit of 200 Mi: the pod has it too, the others have none."""
    samples = collect(of(make_host, recorded("imagefs-is-nodefs")))
    name = 'namespace="default",pod="bu-multi-rnode"'
    assert of_family(samples, "pod_ephemeral_storage_limit_bytes") == {name: 200 * MI}
    assert of_family(samples, "pod_ephemeral_storage_limit_ratio") == {name: 49152 / (200 * MI)}
    rootfs = samples[f'headroom_container_rootfs_used_bytes{{{name},container="a"}}']
    logs = samples[f'headroom_container_logs_used_bytes{{{name},container="a"}}']
    shares = of_family(samples, "container_ephemeral_storage_limit_ratio")
    assert shares == {f'{name},container="a"': (rootfs + logs) / (200 * MI)}


def test_ages_are_those_of_the_oldest_statistics(make_host: Make, collect: Collect, calls: Any) -> None:
    """Layers, logs and volumes are measured at their own times."""
    calls.now_s = NOW_S
    collector = of(make_host, recorded("idle"))
    assert of_family(collect(collector), "pod_storage_stat_age_seconds") == {
        'kind="rootfs"': 15,  # 23:31:45
        'kind="logs"': 8,  # 23:31:52
        'kind="volume"': 24,  # 23:31:36
    }
    calls.now_s = NOW_S + 5
    assert of_family(collect(collector), "pod_storage_stat_age_seconds")['kind="logs"'] == 13


def test_what_the_summary_lacks_is_absent(make_host: Make, collect: Collect) -> None:
    """No statistic, no series: not even a share of a limit that is known; an age needs a time."""
    kubelet = said([pod("a", spec("c", "100"))], summary(measured("a", container("c", logs=0))))
    assert collect(of(make_host, kubelet)) == {
        'headroom_container_logs_used_bytes{namespace="default",pod="a",container="c"}': 0,
        'headroom_pod_ephemeral_storage_limit_bytes{namespace="default",pod="a"}': 100,
    }


def test_without_pods_there_are_no_limits(make_host: Make, collect: Collect) -> None:
    """Where /pods is refused the summary's names are enough for what is used."""
    used = {"usedBytes": 7, "inodesUsed": 2}
    samples = collect(of(make_host, said(summary=summary(measured("a", **{"ephemeral-storage": used})))))
    assert samples == {
        'headroom_pod_ephemeral_storage_used_bytes{namespace="default",pod="a"}': 7,
        'headroom_pod_ephemeral_storage_inodes_used{namespace="default",pod="a"}': 2,
    }


@pytest.mark.parametrize(
    ("item", "limit"),
    [
        (pod("a", spec("c", "60"), spec("d", "40")), 100),
        (pod("a", spec("c", "100"), spec("d")), 100),
        (pod("a", spec("c", "60"), initContainers=[spec("i", "100")]), 100),
        (pod("a", spec("c", "60"), initContainers=[spec("i", "10")]), 60),
        (pod("a", spec("c", "60"), initContainers=[spec("s", "40", restartPolicy="Always")]), 100),
        (pod("a", spec("c", "1"), initContainers=[spec("s", "40", restartPolicy="Always"), spec("i", "60")]), 100),
        (pod("a", spec("c", "60"), overhead={"ephemeral-storage": "40"}), 100),
        (pod("a", spec("c", "0"), spec("d", "100")), 100),
    ],
)
def test_a_pods_limit_is_what_the_kubelet_reckons(item: Json, limit: int, make_host: Make, collect: Collect) -> None:
    """Containers and sidecars together, or an init container with the sidecars before it, and the overhead."""
    assert list(pod_ratio(make_host, collect, 50, item).values()) == [50 / limit]


@pytest.mark.parametrize("item", [pod("a", spec("c")), pod("a", spec("c", "0")), pod("b", spec("c", "100"))])
def test_without_a_limit_there_is_no_share(item: Json, make_host: Make, collect: Collect) -> None:
    """No limit, a limit of nothing, or a limit of another pod."""
    assert pod_ratio(make_host, collect, 50, item) == {}


@pytest.mark.parametrize("limit", ["1e300", "999999999999999999999999999999.5", "-1"])
def test_an_absurd_limit_costs_nothing_else(limit: str, make_host: Make, collect: Collect) -> None:
    """Whoever writes a pod's spec must not be able to end the collector."""
    item = pod("a", spec("c", limit), spec("d", limit), overhead={"ephemeral-storage": limit})
    kubelet = said([item], summary(measured("a", container("c", 1, 1), **{"ephemeral-storage": {"usedBytes": 9}})))
    samples = collect(of(make_host, kubelet))
    assert of_family(samples, "pod_ephemeral_storage_used_bytes") == {'namespace="default",pod="a"': 9}
    assert all(0 <= value < 1e-9 for value in of_family(samples, "pod_ephemeral_storage_limit_ratio").values())


@pytest.mark.parametrize(
    ("node", "used"),
    [
        (ONE_DISK, 70),
        ({}, 70),
        (TWO_DISKS, 20),
        ({**TWO_DISKS, "runtime": {**TWO_DISKS["runtime"], "containerFs": {"capacityBytes": 1000, "inodes": 10}}}, 20),
        ({**TWO_DISKS, "runtime": {**TWO_DISKS["runtime"], "containerFs": {"capacityBytes": 2000, "inodes": 10}}}, 20),
    ],
)
def test_layers_count_where_the_kubelet_counts_them(node: Json, used: int, make_host: Make, collect: Collect) -> None:
    """Not where images have a filesystem of their own, be layers there too or not."""
    kubelet = said([pod("a", spec("c", "100"))], summary(measured("a", container("c", rootfs=50, logs=20)), node=node))
    shares = of_family(collect(of(make_host, kubelet)), "container_ephemeral_storage_limit_ratio")
    assert list(shares.values()) == [used / 100]


def test_a_container_without_its_layers_size_has_no_share(make_host: Make, collect: Collect) -> None:
    """Half of a sum is not a sum."""
    kubelet = said([pod("a", spec("c", "100"))], summary(measured("a", container("c", logs=20))))
    assert of_family(collect(of(make_host, kubelet)), "container_ephemeral_storage_limit_ratio") == {}


def test_a_static_pod_is_known_by_its_hash(make_host: Make, collect: Collect) -> None:
    """The summary's uid of a static pod may be the hash of its manifest."""
    item = pod("a", spec("c", "100"))
    item["metadata"] |= {
        "uid": "mirror",
        "annotations": {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "uid-a"},
    }
    assert len(pod_ratio(make_host, collect, 50, item)) == 1


def test_of_two_pods_of_one_name_the_younger_is_told(make_host: Make, collect: Collect) -> None:
    """A pod that is replaced under its name is there twice for a while; a series is there once."""
    old = measured("a", **{"ephemeral-storage": {"usedBytes": 1}})
    new = {**old, "startTime": "2026-11-20T23:31:30Z", "ephemeral-storage": {"usedBytes": 2}}
    new["podRef"] = {**old["podRef"], "uid": "uid-new"}
    for pods in ((old, new), (new, old)):
        samples = collect(of(make_host, said(summary=summary(*pods))))
        assert of_family(samples, "pod_ephemeral_storage_used_bytes") == {'namespace="default",pod="a"': 2}


def test_excluded_pods_and_metrics_are_left_out(make_host: Make, collect: Collect) -> None:
    """Nor do they count for an age."""
    kubelet = recorded("idle")
    assert collect(of(make_host, kubelet, **{"namespace-exclude": "^default$"})) == {}
    samples = collect(of(make_host, kubelet, **{"metric-include": "rootfs_used_bytes"}))
    assert samples
    assert all(series.startswith("headroom_container_rootfs_used_bytes{") for series in samples)


def test_pods_over_the_budget_lose_all_their_series(make_host: Make, collect: Collect) -> None:
    """The oldest pod stays whole."""
    used = {"usedBytes": 7, "inodesUsed": 2}
    old = measured("old", **{"ephemeral-storage": used})
    young = {**measured("young", **{"ephemeral-storage": used}), "startTime": "2026-11-20T23:31:30Z"}
    collector = of(make_host, said(summary=summary(young, old)), **{"series-per-namespace": 3})
    samples = collect(collector)
    assert len(samples) == 2
    assert all('pod="old"' in series for series in samples)
    assert [error.reason for error in samples.errors] == ["budget"]
    assert collect(collector) == samples


def test_without_a_kubelet_there_is_nothing(make_host: Make, calls: Any) -> None:
    """No summary is Absent; one that is not renewed is Gone."""
    with pytest.raises(Absent):
        of(make_host, Kubelet()).collect(Writer())
    calls.now_monotonic_s = 10_000.0
    with pytest.raises(Gone):
        of(make_host, recorded("idle")).collect(Writer())
