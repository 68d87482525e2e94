"""``/pods``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.errors import Malformed
from agent.sources.kubelet.pods import Condition, ContainerSpec, ContainerStatus, Owner, Pod, VolumeSpec, parse_pods
from tests.kubelet.bodies import RECORDINGS, body, said

ID = "3eff6c36b944e696f30f31a9dc8ccfa1a6384d088376f4a8ed22cf912a548c3b"


def pod_of(**parts: Any) -> Pod:
    """One pod from its ``metadata``, ``spec`` and ``status``."""
    metadata = {"namespace": "ns", "name": "p", "uid": "u-1", **parts.pop("metadata", {})}
    (pod,) = parse_pods(json.dumps({"items": [{"metadata": metadata, **parts}]}).encode())
    return pod


@pytest.mark.parametrize("recording", RECORDINGS)
def test_a_recorded_list_has_every_pod_and_container(recording: str) -> None:
    """Names, phases and ids are those of the document."""
    pods, items = parse_pods(body(recording, "pods")), said(recording, "pods")["items"]
    assert [pod.name for pod in pods] == [item["metadata"]["name"] for item in items]
    assert [pod.phase for pod in pods] == [item["status"]["phase"] for item in items]
    for pod, item in zip(pods, items, strict=True):
        spec, status = item["spec"], item["status"]
        assert [c.name for c in pod.containers] == [
            c["name"] for c in spec.get("initContainers", []) + spec["containers"]
        ]
        statuses = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        assert [s.container_id for s in pod.statuses] == [
            s.get("containerID", "").removeprefix("containerd://") for s in statuses
        ]
        assert [s.restarts for s in pod.statuses] == [s["restartCount"] for s in statuses]


def test_a_static_pod() -> None:
    """It comes from a file, is critical, was never created anywhere, and its cgroup has the hash for a name."""
    pod = next(pod for pod in parse_pods(body("idle", "pods")) if pod.name == "be-plain-rnode")
    assert [condition for condition in pod.conditions if condition.type == "Ready"] == [Condition("Ready", "True", "")]
    assert pod._replace(conditions=()) == Pod(
        namespace="default",
        name="be-plain-rnode",
        uid="5aec0c3c7a78fd6d453df4c47fb6d52c",
        node="rnode",
        phase="Running",
        reason="",
        host_network=True,
        priority=None,
        priority_class="",
        qos="BestEffort",
        labels={},
        static=True,
        cgroup_uid="5aec0c3c7a78fd6d453df4c47fb6d52c",
        created_s=None,
        started_s=1795217437.0,
        containers=(ContainerSpec("c", {}, {}, init=False, image="docker.io/local/bb:1"),),
        statuses=(
            ContainerStatus(
                name="c",
                container_id=ID,
                image="docker.io/local/bb:1",
                image_id="sha256:29ea1c6892301c66e932caa808f733a65703ff6e711dd6f492259d6d04d8a5fd",
                state="running",
                reason="",
                last_reason="",
                last_exit_code=None,
                restarts=0,
                ready=True,
                init=False,
                started_s=1795217319.0,
                runtime="containerd",
            ),
        ),
        overhead={},
        critical=True,
    )


def test_a_pod_of_the_api_server() -> None:
    """Init containers first, a sidecar told apart, requests and limits as numbers, absent ones absent."""
    pod = next(pod for pod in parse_pods(body("memory-pressure", "pods")) if pod.name == "bu-multi")
    assert (pod.static, pod.critical, pod.priority) == (False, False, 0)
    assert pod.cgroup_uid == pod.uid == "b78977da-b1ce-4c9e-acf2-58874a572c86"
    assert [(c.name, c.init, c.sidecar) for c in pod.containers[:3]] == [
        ("init", True, False),
        ("sidecar", True, True),
        ("a", False, False),
    ]
    assert pod.containers[2].requests == {"cpu": 0.05, "ephemeral-storage": 10 << 20, "memory": 32 << 20}
    assert pod.containers[2].limits == {"ephemeral-storage": 200 << 20, "memory": 128 << 20}


def test_an_evicted_pod() -> None:
    """It failed for a reason, which is told in a sentence too, and has no container."""
    pod = next(pod for pod in parse_pods(body("memory-pressure", "pods")) if pod.name == "hog")
    assert (pod.phase, pod.reason, pod.statuses) == ("Failed", "Evicted", ())
    assert pod.message == "Pod was rejected: The node had condition: [MemoryPressure]. "


def test_a_container_that_is_killed_again_and_again() -> None:
    """The present state and the one before it each have a reason."""
    pod = next(pod for pod in parse_pods(body("idle", "pods")) if pod.name == "oom-rnode")
    (status,) = pod.statuses
    assert (status.state, status.reason) == ("terminated", "OOMKilled")
    assert (status.last_reason, status.last_exit_code, status.restarts) == ("OOMKilled", 137, 7)
    assert status.started_s == 1795217483.0


def test_a_waiting_container_has_no_id() -> None:
    """CrashLoopBackOff and ImagePullBackOff are reasons of waiting; an ephemeral container is marked."""
    status = {"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}, "restartCount": 0, "image": "i"}
    pod = pod_of(status={"containerStatuses": [status], "ephemeralContainerStatuses": [{**status, "name": "debug"}]})
    assert [(s.name, s.container_id, s.state, s.reason, s.ready, s.ephemeral) for s in pod.statuses] == [
        ("c", "", "waiting", "ImagePullBackOff", False, False),
        ("debug", "", "waiting", "ImagePullBackOff", False, True),
    ]


@pytest.mark.parametrize("runtime", ["containerd", "cri-o", "docker"])
def test_a_container_id_is_without_its_runtime(runtime: str) -> None:
    """As it is in the name of its cgroup."""
    pod = pod_of(status={"containerStatuses": [{"name": "c", "containerID": f"{runtime}://{ID}"}]})
    assert pod.statuses[0].container_id == ID


@pytest.mark.parametrize(
    ("priority", "critical"), [(1_999_999_999, False), (2_000_000_000, True), (2_000_001_000, True)]
)
def test_a_critical_pod_has_a_system_priority(priority: int, critical: bool) -> None:
    """From system-cluster-critical upwards the kubelet does not evict."""
    pod = pod_of(spec={"priority": priority, "priorityClassName": "x"})
    assert (pod.critical, pod.priority, pod.priority_class) == (critical, priority, "x")


def test_only_a_static_pod_is_believed_its_hash() -> None:
    """Anybody may put that annotation on a pod of the API server; its cgroup keeps the uid."""
    annotations = {"kubernetes.io/config.hash": "0" * 32, "kubernetes.io/config.source": "api"}
    assert pod_of(metadata={"annotations": annotations}).cgroup_uid == "u-1"
    annotations["kubernetes.io/config.source"] = "file"
    assert pod_of(metadata={"annotations": annotations}).cgroup_uid == "0" * 32
    assert pod_of(metadata={"annotations": {}}).static is False


def test_resources_of_the_pod_as_a_whole() -> None:
    """Overhead of its runtime class, and requests of the pod besides those of its containers."""
    pod = pod_of(spec={"overhead": {"memory": "120Mi"}, "resources": {"requests": {"cpu": "2"}, "limits": None}})
    assert (pod.overhead, pod.requests, pod.limits) == ({"memory": 120 << 20}, {"cpu": 2}, {})


@pytest.mark.parametrize("amount", ["10e399", "9" * 5000])
def test_whoever_writes_a_limit_hides_no_other_pod(amount: str) -> None:
    """The API server takes a limit of any size, so the whole list must not fall with it."""
    asked = {"requests": {"memory": "1"}, "limits": {"memory": amount}}
    volume = {"name": "v", "emptyDir": {"sizeLimit": amount}}
    pod = pod_of(spec={"containers": [{"name": "c", "resources": asked}], "volumes": [volume]})
    assert pod.containers[0].limits == {"memory": 10**308}
    assert pod.volumes[0].size_limit_bytes == 10**308


def test_a_pod_of_nothing_but_its_name() -> None:
    """Every other field is absent, which is not 0."""
    pod = pod_of()
    assert (pod.priority, pod.created_s, pod.started_s, pod.containers, pod.labels) == (None, None, None, (), {})
    assert parse_pods(b'{"items": null}') == parse_pods(b"{}") == ()


@pytest.mark.parametrize("missing", ["namespace", "name", "uid"])
def test_a_pod_without_an_identity_is_malformed(missing: str) -> None:
    """Nothing could be said of it."""
    with pytest.raises(Malformed, match=f"{missing}: missing"):
        pod_of(metadata={missing: ""})


def test_addresses_and_owners() -> None:
    """What a pod belongs to, and where it is; without a flag an owner is no controller."""
    owners = [{"kind": "ReplicaSet", "name": "rs", "controller": True}, {"kind": "Tenant", "name": "t"}]
    pod = pod_of(metadata={"ownerReferences": owners}, status={"hostIP": "10.0.0.1", "podIP": "10.1.0.1"})
    assert pod.owners == (Owner("ReplicaSet", "rs", True), Owner("Tenant", "t", False))
    assert (pod.host_ip, pod.pod_ip) == ("10.0.0.1", "10.1.0.1")


def test_volumes_of_a_recorded_pod() -> None:
    """Two empty directories: one on the node's disk, one in memory."""
    pod = next(pod for pod in parse_pods(body("idle", "pods")) if pod.name == "bu-multi-rnode")
    assert pod.volumes == (VolumeSpec("scratch", "emptyDir"), VolumeSpec("tmpfsvol", "emptyDir", "Memory", 64 << 20))


