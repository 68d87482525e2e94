"""The pod_state collector."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from agent.collectors.pod_state import PodState
from agent.collectors.selection import Cost, Selection
from agent.errors import Absent, Gone
from agent.model import Family, Writer
from agent.sources.host import Host
from agent.sources.kubelet.slot import Kubelet
from tests.kubelet import bodies
from tests.unit.kubelet_documents import Json, recorded, said, with_kubelet

Make = Callable[..., Host]
Collect = Callable[[Any], Any]

WAITING = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
RUNNING = {"running": {"startedAt": "2026-11-20T23:30:00Z"}}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
NAME = 'namespace="default",pod="a",uid="uid-a"'


def of(make_host: Make, kubelet: Kubelet, **selected: Any) -> PodState:
    return PodState(with_kubelet(make_host, kubelet), {"selection": Selection(selected)})


def pod(name: str = "a", spec: Json | None = None, status: Json | None = None, **metadata: Any) -> Json:
    identity = {"namespace": "default", "name": name, "uid": f"uid-{name}", **metadata}
    return {"metadata": identity, "spec": spec or {}, "status": status or {}}


def container(name: str, state: Json | None = None, **more: Any) -> Json:
    return {"name": name, "image": "i", "imageID": "d", "state": state or {}, "ready": False, "restartCount": 0, **more}


def of_family(samples: dict[str, float], name: str) -> dict[str, float]:
    """Values by the labels after the pod's."""
    start = f"{name}{{{NAME}"
    return {s.removeprefix(start).strip(",}"): value for s, value in samples.items() if s.startswith(start)}


def state_of(make_host: Make, collect: Collect, *items: Json) -> Any:
    return collect(of(make_host, said(list(items))))


def expected_of_statuses(node: str) -> dict[str, float]:
    """What kube-state-metrics would make of the recorded statuses, read without our parsers."""
    expected: dict[str, float] = {}
    for item in bodies.said(node, "pods")["items"]:
        metadata = item["metadata"]
        names = f'namespace="{metadata["namespace"]}",pod="{metadata["name"]}",uid="{metadata["uid"]}"'
        for kind, key in (("container", "containerStatuses"), ("init_container", "initContainerStatuses")):
            for status in item["status"].get(key, ()):
                labels, start = f'{names},container="{status["name"]}"', f"kube_pod_{kind}_status"
                expected[f"{start}_ready{{{labels}}}"] = int(status["ready"])
                expected[f"{start}_restarts_total{{{labels}}}"] = status["restartCount"]
                for state in ("running", "waiting", "terminated"):
                    expected[f"{start}_{state}{{{labels}}}"] = int(state in status["state"])
                for state in ("waiting", "terminated"):
                    if state in status["state"]:
                        reason = status["state"][state]["reason"]
                        expected[f'{start}_{state}_reason{{{labels},reason="{reason}"}}'] = 1
                last = status["lastState"].get("terminated")
                if last:
                    expected[f'{start}_last_terminated_reason{{{labels},reason="{last["reason"]}"}}'] = 1
                    expected[f"{start}_last_terminated_exitcode{{{labels}}}"] = last["exitCode"]
    return expected


@pytest.mark.parametrize("node", bodies.RECORDINGS)
def test_every_status_is_that_of_the_recorded_pods(node: str, make_host: Make, collect: Collect) -> None:
    """Exactly these series of container statuses come out of a real /pods."""
    samples = collect(of(make_host, recorded(node)))
    statuses = {series: value for series, value in samples.items() if "container_status_" in series}
    expected = expected_of_statuses(node)
    assert statuses == expected
    assert any("OOMKilled" in series for series in expected)
    assert any("kube_pod_init_container_" in series for series in expected)


