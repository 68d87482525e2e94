"""Which pods and metrics are reported, and who loses series when a namespace has too many."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.collectors.selection import DROPPED, EVERYTHING, Budget, Cost, OverBudget, Selection, selection_of
from agent.errors import ConfigError
from agent.model import Family, FamilyRule, Writer

CPU = Family("container_cpu_usage_seconds_total", "counter", "CPU.")
RSS = Family("container_memory_rss", "gauge", "RSS.")


def wanted(options: dict[str, Any], namespace: str | None, labels: dict[str, str] | None = None) -> bool:
    return Selection(options).wanted(namespace, labels)


def settled(budget: Budget, collector: str, costs: dict[str, Cost], **more: Any) -> tuple[set[str], list[str]]:
    """The dropped uids, and what was reported."""
    out = Writer()
    dropped = budget.settle(out, collector, costs, **more)
    assert all(isinstance(error, OverBudget) and error.reason == "budget" for error in out.errors)
    return set(dropped), [error.path for error in out.errors]


def counts(budget: Budget) -> dict[tuple[str, ...], float]:
    out = Writer()
    budget.dropped_total.write(out)
    return {key: value for block in out.blocks for key, value in zip(block.keys, block.values, strict=True)}


def test_without_settings_everything_is_reported() -> None:
    """Nothing is left out unless somebody asked for it."""
    assert EVERYTHING.wanted("default", {"app": "a"})
    assert EVERYTHING.wanted(None, None)
    assert EVERYTHING.reports(CPU)
    assert not EVERYTHING.budget


def test_metrics_are_chosen_by_name() -> None:
    """An exclude holds among what is included, for rules as for families."""
    selection = Selection({"metric-include": "^container_", "metric-exclude": "_rss$"})
    assert selection.reports(CPU)
    assert not selection.reports(RSS)
    assert not selection.reports(FamilyRule("node_memory_{}", "gauge", "Memory."))


@pytest.mark.parametrize(
    ("options", "namespace", "expected"),
    [
        ({"namespace-include": "^team-"}, "team-a", True),
        ({"namespace-include": "^team-"}, "default", False),
        ({"namespace-exclude": "^kube-system$"}, "kube-system", False),
        ({"namespace-exclude": "^kube-system$"}, "kube-system-2", True),
        ({"namespace-include": "a", "namespace-exclude": "b"}, "ab", False),
        ({"namespace-include": "^team-"}, None, False),
        ({"namespace-exclude": "^kube-system$"}, None, True),
    ],
)
def test_namespaces_are_chosen_by_name(options: dict[str, Any], namespace: str | None, expected: bool) -> None:
    """Regexps as everywhere; a container of no known namespace passes an exclude and no include."""
    assert wanted(options, namespace, {}) is expected


@pytest.mark.parametrize(
    ("options", "labels", "expected"),
    [
        ({"label-include": ("team=a", "team=b")}, {"team": "b"}, True),
        ({"label-include": ("team=a", "team=b")}, {"team": "c"}, False),
        ({"label-include": ("team",)}, {"team": "c"}, True),
        ({"label-include": ("team",)}, {}, False),
        ({"label-include": ("team",)}, None, False),
        ({"label-include": ("team=",)}, {"team": ""}, True),
        ({"label-include": ("team=",)}, {"team": "c"}, False),
        ({"label-exclude": ("example.com/metrics=off",)}, {"example.com/metrics": "off"}, False),
        ({"label-exclude": ("example.com/metrics=off",)}, {"example.com/metrics": "on"}, True),
        ({"label-exclude": ("team",)}, None, True),
        ({"label-include": ("team",), "label-exclude": ("team=a",)}, {"team": "a"}, False),
    ],
)
def test_pods_are_chosen_by_label(options: dict[str, Any], labels: dict[str, str] | None, expected: bool) -> None:
    """Any of the listed pairs is enough; a key alone is any value; unknown labels pass an exclude and no include."""
    assert wanted(options, "default", labels) is expected


@pytest.mark.parametrize("item", ["=x", "a!=b", "a in (b)", ""])
def test_a_selector_of_another_form_is_refused(item: str) -> None:
    """A selector that would never match is a mistake, said at the start."""
    with pytest.raises(ConfigError, match="label-include"):
        Selection({"label-include": (item,)})


def test_the_selection_is_among_the_options() -> None:
    """Every collector is given the same one; a collector that is made alone selects everything."""
    selection = Selection()
    assert selection_of({"selection": selection}) is selection
    assert selection_of({}) is EVERYTHING


def test_without_a_budget_nobody_counts() -> None:
    """0 is no limit."""
    budget = Budget(0)
    assert settled(budget, "containers", {"a": Cost("default", 1.0, 10**9)}) == (set(), [])
    assert counts(budget) == {}


def test_the_youngest_pods_lose_all_their_series() -> None:
    """Whole pods by age, then by uid; other namespaces are not touched; every lost series is counted."""
    budget = Budget(100)
    costs = {
        "young": Cost("default", 300.0, 10),
        "b": Cost("default", 200.0, 40),
        "a": Cost("default", 200.0, 40),
        "old": Cost("default", 100.0, 30),
        "ageless": Cost("default", None, 1),
        "other": Cost("kube-system", 400.0, 100),
    }
    assert settled(budget, "containers", costs) == ({"b", "young", "ageless"}, ["namespace default"])
    assert counts(budget) == {("default", "budget"): 51}
    settled(budget, "containers", costs)
    assert counts(budget) == {("default", "budget"): 102}
    assert budget.dropped == {"b", "young", "ageless"}


def test_a_full_namespace_is_within_its_budget() -> None:
    """The budget is the most there may be, not the first that is too much."""
    assert settled(Budget(100), "containers", {"a": Cost("x", 1.0, 60), "b": Cost("x", 2.0, 40)}) == (set(), [])


def test_a_pod_over_the_whole_budget_does_not_starve_the_others() -> None:
    """The oldest pod with more series than allowed loses its own only."""
    costs = {"huge": Cost("default", 1.0, 101), "small": Cost("default", 2.0, 100)}
    assert settled(Budget(100), "containers", costs)[0] == {"huge"}


def test_collectors_share_the_budget() -> None:
    """A pod's series of all collectors count together, and all collectors drop the same pods."""
    budget = Budget(100)
    old, young = Cost("default", 1.0, 40), Cost("default", 2.0, 40)
    assert settled(budget, "containers", {"old": old, "young": young})[0] == set()
    storage = {"old": old._replace(series=10), "young": young._replace(series=20, created_s=None)}
    assert settled(budget, "pod_storage", storage)[0] == {"young"}
    assert settled(budget, "containers", {"old": old, "young": young})[0] == {"young"}
    assert counts(budget) == {("default", "budget"): 60}


