"""The eviction collector: what the watch knows, each number under the name with its unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.collectors.eviction import Eviction
from agent.collectors.eviction_families import FAMILIES
from agent.engine.ledger import Ledger
from agent.errors import Overdue
from agent.eviction import watch as watch_module
from agent.eviction.watch import Watch
from agent.model import Family, Writer
from agent.sources.host import Host
from tests.unit.eviction.pod_documents import container, item, statistics, used, working_set
from tests.unit.eviction.small_node import GIB, MIB, SmallNode, space

Collect = Callable[[Any], Any]
START = "headroom_eviction_"
NO_EVENTS = {
    'events_total{type="signal",state="crossed"}': 0,
    'events_total{type="signal",state="cleared"}': 0,
    'events_total{type="condition",state="crossed"}': 0,
    'events_total{type="condition",state="cleared"}': 0,
    'events_total{type="oom_kill",state="occurred"}': 0,
    'events_total{type="eviction",state="occurred"}': 0,
    "events_dropped_total": 0,
}


@pytest.fixture
def node(make_host: Callable[..., Host], calls: Any) -> SmallNode:
    return SmallNode(make_host, calls)


def of(node: SmallNode) -> Eviction:
    return Eviction(node.host, {"watch": node.watch()})


def about(samples: dict[str, float], *parts: str) -> dict[str, float]:
    """Those whose series has all of these parts, without the beginning that all share."""
    found = {series: value for series, value in samples.items() if all(part in series for part in parts)}
    return {series.removeprefix(START): value for series, value in found.items()}


def test_each_unit_has_its_names(node: SmallNode, collect: Collect) -> None:
    """Bytes, inodes and pids; against the defaults, where nobody says more."""
    samples = collect(of(node))
    assert about(samples, "nodefs.inodesFree") == {
        'available_inodes{signal="nodefs.inodesFree",source="direct"}': 500,
        'capacity_inodes{signal="nodefs.inodesFree",source="direct"}': 1000,
        'threshold_inodes{signal="nodefs.inodesFree",kind="hard",origin="default"}': 50,
        'available_min_inodes{signal="nodefs.inodesFree",window="1m"}': 500,
        'available_max_inodes{signal="nodefs.inodesFree",window="1m"}': 500,
        'margin_ratio{signal="nodefs.inodesFree",kind="hard",source="direct"}': 0.45,
        'threshold_crossed{signal="nodefs.inodesFree",kind="hard",source="direct"}': 0,
        'stat_age_seconds{signal="nodefs.inodesFree",source="direct"}': 0,
    }
    assert about(samples, "pid.available") == {
        'available_pids{signal="pid.available",source="direct"}': 32668,
        'capacity_pids{signal="pid.available",source="direct"}': 32768,
        'available_min_pids{signal="pid.available",window="1m"}': 32668,
        'available_max_pids{signal="pid.available",window="1m"}': 32668,
        'stat_age_seconds{signal="pid.available",source="direct"}': 0,
    }
    names = {series.partition("{")[0] for series in about(samples, "memory.available")}
    assert not [name for name in names if name.endswith(("_inodes", "_pids"))]


def test_what_is_not_known_is_absent(node: SmallNode, collect: Collect) -> None:
    """No estimate, no rank and no offender is none, and not 0; what is counted is 0."""
    samples = collect(of(node))
    for name in ("seconds_to_threshold", "rank", "local_storage_limit_exceeded"):
        assert about(samples, f"{START}{name}") == {}
    assert about(samples, "events_") == NO_EVENTS
    assert not about(samples, "allocatableMemory.available")
    assert not about(samples, 'source="kubelet"')


def test_a_crossing(node: SmallNode, collect: Collect) -> None:
    """Below 0, crossed, its condition set and its events counted."""
    node.calls.space = space(5)
    node.tell_configz(evictionHard={"nodefs.available": "10%"}, evictionSoft={}, evictionPressureTransitionPeriod="5m")
    samples = collect(of(node))
    assert about(samples, 'signal="nodefs.available"', "margin") == {
        'margin_ratio{signal="nodefs.available",kind="hard",source="direct"}': pytest.approx(-0.05, abs=1e-6)
    }
    assert about(samples, 'signal="nodefs.available"', "crossed") == {
        'threshold_crossed{signal="nodefs.available",kind="hard",source="direct"}': 1
    }
    assert about(samples, "node_condition") == {
        'headroom_node_condition{condition="MemoryPressure",origin="derived"}': 0,
        'headroom_node_condition{condition="DiskPressure",origin="derived"}': 1,
        'headroom_node_condition{condition="PIDPressure",origin="derived"}': 0,
    }
    assert about(samples, "events_") == NO_EVENTS | {
        'events_total{type="signal",state="crossed"}': 2,
        'events_total{type="condition",state="crossed"}': 1,
    }


def test_percentages_are_of_what_the_kubelet_takes_for_the_capacity(node: SmallNode, collect: Collect) -> None:
    """One threshold for a signal, and a margin for each source."""
    node.tell_configz(evictionHard={"memory.available": "10%"})
    node.tell_summary({"memory": {"availableBytes": 500 * MIB, "workingSetBytes": 500 * MIB}})
    samples = collect(of(node))
    quantity = int(1000 * MIB * 0.10000000149011612)
    assert about(samples, "threshold_bytes") == {
        'threshold_bytes{signal="memory.available",kind="hard",origin="configz"}': quantity
    }
    assert about(samples, "margin_ratio") == {
        'margin_ratio{signal="memory.available",kind="hard",source="direct"}': pytest.approx(0.4, abs=1e-6),
        'margin_ratio{signal="memory.available",kind="hard",source="kubelet"}': pytest.approx(0.4, abs=1e-6),
    }
    assert about(samples, "available_bytes", "kubelet") == {
        'available_bytes{signal="memory.available",source="kubelet"}': 500 * MIB
    }


def test_the_age_of_a_statistic(node: SmallNode, collect: Collect) -> None:
    """By the statistic's own time, which the kubelet tells for each; absent where it does not."""
    memory = {"availableBytes": 1, "workingSetBytes": 2, "time": "2023-11-14T22:13:10Z"}
    node.tell_summary({"memory": memory, "rlimit": {"maxpid": 9, "curproc": 1}})
    ages = about(collect(of(node)), "stat_age_seconds", 'source="kubelet"')
    assert ages == {'stat_age_seconds{signal="memory.available",source="kubelet"}': 10.25}