def test_info_has_kube_state_metrics_labels(make_host: Make, collect: Collect) -> None:
    """In its order; a truth is a word; what the pod does not have is an empty label."""
    spec = {"nodeName": "node-a", "hostNetwork": True, "priorityClassName": "system-node-critical"}
    owners = [{"kind": "Tenant", "name": "t"}, {"kind": "ReplicaSet", "name": "rs", "controller": True}]
    status = {"hostIP": "10.0.0.1", "podIP": "10.1.0.1"}
    samples = state_of(make_host, collect, pod(spec=spec, status=status, ownerReferences=owners), pod("b"))
    assert {series: value for series, value in samples.items() if series.startswith("kube_pod_info")} == {
        f'kube_pod_info{{{NAME},host_ip="10.0.0.1",pod_ip="10.1.0.1",node="node-a",created_by_kind="ReplicaSet",'
        'created_by_name="rs",priority_class="system-node-critical",host_network="true"}': 1,
        'kube_pod_info{namespace="default",pod="b",uid="uid-b",host_ip="",pod_ip="",node="",created_by_kind="",'
        'created_by_name="",priority_class="",host_network="false"}': 1,
    }
    assert "# HELP kube_pod_info [STABLE] Information about pod.\n# TYPE kube_pod_info gauge\n" in samples.text


def test_owners_are_told_one_by_one(make_host: Make, collect: Collect) -> None:
    """A pod of nobody has one series with empty labels, as in kube-state-metrics."""
    owners = [{"kind": "Tenant", "name": "t"}, {"kind": "ReplicaSet", "name": "rs", "controller": True}]
    owned = of_family(state_of(make_host, collect, pod(ownerReferences=owners)), "kube_pod_owner")
    assert owned == {
        'owner_kind="Tenant",owner_name="t",owner_is_controller="false"': 1,
        'owner_kind="ReplicaSet",owner_name="rs",owner_is_controller="true"': 1,
    }
    alone = of_family(state_of(make_host, collect, pod()), "kube_pod_owner")
    assert alone == {'owner_kind="",owner_name="",owner_is_controller=""': 1}


def test_an_evicted_pod_says_so(make_host: Make, collect: Collect) -> None:
    """By its own reason and by the condition that the kubelet sets; a reason nobody lists is Other."""
    conditions = [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}]
    evicted = state_of(make_host, collect, pod(status={"reason": "Evicted", "conditions": conditions}))
    reasons = of_family(evicted, "kube_pod_status_reason")
    assert reasons == {'reason="Evicted"': 1, 'reason="TerminationByKubelet"': 1}
    other = state_of(make_host, collect, pod(status={"reason": "Tired"}))
    assert of_family(other, "kube_pod_status_reason") == {'reason="Other"': 1}
    done = {"containerStatuses": [container("c", {"terminated": {"exitCode": 0, "reason": "Shutdown"}})]}
    by_container = state_of(make_host, collect, pod(status=done))
    assert of_family(by_container, "kube_pod_status_reason") == {'reason="Shutdown"': 1}


def test_ready_is_a_condition(make_host: Make, collect: Collect) -> None:
    """All three states of the condition Ready; without it, none."""
    conditions = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "False"}]
    samples = state_of(make_host, collect, pod(status={"conditions": conditions}))
    ready = {'condition="true"': 0, 'condition="false"': 1, 'condition="unknown"': 0}
    assert of_family(samples, "kube_pod_status_ready") == ready
    assert not of_family(state_of(make_host, collect, pod()), "kube_pod_status_ready")


def test_phase_and_qos_are_state_sets(make_host: Make, collect: Collect) -> None:
    """All states of which one is 1; a pod of no known phase has none."""
    samples = state_of(make_host, collect, pod(status={"phase": "Failed", "qosClass": "Burstable"}))
    assert of_family(samples, "kube_pod_status_phase") == {
        'phase="Pending"': 0,
        'phase="Succeeded"': 0,
        'phase="Failed"': 1,
        'phase="Unknown"': 0,
        'phase="Running"': 0,
    }
    assert of_family(samples, "kube_pod_status_qos_class") == {
        'qos_class="BestEffort"': 0,
        'qos_class="Burstable"': 1,
        'qos_class="Guaranteed"': 0,
    }
    assert not of_family(state_of(make_host, collect, pod()), "kube_pod_status_phase")


