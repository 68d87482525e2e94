"""Local storage limits."""

from __future__ import annotations

from typing import Any

import pytest

from agent.eviction.layout import Layout
from agent.eviction.limits import CONTAINER, EMPTY_DIR, POD, Offender, offenders
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.summary import parse_summary
from tests.kubelet.bodies import RECORDINGS, body
from tests.unit.eviction.pod_documents import Json, container, item, pods_of, statistics, summary_of, used


def exceeded(pod: Json, stats: Json, layout: Layout = "single") -> str | None:
    """The limit of the one pod."""
    found = offenders(pods_of([pod]), summary_of([stats]), layout)
    assert [(one.namespace, one.pod) for one in found] in ([], [("default", "p")])
    return found[0].limit if found else None


def limited(name: str, limit: str, **more: Any) -> Json:
    return container(name, limits={"ephemeral-storage": limit}, **more)


def storage(size: int) -> Json:
    return {"ephemeral-storage": {"usedBytes": size}}


@pytest.mark.parametrize(
    ("source", "size", "limit"),
    [
        ({"emptyDir": {"sizeLimit": "10"}}, 11, EMPTY_DIR),
        ({"emptyDir": {"sizeLimit": "10"}}, 10, None),
        ({"emptyDir": {"sizeLimit": "1500m"}}, 2, EMPTY_DIR),
        ({"emptyDir": {"sizeLimit": "10", "medium": "Memory"}}, 11, EMPTY_DIR),
        ({"emptyDir": {"sizeLimit": "0"}}, 11, None),
        ({"emptyDir": {"sizeLimit": "-1"}}, 11, None),
        ({"emptyDir": {}}, 11, None),
        ({"emptyDir": {"sizeLimit": "10"}}, (1 << 64) - 1, None),  # wrapped
        ({"hostPath": {"path": "/"}}, 11, None),
    ],
)
def test_an_empty_directory(source: Json, size: int, limit: str | None) -> None:
    """More than its size limit, on whatever medium; a limit of nothing is none."""
    pod = item("p", container(), volumes=[{"name": "other", "emptyDir": {"sizeLimit": "99"}}, {"name": "v", **source}])
    assert exceeded(pod, statistics("p", volumes={"v": size, "other": 1})) == limit


def test_a_directory_without_statistics_exceeds_nothing() -> None:
    """It is measured a minute after the pod was started."""
    pod = item("p", container(), volumes=[{"name": "v", "emptyDir": {"sizeLimit": "10"}}])
    assert exceeded(pod, statistics("p")) is None
    assert exceeded(pod, statistics("p", volume=[{"name": "v", "inodesUsed": 99}])) is None


@pytest.mark.parametrize(
    ("pod", "size", "limit"),
    [
        (item("p", limited("c", "60"), limited("d", "40")), 101, POD),
        (item("p", limited("c", "60"), limited("d", "40")), 100, None),
        (item("p", limited("c", "60"), container("d")), 61, POD),
        (item("p", container("c")), 1 << 40, None),
        (item("p", limited("c", "0")), 1, POD),
        (item("p", limited("c", "0"), overhead={"ephemeral-storage": "9"}), 1, POD),
        (item("p", limited("c", "60"), overhead={"ephemeral-storage": "9"}), 69, None),
        (item("p", limited("c", "60"), overhead={"ephemeral-storage": "9"}), 70, POD),
        (item("p", container("c"), overhead={"ephemeral-storage": "9"}), 70, None),
        (item("p", limited("c", "60"), initContainers=[limited("i", "80")]), 80, None),
        (item("p", limited("c", "1500m")), 2, POD),
        (item("p", limited("c", "9"), resources={"limits": {"memory": "1", "ephemeral-storage": "99"}}), 10, POD),
    ],
)
def test_a_pod(pod: Json, size: int, limit: str | None) -> None:
    """More than its containers may use together, or one of them while it starts."""
    assert exceeded(pod, statistics("p", **storage(size))) == limit


@pytest.mark.parametrize(
    ("layout", "limit"),
    [("single", CONTAINER), ("dedicated", None), ("split", None)],
)
def test_a_container(layout: Layout, limit: str | None) -> None:
    """Its logs, and its layer only where one filesystem has everything: 6 and 5 of 10."""
    pod = item("p", limited("c", "10"), limited("d", "99"))
    assert exceeded(pod, statistics("p", used("c", logs=6, rootfs=5), used("d", logs=1)), layout) == limit
    assert exceeded(pod, statistics("p", used("c", logs=11), used("d", logs=1)), layout) == CONTAINER
    assert exceeded(pod, statistics("p", used("c", logs=10), used("d", logs=1)), layout) is None


@pytest.mark.parametrize(
    "pod",
    [
        item("p", limited("c", "0"), container("d")),
        item("p", container("d"), initContainers=[limited("c", "10")]),
        item("p", container("d"), initContainers=[limited("c", "10", restartPolicy="Always")]),
    ],
)
def test_containers_that_are_not_looked_at(pod: Json) -> None:
    """A limit of nothing is none, and a sidecar's counts for the pod alone."""
    assert exceeded(pod, statistics("p", used("c", logs=11))) is None


def test_the_first_limit_is_told() -> None:
    """A pod goes once, for what the kubelet looks at first."""
    pod = item("p", limited("c", "10"), volumes=[{"name": "v", "emptyDir": {"sizeLimit": "10"}}])
    over = used("c", logs=11)
    assert exceeded(pod, statistics("p", over, volumes={"v": 11}, **storage(22))) == EMPTY_DIR
    assert exceeded(pod, statistics("p", over, volumes={"v": 1}, **storage(12))) == POD
    assert exceeded(pod, statistics("p", over, volumes={"v": 1}, **storage(10))) == CONTAINER


def test_every_offender_goes_in_one_pass() -> None:
    """But critical pods, those that ended, and those without statistics."""
    names = ("a", "b", "critical", "ended", "unknown", "small")
    more: dict[str, Json] = {"critical": {"priority": 2_000_000_000}, "ended": {"phase": "Failed"}}
    pods = pods_of(item(name, limited("c", "10"), **more.get(name, {})) for name in names)
    said = [statistics(name, **storage(1 if name == "small" else 11)) for name in names if name != "unknown"]
    assert offenders(pods, summary_of(said), "single") == (Offender("default", "a", POD), Offender("default", "b", POD))


@pytest.mark.parametrize("recording", RECORDINGS)
@pytest.mark.parametrize("layout", ["single", "dedicated", "split"])
def test_recorded_nodes_have_none(recording: str, layout: Layout) -> None:
    """bu-multi has limits and is far below them."""
    pods, summary = parse_pods(body(recording, "pods")), parse_summary(body(recording, "stats_summary"))
    assert offenders(pods, summary, layout) == ()
