"""The order in which the kubelet would take pods."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.eviction.layout import Layout, layout_of
from agent.eviction.ranking import (
    Candidate,
    candidates_direct_memory,
    candidates_direct_pids,
    candidates_from_summary,
    rank,
)
from agent.eviction.signals import MEMORY, NODEFS, NODEFS_INODES, PIDS, SIGNALS
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.summary import parse_summary
from tests.kubelet.bodies import body
from tests.unit.eviction.naive_ranking import naive_order
from tests.unit.eviction.pod_documents import (
    Json,
    container,
    item,
    pods_of,
    statistics,
    summary_of,
    used,
    working_set,
)

MB = 1_000_000
MI = 1 << 20
LAYOUTS: tuple[Layout, ...] = ("single", "dedicated", "split")


def order(signal: str, items: list[Json], statistics: list[Json], layout: Layout = "single") -> list[str]:
    """Names of the first ten, by what the kubelet has."""
    candidates = candidates_from_summary(signal, pods_of(items), summary_of(statistics), layout)
    return [one.name for one in rank(signal, candidates)]


def asking(**requests: str) -> Json:
    return container(requests={name.replace("_", "-"): amount for name, amount in requests.items()})


# A memory eviction as it went on a real node, where the kubelet's statistics of ev-d were still 0 though it held
# 400 MB. Known are the two orders, the working sets of ev-a and ev-d, and that ev-d is BestEffort. Of the others the
# requests and working sets are invented: ev-c exceeds its request, ev-e and ev-b do not.
EVICTION = [
    item("ev-a", container()),
    item("ev-b", asking(memory="200Mi")),
    item("ev-c", container()),
    item("ev-d", container()),
    item("ev-e", asking(memory="64Mi")),
]
WORKING_SETS = {"ev-a": 101 * MB, "ev-b": 50 * MB, "ev-c": 40 * MB, "ev-d": 0, "ev-e": 40 * MB}


def test_a_pod_of_new_statistics_is_mistaken() -> None:
    """Not the one that eats the memory goes first, but one whose statistics are known."""
    said = [statistics(name, **working_set(size)) for name, size in WORKING_SETS.items()]
    assert order(MEMORY, EVICTION, said) == ["ev-a", "ev-c", "ev-d", "ev-e", "ev-b"]


def test_with_fresh_statistics_the_culprit_goes_first() -> None:
    """What the kubelet ranked in the next pass, and what a direct reading ranks at once."""
    fresh = {**WORKING_SETS, "ev-d": 400 * MB}
    left = [item for item in EVICTION if item["metadata"]["name"] != "ev-a"]
    said = [statistics(name, **working_set(size)) for name, size in fresh.items()]
    assert order(MEMORY, left, said) == ["ev-d", "ev-c", "ev-e", "ev-b"]
    working_sets = {f"uid-{name}": size for name, size in fresh.items()}
    direct = rank(MEMORY, candidates_direct_memory(pods_of(EVICTION), working_sets))
    assert [one.name for one in direct] == ["ev-d", "ev-a", "ev-c", "ev-e", "ev-b"]


def test_an_eviction_for_disk() -> None:
    """As it went on a real node with a dedicated imagefs: its layers are of no account, nor is their owner's priority.

    Known are the order, the size of nf-d, the priority of nf-c, and request and use of nf-b; bu-rootfs has the request
    of the recorded one, and the last four write nothing but to layers. The other sizes are invented.
    """
    scratch = {"volumes": [{"name": "scratch", "emptyDir": {}}]}
    items = [
        item("be-plain", container()),
        item("bu-rootfs", asking(ephemeral_storage="5Mi")),
        item("gu-cpu", container()),
        item("nf-a", container(), **scratch),
        item("nf-b", asking(ephemeral_storage="300Mi"), **scratch),
        item("nf-c", container(), priority=1000, **scratch),
        item("nf-d", container(), **scratch),
        item("nf-log", container()),
    ]
    said = [
        *(statistics(name, used(rootfs=8192, logs=0)) for name in ("be-plain", "gu-cpu")),
        statistics("bu-rootfs", used(rootfs=13 * MI, logs=49152)),
        statistics("nf-a", used(rootfs=8192, logs=0), volumes={"scratch": 150 * MB}),
        statistics("nf-b", used(rootfs=8192, logs=0), volumes={"scratch": 200 * MI}),
        statistics("nf-c", used(rootfs=8192, logs=0), volumes={"scratch": 180 * MB}),
        statistics("nf-d", used(rootfs=8192, logs=0), volumes={"scratch": 241 * MB}),
        statistics("nf-log", used(rootfs=8192, logs=60 * MB)),
    ]
    expected = ["nf-d", "nf-a", "nf-log", "nf-c", "be-plain", "gu-cpu", "bu-rootfs", "nf-b"]
    assert order(NODEFS, items, said, "dedicated") == expected


def test_recorded_memory_pressure() -> None:
    """As the node then went on: the pod without statistics, who exceeds, who does not. Ended ones are gone."""
    pods, summary = parse_pods(body("memory-pressure", "pods")), parse_summary(body("memory-pressure", "stats_summary"))
    candidates = candidates_from_summary(MEMORY, pods, summary, layout_of(summary.node, dedicated=True))
    ranked = rank(MEMORY, candidates)
    assert [one.name for one in ranked] == ["oom", "pidder", "bu-rootfs", "bu-multi", "gu-cpu"]
    assert [one.usage for one in ranked] == [None, 4624384, 1744896, 65015808, 843776]
    # a sidecar's 8 Mi, 32 Mi and 64 Mi run together
    assert [one.request for one in ranked] == [16 * MI, 0, 16 * MI, 104 * MI, 64 * MI]


@pytest.mark.parametrize("recording", ["idle", "imagefs-is-nodefs"])
def test_static_pods_are_never_taken(recording: str) -> None:
    """Nodes that have no others: nobody can be evicted, whatever is short."""
    pods, summary = parse_pods(body(recording, "pods")), parse_summary(body(recording, "stats_summary"))
    for signal in SIGNALS:
        candidates = candidates_from_summary(signal, pods, summary, "single")
        assert len(candidates) == len(pods) - 1  # one has ended
        assert rank(signal, candidates) == []


def test_a_critical_pod_is_passed_over() -> None:
    """The hog of the node stays: the kubelet says so and takes the next."""
    items = [item("crit", container(), priority=2_000_001_000), item("small", container(), priority=1)]
    said = [statistics("crit", **working_set(1500 * MB)), statistics("small", **working_set(1))]
    assert order(MEMORY, items, said) == ["small"]


def test_pids() -> None:
    """Priority comes before anything, even before statistics; then the number of processes. There is no request."""

    def tasks(name: str, count: int) -> Json:
        return statistics(name, process_stats={"process_count": count})

    items = [
        item("few", container()),
        item("many", asking(memory="1Gi")),
        item("none", container()),
        item("low", container(), priority=-1),
        item("high", container(), priority=1),
    ]
    said = [tasks("few", 1), tasks("many", 31), tasks("low", 1)]
    assert order(PIDS, items, said) == ["low", "none", "many", "few", "high"]


def test_whoever_asked_for_bytes_loses_no_pod_to_inodes() -> None:
    """The quirk: bytes asked for are subtracted from a number of inodes."""
    items = [item("asks", asking(ephemeral_storage="1Mi")), item("uses", container()), item("nothing", container())]
    said = [
        statistics("asks", {"name": "c", "logs": {"inodesUsed": 60_000, "usedBytes": 9}}),
        statistics("uses", {"name": "c", "logs": {"inodesUsed": 1, "usedBytes": 9}}),
        statistics("nothing", {"name": "c", "logs": {"inodesUsed": 0, "usedBytes": 9}}),
    ]
    assert order(NODEFS_INODES, items, said) == ["uses", "asks", "nothing"]
    assert order(NODEFS, items, said) == ["nothing", "uses", "asks"]


@pytest.mark.parametrize(
    ("layout", "signal", "usage"),
    [
        ("single", "nodefs.available", 1 + 10 + 100),
        ("single", "imagefs.available", 1 + 10 + 100),
        ("single", "containerfs.available", 1 + 10 + 100),
        ("dedicated", "nodefs.available", 10 + 100),
        ("dedicated", "imagefs.available", 1),
        ("dedicated", "containerfs.available", 1),
        ("split", "nodefs.available", 1 + 10 + 100),
        ("split", "imagefs.available", 0),
        ("split", "containerfs.available", 1 + 10 + 100),
    ],
)
def test_what_counts_is_what_lies_on_that_disk(layout: Layout, signal: str, usage: int) -> None:
    """Layers 1, logs 10, volumes 100."""
    pods = pods_of([item("p", container(), volumes=[{"name": "v", "hostPath": {"path": "/"}}])])
    summary = summary_of([statistics("p", used(rootfs=1, logs=10), volumes={"v": 100})])
    (one,) = candidates_from_summary(signal, pods, summary, layout)
    assert one == Candidate("default", "p", "uid-p", 0, False, usage, 0)


@pytest.mark.parametrize(
    ("source", "usage"),
    [
        ({"emptyDir": {}}, 7),
        ({"emptyDir": {"medium": "Memory"}}, 0),
        ({"emptyDir": {"medium": "HugePages"}}, 0),
        ({"configMap": {"name": "m"}}, 7),
        ({"gitRepo": {"repository": "r"}}, 7),
        ({"hostPath": {"path": "/"}}, 7),
        ({"secret": {"secretName": "s"}}, 0),
        ({"projected": {}}, 0),
        ({"downwardAPI": {}}, 0),
        ({"persistentVolumeClaim": {"claimName": "c"}}, 0),
        ({"ephemeral": {}}, 0),
    ],
)
def test_only_these_volumes_are_local(source: Json, usage: int) -> None:
    """As far as the kubelet counts."""
    pods = pods_of([item("p", container(), volumes=[{"name": "v", **source}])])
    (one,) = candidates_from_summary(NODEFS, pods, summary_of([statistics("p", volumes={"v": 7})]), "single")
    assert one.usage == usage


@pytest.mark.parametrize("signal", SIGNALS)
def test_numbers_that_are_missing_are_nothing_used(signal: str) -> None:
    """A pod with statistics, though without the number, is not one without statistics."""
    (one,) = candidates_from_summary(signal, pods_of([item("p", container())]), summary_of([statistics("p")]), "single")
    assert one.usage == 0


def test_a_number_that_wrapped_is_a_small_one() -> None:
    """The kubelet takes 2**64 - 1 for -1."""
    items = [item("wrapped", container()), item("p", container())]
    said = [statistics("wrapped", **working_set((1 << 64) - 1)), statistics("p", **working_set(0))]
    assert order(MEMORY, items, said) == ["p", "wrapped"]


def test_equals_are_ordered_by_name() -> None:
    """The kubelet would leave it to chance."""
    items = [item(name, container()) for name in ("c", "a", "b")]
    assert order(MEMORY, items, [statistics(name) for name in "abc"]) == ["a", "b", "c"]
    assert order(MEMORY, items, []) == ["a", "b", "c"]


def test_ten_are_told() -> None:
    """Or as many as wanted."""
    pods = pods_of(item(f"p{n:02}", container()) for n in range(12))
    candidates = candidates_from_summary(MEMORY, pods, summary_of([]), "single")
    assert [one.name for one in rank(MEMORY, candidates)] == [f"p{n:02}" for n in range(10)]
    assert len(rank(MEMORY, candidates, 99)) == 12
    assert len(rank(MEMORY, candidates, 1)) == 1


def test_only_pods_that_did_not_end() -> None:
    """Also one that waits to be started: without statistics, it goes first."""
    phases = ("Running", "Pending", "Unknown", "Failed", "Succeeded", "")
    items = [item(phase or "new", container(), phase=phase) for phase in phases]
    assert sorted(order(MEMORY, items, [])) == ["Pending", "Running", "Unknown", "new"]


@pytest.mark.parametrize(
    ("spec", "request_"),
    [
        ({}, 10),
        ({"initContainers": [container("i", {"memory": "25"})]}, 25),
        ({"initContainers": [container("s", {"memory": "5"}, restartPolicy="Always")]}, 15),
        (
            {
                "initContainers": [
                    container("s", {"memory": "5"}, restartPolicy="Always"),
                    container("i", {"memory": "25"}),
                    container("t", {"memory": "1"}, restartPolicy="Always"),
                ]
            },
            30,
        ),
        ({"overhead": {"memory": "7"}}, 17),
        ({"resources": {"requests": {"memory": "4"}}}, 4),
        ({"resources": {"requests": {"memory": "4"}}, "overhead": {"memory": "7"}}, 11),
        ({"resources": {"limits": {"cpu": "4"}}}, 0),
        ({"resources": {"limits": {"cpu": "4"}}, "overhead": {"memory": "7"}}, 0),
        ({"resources": {"requests": {"hugepages-2Mi": "2Mi"}}}, 0),
        ({"resources": {"requests": {"example.com/gpu": "4"}}}, 10),
    ],
)
def test_what_a_pod_asked_for(spec: Json, request_: int) -> None:
    """All that run together, or more while it starts; resources of the whole pod replace these; overhead on top."""
    pods = pods_of([item("p", container("c", {"memory": "10"}), **spec)])
    (one,) = candidates_from_summary(MEMORY, pods, summary_of([]), "single")
    assert one.request == request_


def test_resources_of_the_pod_hide_its_containers_storage() -> None:
    """The kubelet then looks at those of the pod alone, which cannot ask for storage."""
    pods = pods_of([item("p", asking(ephemeral_storage="10"), resources={"requests": {"memory": "4"}})])
    (one,) = candidates_from_summary(NODEFS, pods, summary_of([]), "single")
    assert one.request == 0


@pytest.mark.parametrize("request_", ["1e300", "-1e300", "999999999999999999999999999999.5", "1500m", "-0.5"])
def test_an_absurd_request_costs_nothing_else(request_: str) -> None:
    """Whoever writes a pod's spec must not be able to end the ranking."""
    items = [item("absurd", asking(memory=request_), asking(memory="0.5")), item("p", container())]
    said = [statistics("absurd", **working_set(5)), statistics("p", **working_set(9))]
    assert set(order(MEMORY, items, said)) == {"absurd", "p"}