def test_times_are_unix_times_or_absent(make_host: Make, collect: Collect) -> None:
    """A static pod of a kubelet alone has no creation."""
    moment = "2026-11-20T23:30:36Z"
    created = state_of(make_host, collect, pod(status={"startTime": moment}, creationTimestamp=moment))
    unix_s = datetime.fromisoformat(moment).timestamp()
    assert of_family(created, "kube_pod_created") == {"": unix_s}
    assert of_family(created, "kube_pod_start_time") == {"": unix_s}
    assert not of_family(state_of(make_host, collect, pod()), "kube_pod_created")


def test_a_crash_loop_says_why(make_host: Make, collect: Collect) -> None:
    """It waits because of the loop, and ended before because the kernel killed it."""
    crashing = container("c", WAITING, lastState=KILLED, restartCount=5)
    samples = state_of(make_host, collect, pod(status={"containerStatuses": [crashing]}))
    status = {name: of_family(samples, f"kube_pod_container_status_{name}") for name in ("running", "waiting", "ready")}
    assert status == {"running": {'container="c"': 0}, "waiting": {'container="c"': 1}, "ready": {'container="c"': 0}}
    waiting = of_family(samples, "kube_pod_container_status_waiting_reason")
    assert waiting == {'container="c",reason="CrashLoopBackOff"': 1}
    last = of_family(samples, "kube_pod_container_status_last_terminated_reason")
    assert last == {'container="c",reason="OOMKilled"': 1}
    assert of_family(samples, "kube_pod_container_status_last_terminated_exitcode") == {'container="c"': 137}
    assert of_family(samples, "kube_pod_container_status_restarts_total") == {'container="c"': 5}
    assert not of_family(samples, "kube_pod_container_status_terminated_reason")


def test_init_containers_have_their_own_names(make_host: Make, collect: Collect) -> None:
    """And ephemeral containers none, as in kube-state-metrics."""
    status = {
        "containerStatuses": [container("c", RUNNING)],
        "initContainerStatuses": [container("i", KILLED)],
        "ephemeralContainerStatuses": [container("debug", RUNNING)],
    }
    samples = state_of(make_host, collect, pod(status=status))
    assert of_family(samples, "kube_pod_container_status_running") == {'container="c"': 1}
    assert of_family(samples, "kube_pod_init_container_status_running") == {'container="i"': 0}
    reasons = of_family(samples, "kube_pod_init_container_status_terminated_reason")
    assert reasons == {'container="i",reason="OOMKilled"': 1}
    assert not [series for series in samples if "debug" in series]


def test_container_info_has_the_image(make_host: Make, collect: Collect) -> None:
    """As it was asked for, and as it is; the id with its runtime, and empty before there is one."""
    spec = {"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "i:2"}]}
    statuses = [container("c", RUNNING, containerID="containerd://3eff"), container("d", WAITING), container("gone")]
    samples = state_of(make_host, collect, pod(spec=spec, status={"containerStatuses": statuses}))
    assert of_family(samples, "kube_pod_container_info") == {
        'container="c",image_spec="i:1",image="i",image_id="d",container_id="containerd://3eff"': 1,
        'container="d",image_spec="i:2",image="i",image_id="d",container_id=""': 1,
    }


def test_requests_and_limits_are_in_base_units(make_host: Make, collect: Collect) -> None:
    """Cores and bytes, rounded up as Kubernetes does; what was not requested is absent."""
    resources = {
        "requests": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "1500m"},
        "limits": {"cpu": "1500u", "hugepages-2Mi": "4Mi", "example.com/gpu": "2", "pods": "3", "requests.x/y": "1"},
    }
    spec = {"nodeName": "n", "containers": [{"name": "c", "resources": resources}, {"name": "d", "resources": {}}]}
    samples = state_of(make_host, collect, pod(spec=spec))
    assert of_family(samples, "kube_pod_container_resource_requests") == {
        'container="c",node="n",resource="cpu",unit="core"': 0.1,
        'container="c",node="n",resource="memory",unit="byte"': 64 << 20,
        'container="c",node="n",resource="ephemeral_storage",unit="byte"': 2,
    }
    assert of_family(samples, "kube_pod_container_resource_limits") == {
        'container="c",node="n",resource="cpu",unit="core"': 0.002,
        'container="c",node="n",resource="hugepages_2Mi",unit="byte"': 4 << 20,
        'container="c",node="n",resource="example_com_gpu",unit="integer"': 2,
    }


