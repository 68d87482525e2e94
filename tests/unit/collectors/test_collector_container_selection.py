"""Containers dropped at the source, over the recorded kubelet and the cgroups of the same moment."""

from __future__ import annotations

from typing import Any

import pytest

from agent.app import host_of
from agent.collectors.containers import Containers
from agent.collectors.selection import Selection
from agent.model import Writer
from agent.sources.host import Host
from tests.tools.golden import WITH_KUBELET, config_of, lay_out, said

PODS = 8


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    (recorded,) = WITH_KUBELET
    node = lay_out(recorded, tmp_path_factory.mktemp("node"))
    host = host_of(config_of(node, recorded.settings))
    host.kubelet = said(recorded.kubelet, host.calls.monotonic_s())
    return host


def series(host: Host, **options: Any) -> tuple[dict[str, int], Selection, Writer]:
    """How many series each pod has, with these settings."""
    selection = Selection({name.replace("_", "-"): value for name, value in options.items()})
    collector, out, counts = Containers(host, {"selection": selection}), Writer(), dict[str, int]()
    collector.collect(out)
    for block in out.blocks:
        assert len(block.keys) == len(block.values) > 0
        place = block.family.labels.index("pod")
        for key in block.keys:
            counts[key[place]] = counts.get(key[place], 0) + 1
    return counts, selection, out


def test_without_settings_every_pod_is_there(host: Host) -> None:
    """The recorded node has its pods, each with series, and none without a name."""
    counts, _, _ = series(host)
    assert 6 <= len(counts) <= PODS
    assert "" not in counts


def test_a_namespace_that_is_not_wanted_is_not_read(host: Host) -> None:
    """Excluding the only namespace leaves nothing; including another leaves nothing either."""
    assert series(host, namespace_exclude="^default$")[0] == {}
    assert series(host, namespace_include="^kube-")[0] == {}
    assert series(host, namespace_include="^default$")[0] == series(host)[0]


def test_labels_decide_where_the_kubelet_told_them(host: Host) -> None:
    """One recorded pod has the label: an include keeps it alone, an exclude all the others, whole."""
    everything = series(host)[0]
    assert series(host, label_include=("app",))[0] == {"gu-cpu-rnode": everything["gu-cpu-rnode"]}
    others = {pod: count for pod, count in everything.items() if pod != "gu-cpu-rnode"}
    assert series(host, label_exclude=("app",))[0] == others


def test_a_metric_that_is_not_wanted_is_not_given(host: Host) -> None:
    """By the name of its family; the others stay as they are."""
    everything = {block.family.name for block in series(host)[2].blocks}
    some = {block.family.name for block in series(host, metric_exclude="_fs_|_network_")[2].blocks}
    assert some == {name for name in everything if "_fs_" not in name and "_network_" not in name}
    assert some < everything


def test_a_namespace_over_its_budget_loses_whole_pods_and_says_so(host: Host) -> None:
    """Some pods keep every series they had, the others have none, and the counter has what is missing."""
    before, _, _ = series(host)
    budget = sum(before.values()) // 2
    after, selection, out = series(host, series_per_namespace=budget)
    assert after
    assert len(after) < len(before)
    assert all(after[pod] == before[pod] for pod in after)
    assert sum(after.values()) <= budget
    counted = Writer()
    selection.budget.dropped_total.write(counted)
    (block,) = counted.blocks
    assert dict(zip(block.keys, block.values, strict=True)) == {
        ("default", "budget"): sum(before.values()) - sum(after.values())
    }
    assert [error.reason for error in out.errors] == ["budget"]