def test_a_direct_reading_is_by_the_name_of_the_cgroup() -> None:
    """Who ran when the kubelet told, and has no cgroup now, is gone: it must not stand before all that can still go."""
    static = item("static", container())
    static["metadata"]["annotations"] = {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "0f"}
    pods = pods_of([static, item("p", asking(memory="4")), item("gone", container())])
    read = {"0f": 3, "uid-p": 5, "uid-other": 7, "uid-static": 9}
    memory, pids = candidates_direct_memory(pods, read), candidates_direct_pids(pods, read)
    assert [(one.name, one.critical, one.usage, one.request) for one in memory] == [
        ("static", True, 3, 0),
        ("p", False, 5, 4),
    ]
    assert [(one.name, one.usage, one.request) for one in pids] == [("static", 3, 0), ("p", 5, 0)]


def test_a_sandbox_alone_is_no_statistic() -> None:
    """A pod whose container crashes again and again is not in the summary, though it has a cgroup."""
    pods = pods_of([item("loops", container(), running=False), item("p", container())])
    ranked = rank(MEMORY, candidates_direct_memory(pods, {"uid-loops": 1, "uid-p": 5}))
    assert [(one.name, one.usage) for one in ranked] == [("loops", None), ("p", 5)]


# Few values, so that equals are common.
AMOUNTS = st.integers(0, 4)
RESOURCES = st.dictionaries(st.sampled_from(["memory", "ephemeral-storage", "cpu"]), AMOUNTS.map(str), max_size=3)
SOURCES = ("emptyDir", "configMap", "gitRepo", "hostPath", "secret", "projected")


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