@pytest.mark.parametrize("said", ["1e300", "999999999999999999999999999999.5"])
def test_an_absurd_quantity_costs_nothing_else(said: str, make_host: Make, collect: Collect) -> None:
    """Whoever writes a pod's spec must not be able to end the collector."""
    spec = {"containers": [{"name": "c", "resources": {"limits": {"cpu": said, "memory": said}}}]}
    limits = of_family(state_of(make_host, collect, pod(spec=spec)), "kube_pod_container_resource_limits")
    assert list(limits.values()) == [2.0**63, 2.0**63]


def test_use_against_request_is_one_division(make_host: Make, collect: Collect) -> None:
    """The recorded requests, in the unit of the recorded use."""
    samples = collect(of(make_host, recorded("memory-pressure")))
    values = {s: v for s, v in samples.items() if s.startswith("kube_pod_container_resource_requests{")}
    of_memory = {s: v for s, v in values.items() if 'pod="gu-cpu"' in s and 'resource="memory"' in s}
    assert list(of_memory.values()) == [64 << 20]


def test_excluded_pods_and_metrics_are_left_out(make_host: Make, collect: Collect) -> None:
    """By label, and by name."""
    items = [pod("a", labels={"team": "a"}), pod("b", labels={"team": "b"})]
    samples = collect(of(make_host, said(items), **{"label-exclude": ("team=a",)}))
    assert [series for series in samples if 'pod="a"' in series] == []
    assert len(samples) == 2
    assert len(collect(of(make_host, said(items), **{"metric-exclude": "^kube_pod_info$"}))) == 2


def test_pods_over_the_budget_lose_all_their_series(make_host: Make, collect: Collect) -> None:
    """The older pod stays whole."""
    items = [
        pod("b", status={"phase": "Running"}, creationTimestamp="2026-11-20T23:30:00Z"),
        pod("a", status={"phase": "Running"}, creationTimestamp="2026-11-20T23:00:00Z"),
    ]
    samples = collect(of(make_host, said(items), **{"series-per-namespace": 15}))
    assert len(samples) == 8  # info, owner, creation and five phases
    assert [series for series in samples if 'pod="b"' in series] == []
    assert [error.reason for error in samples.errors] == ["budget"]


def test_without_a_kubelet_there_is_nothing(make_host: Make, calls: Any) -> None:
    """No answer is Absent; one that is not renewed is Gone."""
    with pytest.raises(Absent):
        of(make_host, Kubelet()).collect(Writer())
    calls.now_monotonic_s = 10_000.0
    with pytest.raises(Gone):
        of(make_host, recorded("idle")).collect(Writer())


def test_names_are_kube_state_metrics_names() -> None:
    """No name of another subject, and init containers only under their own."""
    names = [family.name for family in PodState.families if isinstance(family, Family)]
    assert all(name.startswith("kube_pod_") for name in names)
    assert len(set(names)) == len(names) == 31
    assert all(family.labels[:3] == ("namespace", "pod", "uid") for family in PodState.families)


def test_a_pod_comes_back_when_there_is_room(make_host: Make) -> None:
    """With unchanged documents too: another collector's pods may have gone."""
    items = [
        pod("b", status={"phase": "Running"}, creationTimestamp="2026-11-20T23:30:00Z"),
        pod("a", status={"phase": "Running"}, creationTimestamp="2026-11-20T23:00:00Z"),
    ]
    selection = Selection({"series-per-namespace": 20, "metric-include": "kube_pod_status_phase"})
    collector = PodState(with_kubelet(make_host, said(items)), {"selection": selection})

    def series() -> int:
        out = Writer()
        collector.collect(out)
        return sum(len(block.keys) for block in out.blocks)

    assert series() == 10
    selection.budget.settle(Writer(), "containers", {"uid-b": Cost("default", None, 11)})
    assert series() == 5
    selection.budget.settle(Writer(), "containers", {})
    assert series() == 10