def test_a_pod_that_is_not_read_costs_what_it_did() -> None:
    """A collector need not read dropped pods: they stay dropped, are counted, and come back when there is room."""
    budget = Budget(100)
    old, young = Cost("default", 1.0, 80), Cost("default", 2.0, 40)
    assert settled(budget, "containers", {"old": old, "young": young})[0] == {"young"}
    assert settled(budget, "containers", {"old": old}, skipped=budget.dropped)[0] == {"young"}
    assert counts(budget) == {("default", "budget"): 80}
    assert settled(budget, "containers", {}, skipped={"young"})[0] == set()


def test_a_pod_that_is_gone_is_forgotten() -> None:
    """What a vanished pod had is free at once."""
    budget = Budget(100)
    settled(budget, "containers", {"old": Cost("default", 1.0, 80)})
    assert settled(budget, "containers", {"young": Cost("default", 2.0, 80)}) == (set(), [])


_COSTS = st.builds(
    Cost, st.sampled_from(["a", "b"]), st.none() | st.floats(0, 1e9), st.integers(min_value=0, max_value=50)
)


@given(st.dictionaries(st.text(min_size=1, max_size=3), _COSTS, max_size=20), st.integers(1, 100))
def test_no_namespace_is_ever_over_its_budget(costs: dict[str, Cost], series_max: int) -> None:
    """Whatever pods there are, those that stay fit; and where all fit, all stay."""
    dropped, _ = settled(Budget(series_max), "containers", costs)
    for namespace in ("a", "b"):
        mine = {uid: cost for uid, cost in costs.items() if cost.namespace == namespace}
        assert sum(cost.series for uid, cost in mine.items() if uid not in dropped) <= series_max
        if sum(cost.series for cost in mine.values()) <= series_max:
            assert not dropped & mine.keys()


def test_the_counter_has_the_published_name() -> None:
    """Dashboards select it by this name and these labels."""
    assert (DROPPED.name, DROPPED.labels) == ("headroom_series_dropped_total", ("namespace", "reason"))