@pytest.mark.parametrize(
    ("volume", "spec"),
    [
        ({"name": "v", "emptyDir": {}}, VolumeSpec("v", "emptyDir", "", None)),
        ({"name": "v", "emptyDir": {"sizeLimit": "0"}}, VolumeSpec("v", "emptyDir", "", 0)),
        ({"name": "v", "emptyDir": {"sizeLimit": "1500m"}}, VolumeSpec("v", "emptyDir", "", 1.5)),
        ({"emptyDir": {"medium": "HugePages-2Mi"}, "name": "v"}, VolumeSpec("v", "emptyDir", "HugePages-2Mi", None)),
        ({"name": "v"}, VolumeSpec("v", "emptyDir", "", None)),
        ({"name": "v", "hostPath": None, "secret": {"secretName": "s"}}, VolumeSpec("v", "secret")),
        ({"name": "v", "configMap": {"name": "m"}}, VolumeSpec("v", "configMap")),
        ({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}, VolumeSpec("v", "persistentVolumeClaim")),
        ({"name": "v", "hostPath": {"path": "/", "medium": 1, "sizeLimit": 1}}, VolumeSpec("v", "hostPath")),
    ],
)
def test_a_volume_is_of_the_kind_that_its_key_says(volume: dict[str, Any], spec: VolumeSpec) -> None:
    """Medium and size limit are an empty directory's, which a volume without a source is too."""
    assert pod_of(spec={"volumes": [volume]}).volumes == (spec,)


@pytest.mark.parametrize(
    "volume",
    [
        {"emptyDir": {}},
        {"name": "v", "emptyDir": []},
        {"name": "v", "secret": "s"},
        {"name": "v", "emptyDir": {"sizeLimit": "lots"}},
        {"name": "v", "emptyDir": {"sizeLimit": 5}},
        {"name": "v", "emptyDir": {"medium": 5}},
    ],
)
def test_a_volume_of_other_types_is_malformed(volume: dict[str, Any]) -> None:
    """Without a name, with a source that is no object, or with a size that is no quantity."""
    with pytest.raises(Malformed):
        pod_of(spec={"volumes": [volume]})
