"""``/stats/summary``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.errors import Malformed
from agent.sources.kubelet.summary import (
    Filesystem,
    Interface,
    MemoryStats,
    Pids,
    PodStats,
    Summary,
    Volume,
    parse_summary,
)
from tests.kubelet.bodies import RECORDINGS, body, said

REF = {"name": "p", "namespace": "ns", "uid": "u-1"}


def pod_of(**parts: Any) -> PodStats:
    (pod,) = parse_summary(json.dumps({"pods": [{"podRef": REF, **parts}]}).encode()).pods
    return pod


@pytest.mark.parametrize("recording", RECORDINGS)
def test_a_recorded_summary_has_every_pod_and_container(recording: str) -> None:
    """Each number is that of the document."""
    summary, document = parse_summary(body(recording, "stats_summary")), said(recording, "stats_summary")
    assert [pod.uid for pod in summary.pods] == [pod["podRef"]["uid"] for pod in document["pods"]]
    for pod, given in zip(summary.pods, document["pods"], strict=True):
        assert [c.name for c in pod.containers] == [c["name"] for c in given["containers"]]
        assert pod.process_count == given["process_stats"]["process_count"]
        assert pod.memory is not None
        assert pod.memory.working_set_bytes == given["memory"]["workingSetBytes"]
        assert pod.ephemeral_storage is not None
        assert pod.ephemeral_storage.used_bytes == given["ephemeral-storage"]["usedBytes"]
        assert [v.stats.used_bytes for v in pod.volumes] == [v["usedBytes"] for v in given.get("volume", [])]
        for container, one in zip(pod.containers, given["containers"], strict=True):
            assert container.rootfs is not None
            assert container.rootfs.used_bytes == one["rootfs"]["usedBytes"]
            assert container.logs is not None
            assert container.logs.inodes_used == one["logs"]["inodesUsed"]


def test_the_node() -> None:
    """What evictions are decided by, with the times of the statistics."""
    node = parse_summary(body("idle", "stats_summary")).node
    images = Filesystem(1795217505.0, 972840960, 1020702720, 17252352, 64785, 65536, 583)
    assert node.name == "rnode"
    assert node.memory == MemoryStats(1795217507.0, 22438912000, 5690449920, 2837606400, 1531215872, 174426, 0)
    assert node.fs == Filesystem(1795217507.0, 982061056, 1020702720, 11128832, 65399, 65536, 137)
    assert (node.image_fs, node.container_fs) == (images, images)
    assert node.pids == Pids(1795217512.0, 32768, 333)
    assert [(one.name, one.memory and one.memory.available_bytes) for one in node.system_containers] == [
        ("pods", 25045495808)
    ]
    assert node.network is not None
    assert node.network.interfaces[2] == Interface("eth0", 1144636971, 0, 1283551, 0)
    assert [one.name for one in node.network.interfaces] == ["ifb0", "ifb1", "eth0", "rkube0"]


def test_a_summary_of_cpu_and_memory_only() -> None:
    """What it leaves out is None: there is no filesystem with 0 bytes."""
    summary = parse_summary(body("idle", "stats_summary_only_cpu_and_memory"))
    assert (summary.node.fs, summary.node.image_fs, summary.node.pids, summary.node.network) == (None,) * 4
    assert summary.node.memory is not None
    pod = summary.pods[0]
    assert (pod.network, pod.volumes, pod.ephemeral_storage, pod.process_count) == (None, (), None, None)
    assert (pod.containers[0].rootfs, pod.containers[0].logs) == (None, None)


def test_what_is_absent_is_not_zero_and_zero_is_not_absent() -> None:
    """An unlimited container has no available bytes; some runtimes say 0, and 0 it stays."""
    memory = pod_of(memory={"time": "1970-01-01T00:00:09Z", "workingSetBytes": 7}).memory
    assert memory == MemoryStats(9.0, None, None, 7, None, None, None)
    zero = pod_of(memory={"availableBytes": 0}).memory
    assert zero is not None
    assert zero.available_bytes == 0
    assert pod_of().memory is None
    assert pod_of(memory={}, process_stats={}).process_count is None


def test_volumes_and_their_claims() -> None:
    """A claim's volume names it; an emptyDir has none."""
    pod = pod_of(
        volume=[
            {"name": "data", "pvcRef": {"name": "pg-0", "namespace": "db"}, "usedBytes": 5, "inodesUsed": 0},
            {"name": "tmp", "capacityBytes": 9},
        ]
    )
    assert pod.volumes == (
        Volume("data", ("db", "pg-0"), Filesystem(None, None, None, 5, None, None, 0)),
        Volume("tmp", None, Filesystem(None, None, 9, None, None, None, None)),
    )


def test_the_one_device_of_an_old_kubelet() -> None:
    """Without a list the device beside it is the list."""
    network = pod_of(network={"time": "1970-01-01T00:00:01Z", "name": "eth0", "rxBytes": 3}).network
    assert network is not None
    assert network.interfaces == (Interface("eth0", 3, None, None, None),)
    empty = pod_of(network={"time": "1970-01-01T00:00:01Z"}).network
    assert empty is not None
    assert empty.interfaces == ()


def test_an_empty_summary() -> None:
    """A kubelet that knows nothing yet."""
    summary = parse_summary(b"{}")
    assert isinstance(summary, Summary)
    assert (summary.node.name, summary.node.memory, summary.pods) == ("", None, ())


@pytest.mark.parametrize("missing", REF)
def test_a_pod_without_an_identity_is_malformed(missing: str) -> None:
    """Nothing could be said of it."""
    with pytest.raises(Malformed, match=f"{missing}: missing"):
        parse_summary(json.dumps({"pods": [{"podRef": {**REF, missing: ""}}]}).encode())