def test_ranks_and_offenders(node: SmallNode, collect: Collect) -> None:
    """1 goes first, for each signal that has a threshold."""
    limited = item("a", container("c", limits={"ephemeral-storage": "100"}))
    node.tell_configz(evictionHard={"memory.available": "10%"})
    node.tell_pods(limited, item("b"))
    node.tell_summary(pods=[statistics("a", used("c", logs=101), **working_set(1)), statistics("b", **working_set(2))])
    samples = collect(of(node))
    assert about(samples, "rank") == {
        'rank{signal="memory.available",source="kubelet",namespace="default",pod="b"}': 1,
        'rank{signal="memory.available",source="kubelet",namespace="default",pod="a"}': 2,
    }
    assert about(samples, "limit_exceeded") == {
        'local_storage_limit_exceeded{namespace="default",pod="a",limit="ephemeralcontainerfs.limit"}': 1
    }


def test_of_two_pods_of_one_name_the_first_to_go_is_told(node: SmallNode, collect: Collect) -> None:
    """One goes and its successor is there already: the place of the later one must not stand for both."""
    successor = item("a")
    successor["metadata"]["uid"] = "uid-b"
    node.tell_configz(evictionHard={"memory.available": "10%"})
    node.tell_pods(item("a"), successor)
    node.tell_summary(pods=[statistics("a", **working_set(2)), statistics("b", **working_set(1))])
    series = 'rank{signal="memory.available",source="kubelet",namespace="default",pod="a"}'
    assert about(collect(of(node)), "rank") == {series: 1}


def test_the_memory_difference_adds_up(node: SmallNode, collect: Collect) -> None:
    """MemAvailable and all parts together are what is available to the kubelet."""
    parts = about(collect(of(node)), "memory_difference_bytes")
    assert sum(parts.values()) + 2000 * 1024 == GIB // 2
    assert 'memory_difference_bytes{part="other"}' in parts


def test_labels_are_the_same_objects_while_they_do_not_change(node: SmallNode) -> None:
    """Rendering is several times cheaper for them; another label set gets its own."""
    collector = of(node)

    def keys() -> dict[Family, int]:
        out = Writer()
        collector.collect(out)
        kept.append(out)
        return {block.family: id(block.keys) for block in out.blocks}

    kept: list[Writer] = []
    first = keys()
    node.later()
    assert keys() == first
    node.tell_configz(evictionHard={"memory.available": "10%"})
    node.later()
    later = keys()
    assert [family.name for family in first if later.get(family) == first[family] and "threshold" in family.name] == []


def test_what_is_absent_is_neither_counted_nor_repeated(
    node: SmallNode, collect: Collect, capfd: pytest.CaptureFixture[str]
) -> None:
    """A node without pods lacks a signal at each scrape; that is no error, and what is one is said once."""
    node.tell_configz(evictionHard={"memory.available": "lots"})
    ledger = Ledger()
    for _ in range(3):
        for error in collect(of(node)).errors:
            ledger.note("eviction", error)
    block = ledger.block()
    assert block is not None
    assert dict(zip(block.keys, block.values, strict=True)) == {("eviction", "malformed"): 3}
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_watch_that_is_stuck_gives_nothing(node: SmallNode, collect: Collect) -> None:
    """Rather than what was a while ago."""
    watch = node.watch()
    collector = Eviction(node.host, {"watch": watch})
    collect(collector)
    watch._running = True
    node.later(watch_module.STUCK_S + 0.1)
    with pytest.raises(Overdue):
        collect(collector)


def test_a_node_of_which_nothing_can_be_read(make_host: Callable[..., Host], collect: Collect) -> None:
    """Only what is counted is left, and why."""
    samples = collect(Eviction(make_host({}), {"watch": Watch(make_host({}))}))
    assert about(samples) == NO_EVENTS
    assert samples.errors


def test_all_names_are_our_own() -> None:
    """None twice; the contract's are among them."""
    names = [family.name for family in FAMILIES if isinstance(family, Family)]
    assert len(set(names)) == len(names) == len(FAMILIES)
    units = {
        f"{START}{name}_{unit}"
        for name in ("available", "capacity", "threshold")
        for unit in ("bytes", "inodes", "pids")
    }
    others = ("margin_ratio", "threshold_crossed", "seconds_to_threshold", "stat_age_seconds", "rank")
    assert units | {START + name for name in others} <= set(names)
