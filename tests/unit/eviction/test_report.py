"""The document of the API: everything by its name, unknown as null, and nothing that is no JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from agent.eviction.chronicle import CALM_S
from agent.eviction.report import EVENTS, report_of
from agent.eviction.table import table
from agent.eviction.watch import Watch
from agent.sources.host import Host
from tests.kubelet.bodies import said
from tests.unit.eviction.pod_documents import container, item, statistics, used, working_set
from tests.unit.eviction.small_node import BLOCKS, GIB, MIB, SmallNode, space

MEMORY, NODEFS = "memory.available", "nodefs.available"
Json = dict[str, Any]


@pytest.fixture
def node(make_host: Callable[..., Host], calls: Any) -> SmallNode:
    return SmallNode(make_host, calls)


def report(watch: Watch) -> Json:
    """As a client gets it: no NaN, no infinity. The table must be able to show it."""
    document: Json = json.loads(json.dumps(report_of(watch, "node-a"), allow_nan=False))
    assert table(document)
    return document


def signals(document: Json) -> dict[str, Json]:
    return {one["signal"]: one for one in document["signals"]}


def test_a_signal_of_a_node_without_a_kubelet(node: SmallNode) -> None:
    """What is not known is null; nobody is next."""
    document = report(node.watch())
    quantity = int(BLOCKS * 4096 * 0.10000000149011612)
    assert signals(document)[NODEFS] == {
        "signal": NODEFS,
        "unit": "bytes",
        "source": "direct",
        "sources": {"direct": {"available": BLOCKS * 2048, "capacity": BLOCKS * 4096, "age_seconds": 0.0}},
        "available_min_1m": BLOCKS * 2048,
        "available_max_1m": BLOCKS * 2048,
        "trend_per_second": None,
        "thresholds": [
            {
                "kind": "hard",
                "text": "10%",
                "origin": "default",
                "grace_seconds": None,
                "quantity": quantity,
                "margin": BLOCKS * 2048 - quantity,
                "margin_ratio": pytest.approx(0.4, abs=1e-4),
                "crossed": False,
                "seconds_to_threshold": None,
            }
        ],
        "next": [],
        "next_by_source": {},
    }
    assert signals(document)["pid.available"]["thresholds"] == []
    assert (document["node"], document["time_seconds"], document["origin"]) == ("node-a", node.calls.now_s, "default")
    assert document["conditions"] == {"MemoryPressure": False, "DiskPressure": False, "PIDPressure": False}
    assert (document["limits_exceeded"], document["events"]) == ([], [])
    nobody = "No kubelet tells here: signals are our own reading, and nobody knows the order of the pods."
    assert nobody in document["notes"]


def test_a_node_of_which_nothing_is_known(make_host: Callable[..., Host]) -> None:
    """No signals, no crash, and still a document."""
    document = report(Watch(make_host({})))
    assert (document["signals"], document["memory_difference_bytes"]) == ([], {})


def test_what_cannot_be_observed_is_shown_where_it_is_configured(node: SmallNode) -> None:
    """A filesystem that cannot be read is what somebody wants to know of; by defaults alone it would be noise."""
    node.write(memory_stat="broken")
    watch = node.watch()
    assert MEMORY not in signals(report(watch))
    node.tell_configz(evictionHard={MEMORY: "100Mi"})
    memory = signals(report(watch))[MEMORY]
    assert (memory["source"], memory["sources"], memory["available_min_1m"]) == (None, {}, None)
    (threshold,) = memory["thresholds"]
    assert threshold["text"] == "100Mi"
    unknown = ("quantity", "margin", "margin_ratio", "crossed", "seconds_to_threshold")
    assert [threshold[name] for name in unknown] == [None] * 5


def test_a_signal_that_only_the_kubelet_tells(node: SmallNode) -> None:
    """It has the kubelet's numbers and no extremes of ours."""
    node.write(memory_stat="broken")
    node.tell_configz(evictionHard={MEMORY: "600Mi"})
    node.tell_summary({"memory": {"availableBytes": GIB // 2, "workingSetBytes": GIB // 2}})
    memory = signals(report(node.watch()))[MEMORY]
    assert memory["source"] == "kubelet"
    assert memory["sources"] == {"kubelet": {"available": GIB // 2, "capacity": GIB, "age_seconds": None}}
    assert (memory["available_min_1m"], memory["trend_per_second"]) == (None, None)
    (threshold,) = memory["thresholds"]
    assert (threshold["margin"], threshold["crossed"]) == (GIB // 2 - 600 * MIB, True)


@pytest.mark.parametrize(
    ("left", "verdict"),
    [
        (200, "does not show this crossing yet"),
        (900, "still shows a crossing that is over"),
    ],
)
def test_the_sources_disagree(node: SmallNode, left: int, verdict: str) -> None:
    """Said, with the age of the kubelet's statistic, as it decides by that."""
    node.tell_configz(evictionHard={MEMORY: "600Mi"})
    theirs = 700 if left < 600 else 500
    summary = {"availableBytes": theirs * MIB, "workingSetBytes": GIB - theirs * MIB, "time": "2023-11-14T22:13:10Z"}
    node.tell_summary({"memory": summary})
    node.use_memory(GIB - left * MIB)
    document = report(node.watch())
    assert f"{MEMORY}: the kubelet's statistic, 10 s old, {verdict}." in document["notes"]
    node.use_memory(GIB - theirs * MIB)
    assert not [note for note in report(node.watch())["notes"] if "statistic" in note]


def test_who_is_next(node: SmallNode) -> None:
    """By fresh statistics where there are any, else by the kubelet's; both orders are told."""
    limited = item("a", container("c", limits={"ephemeral-storage": "100"}))
    node.tell_pods(limited, item("b"))
    node.tell_summary(pods=[statistics("a", used("c", logs=101), **working_set(1)), statistics("b", **working_set(2))])
    document = report(node.watch())
    memory = signals(document)[MEMORY]
    assert memory["next"] == [{"namespace": "default", "pod": "b"}, {"namespace": "default", "pod": "a"}]
    assert memory["next_by_source"] == {"kubelet": ["default/b", "default/a"]}
    limit = {"namespace": "default", "pod": "a", "limit": "ephemeralcontainerfs.limit"}
    assert document["limits_exceeded"] == [limit]
    assert "default/a is over its own ephemeralcontainerfs.limit: it goes before any other." in table(document)


def test_fresh_working_sets_come_first(make_host: Callable[..., Host], calls: Any) -> None:
    """Also where the kubelet told its pods but no statistics, and where its own are older."""
    used_bytes = {"a": 1000, "b": 2000}
    place = "sys/fs/cgroup/memory/kubepods/besteffort"
    files = {f"{place}/poduid-{name}/memory.usage_in_bytes": f"{size}\n" for name, size in used_bytes.items()}
    files |= {f"{place}/poduid-{name}/memory.stat": "total_inactive_file 0\n" for name in used_bytes}
    node = SmallNode(make_host, calls, files)
    node.tell_pods(item("a"), item("b"))
    document = report(node.watch())
    assert signals(document)[MEMORY]["next_by_source"] == {"direct": ["default/b", "default/a"]}
    assert "No kubelet tells here: signals are our own reading." in document["notes"]
    node.tell_summary({"rlimit": {"maxpid": 9, "curproc": 1}}, [statistics("a", **working_set(5))])
    memory = signals(report(node.watch()))[MEMORY]
    orders = {"direct": ["default/b", "default/a"], "kubelet": ["default/b", "default/a"]}
    assert memory["next_by_source"] == orders  # of b it has no statistics
    node.tell_summary({}, [statistics("a", **working_set(5)), statistics("b", **working_set(4))])
    memory = signals(report(node.watch()))[MEMORY]
    assert memory["next_by_source"] == orders | {"kubelet": ["default/a", "default/b"]}
    assert [pod["pod"] for pod in memory["next"]] == ["b", "a"]


def test_events_are_the_latest(node: SmallNode) -> None:
    """Numbered, at most a hundred, the newest last; quantities and attributes by their names."""
    node.tell_configz(evictionHard={NODEFS: "10%"}, evictionPressureTransitionPeriod="1000s")
    watch = node.watch()
    for n in range(60):
        node.calls.space = space(5 if n % 2 else 50)
        for _ in ("begins", "lasts"):
            node.later(CALM_S)
            watch.look()
    events = report(watch)["events"]
    assert [event["number"] for event in events] == list(
        range(events[-1]["number"] - EVENTS + 1, events[-1]["number"] + 1)
    )
    crossed = next(event for event in events if event["subject"] == NODEFS and event["state"] == "crossed")
    assert (crossed["observed"], crossed["unit"]) == (BLOCKS // 20 * 4096, "bytes")
    assert crossed["attributes"] == {"kind": "hard", "source": "direct", "origin": "configz"}


@pytest.mark.parametrize("recording", ["idle", "memory-pressure", "imagefs-is-nodefs"])
def test_recorded_nodes_can_be_reported(node: SmallNode, recording: str) -> None:
    """All that a real kubelet says fits in. Static pods are critical: two of the nodes have nobody to evict."""
    node.tell_pods(*said(recording, "pods")["items"])
    summary = said(recording, "stats_summary")
    node.tell_summary(summary["node"], summary["pods"])
    node.tell_configz(**said(recording, "configz")["kubeletconfig"])
    document = report(node.watch())
    assert document["origin"] == "configz"
    configured = [one for one in document["signals"] if one["thresholds"]]
    assert len(configured) >= 5
    evictable = recording == "memory-pressure"
    assert [bool(one["next_by_source"].get("kubelet")) for one in configured] == [evictable] * len(configured)


def test_a_filesystem_that_is_not_found_is_said_to_be_the_kubelet_s(node: SmallNode) -> None:
    """Its row looks like any other, and is up to a minute old; how to find it is said with it."""
    node.tell_summary({"fs": {"availableBytes": 600, "capacityBytes": 1000, "inodesFree": 1, "inodes": 7}})
    document = report(node.watch())
    assert signals(document)[NODEFS]["source"] == "kubelet"
    why = "no filesystem fits what the kubelet says of it; --kubelet.root-dir can name it"
    assert f"nodefs was not found: {why}. What is told of it is the kubelet's." in document["notes"]