SPACE = some(usedBytes=AMOUNTS, inodesUsed=AMOUNTS)
CONTAINERS = st.lists(RESOURCES.map(lambda asked: container("c", asked)), max_size=2)
INITS = st.lists(
    st.tuples(RESOURCES, st.booleans()).map(
        lambda pair: container("i", pair[0], **({"restartPolicy": "Always"} if pair[1] else {}))
    ),
    max_size=3,
)
WHOLE = some(
    requests=st.fixed_dictionaries({}, optional={"memory": AMOUNTS.map(str)}),
    limits=st.fixed_dictionaries({}, optional={"cpu": AMOUNTS.map(str)}),
)
VOLUMES = st.lists(st.tuples(st.sampled_from(SOURCES), st.sampled_from(["", "Memory"])), max_size=3).map(
    lambda kinds: [
        {"name": f"v{n}", kind: {"medium": medium} if kind == "emptyDir" and medium else {}}
        for n, (kind, medium) in enumerate(kinds)
    ]
)
SPECS = st.fixed_dictionaries(
    {"containers": CONTAINERS},
    optional={
        "initContainers": INITS,
        "priority": st.sampled_from([-1, 0, 1, 2_000_000_000]),
        "overhead": RESOURCES,
        "resources": WHOLE,
        "volumes": VOLUMES,
    },
)
STATISTICS = st.fixed_dictionaries(
    {"containers": st.lists(some(rootfs=SPACE, logs=SPACE).map(lambda said: {"name": "c", **said}), max_size=2)},
    optional={
        "memory": some(workingSetBytes=AMOUNTS),
        "process_stats": some(process_count=AMOUNTS),
        "volume": st.lists(SPACE, max_size=3).map(lambda all: [{"name": f"v{n}", **one} for n, one in enumerate(all)]),
    },
)
PODS = st.lists(
    st.tuples(
        SPECS,
        st.sampled_from(["Running", "Running", "Running", "Pending", "Failed", "Succeeded"]),
        st.sampled_from(["api", "api", "api", "file"]),
        st.one_of(STATISTICS, STATISTICS, STATISTICS, st.none()),
    ),
    max_size=6,
)


@given(PODS, st.sampled_from(list(SIGNALS)), st.sampled_from(LAYOUTS))
def test_the_order_is_that_of_a_naive_ranking(pods: list[Any], signal: str, layout: Layout) -> None:
    """Any pods, every signal, every layout: as if they were compared two by two, as the kubelet does."""
    items, said = [], []
    for n, (spec, phase, source, stats) in enumerate(pods):
        one = item(f"p{n}", phase=phase)
        one["metadata"]["annotations"] = {"kubernetes.io/config.source": source}
        items.append({**one, "spec": spec})
        if stats is not None:
            said.append({**statistics(f"p{n}"), **stats})
    candidates = candidates_from_summary(signal, pods_of(items), summary_of(said), layout)
    ranked = [(one.namespace, one.name) for one in rank(signal, candidates)]
    assert ranked == naive_order(signal, items, {"pods": said}, layout)
