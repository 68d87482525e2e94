"""The translator: what it makes of a pod's specification, and that it refuses whatever it does not know."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.image import bundle
from tests.image.bundle import Image, Node, Place, expand
from tests.image.fields import SpecError, bytes_of, millicores_of
from tests.image.pod import Pod, workload
from tests.image.seccomp import runtime_default

IMAGE = Image(("headroom",), ("agent",), ("PATH=/bin",), 65534, 65534)
NODE = Node("worker-7", "10.0.0.7", True, {("token", "", "token"): b"t", ("configMap", "ca", "ca.crt"): b"c"})
PLACE = Place("ns", "a-pod", "uid-1", "id-1", "/kubepods/id-1", "/bundle", "/image")
MINIMAL: Mapping[str, Any] = {
    "containers": [{"name": "c", "image": "i", "securityContext": {"capabilities": {"drop": ["ALL"]}}}]
}
Change = Callable[[dict[str, Any]], object]


def pod(change: Change = lambda spec: None) -> Pod:
    spec = json.loads(json.dumps(MINIMAL))
    change(spec)
    daemon_set = {"kind": "DaemonSet", "metadata": {"name": "x"}, "spec": {"template": {"metadata": {}, "spec": spec}}}
    return workload([{"kind": "Namespace", "metadata": {"name": "x"}}, daemon_set], "x")


def config(place: Path, change: Change = lambda spec: None) -> dict[str, Any]:
    """The bundle's config.json."""
    made = pod(change)
    bundle.write(place, made, IMAGE, NODE, PLACE)
    return dict(json.loads((place / "c/config.json").read_text()))


def container(**fields: Any) -> Change:
    return lambda spec: spec["containers"][0].update(fields)


def mounted(volume: dict[str, Any], **fields: Any) -> Change:
    def change(spec: dict[str, Any]) -> None:
        spec["volumes"] = [{"name": "v", **volume}]
        spec["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v", **fields}]

    return change


class TestRefusals:
    """An error that says what and where, whatever it is."""

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda spec: spec.update(shareProcessNamespace=True), r"template\.spec\.shareProcessNamespace: not known"),
            (lambda spec: spec.update(hostPID=True), r"template\.spec\.hostPID: True is not carried out"),
            (lambda spec: spec.update(hostNetwork=True), "hostNetwork: True"),
            (lambda spec: spec.update(automountServiceAccountToken=True), "automountServiceAccountToken"),
            (container(lifecycle={}), r"containers\[0\]\.lifecycle: not known here"),
            (container(livenessProbe={"exec": {"command": ["true"]}}), r"livenessProbe\.httpGet: missing"),
            (container(livenessProbe={"httpGet": {"port": 1}, "odd": 1}), r"livenessProbe\.odd: not known here"),
            (container(resources={"limits": {"nvidia.com/gpu": 1}}), r"limits\.nvidia\.com/gpu: not known here"),
            (container(resources={"limits": {"memory": "much"}}), "'much' is no amount of memory"),
            (container(securityContext={"privileged": True}), "privileged: True"),
            (container(securityContext={}), "capabilities: missing"),
            (container(securityContext={"capabilities": {"drop": ["NET_RAW"]}}), r"drop: only \[ALL\]"),
            (container(securityContext={"seccompProfile": {"type": "Unconfined"}}), "seccompProfile"),
            (container(volumeMounts=[{"name": "v", "mountPath": "/v"}]), "no volume is called v"),
            (container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {}}}]), r"valueFrom\.fieldRef: missing"),
            (mounted({"nfs": {}}), r"volumes\[0\]: no kind of volume"),
            (mounted({"hostPath": {"path": "/", "odd": 1}}), r"hostPath\.odd: not known here"),
            (mounted({"configMap": {"name": "ca", "optional": True}}), "optional: True"),
            (mounted({"hostPath": {"path": "/"}}, subPath="x"), r"volumeMounts\[0\]\.subPath: not known here"),
        ],
    )
    def test_what_is_not_carried_out(self, change: Change, said: str) -> None:
        with pytest.raises(SpecError, match=said):
            pod(change)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.x"}}}]),
                "fieldPath status.x",
            ),
            (mounted({"hostPath": {"path": "/"}}, mountPropagation="Bidirectional"), "mountPropagation Bidirectional"),
            (mounted({"configMap": {"name": "other", "items": [{"key": "a", "path": "a"}]}}), "no configMap other"),
            (container(startupProbe={"httpGet": {"port": "http"}}), "no port is called http"),
        ],
    )
    def test_what_this_node_cannot_do(self, tmp_path: Path, change: Change, said: str) -> None:
        with pytest.raises(SpecError, match=said):
            config(tmp_path, change)

    def test_root_where_that_is_forbidden(self, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match="runAsNonRoot"):
            config(tmp_path, lambda spec: spec.update(securityContext={"runAsNonRoot": True, "runAsUser": 0}))

    def test_more_than_one_container(self, tmp_path: Path) -> None:
        """Such a pod is translated, but not run: nothing of it is left out in silence."""
        with pytest.raises(SpecError, match="2 containers"):
            config(tmp_path, lambda spec: spec["containers"].append({**spec["containers"][0], "name": "d"}))

    def test_a_workload_that_is_not_there(self) -> None:
        with pytest.raises(SpecError, match="0 workloads are called y"):
            workload([], "y")


class TestProcess:
    def test_the_image_says_what_the_pod_does_not(self, tmp_path: Path) -> None:
        """Entry point, arguments and user."""
        process = config(tmp_path)["process"]
        assert process["args"] == ["headroom", "agent"]
        assert process["user"] == {"uid": 65534, "gid": 65534, "additionalGids": []}

    def test_a_command_of_its_own_takes_nothing_of_the_image_s(self, tmp_path: Path) -> None:
        """As Kubernetes has it: ``command`` drops the image's arguments, too."""
        assert config(tmp_path, container(command=["python3"]))["process"]["args"] == ["python3"]

    def test_variables_are_expanded(self, tmp_path: Path) -> None:
        """In arguments, and in later variables; fields are the node's."""
        env = [
            {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "URL", "value": "https://$(NODE_IP):10250"},
        ]
        process = config(tmp_path, container(args=["agent", "--url=$(URL)", "$(NONE)", "$$(URL)"], env=env))["process"]
        assert process["args"] == ["headroom", "agent", "--url=https://10.0.0.7:10250", "$(NONE)", "$(URL)"]
        assert "URL=https://10.0.0.7:10250" in process["env"]
        assert "KUBERNETES_SERVICE_HOST=10.96.0.1" in process["env"]

    def test_rights(self, tmp_path: Path) -> None:
        """A container's own settings go before the pod's; only the added capabilities are held."""

        def change(spec: dict[str, Any]) -> None:
            spec["securityContext"] = {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3}
            own = {"runAsUser": 9, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
            spec["containers"][0]["securityContext"] |= {
                **own,
                "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]},
            }

        made = config(tmp_path, change)
        assert made["process"]["user"] == {"uid": 9, "gid": 2, "additionalGids": [3]}
        assert made["process"]["capabilities"]["effective"] == ["CAP_CHOWN"]
        assert made["process"]["noNewPrivileges"] is True
        assert made["root"] == {"path": "/image", "readonly": True}
        assert "seccomp" not in made["linux"]


def test_what_comes_first_is_a_container_beside(tmp_path: Path) -> None:
    """With a cgroup of its own, in the network and with the volumes of the pod."""

    def change(spec: dict[str, Any]) -> None:
        mounted({"emptyDir": {}})(spec)
        spec["initContainers"] = [{**spec["containers"][0], "name": "first"}]

    config(tmp_path, change)
    first, other = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("first", "c"))
    assert first["linux"]["cgroupsPath"] != other["linux"]["cgroupsPath"]
    assert first["linux"]["namespaces"] == other["linux"]["namespaces"]
    assert first["mounts"] == other["mounts"]


class TestVolumes:
    def test_a_directory_of_the_node(self, tmp_path: Path) -> None:
        """Everything mounted below it, read-only at its top, and what is mounted later."""
        change = mounted(
            {"hostPath": {"path": "/sys", "type": "Directory"}}, readOnly=True, mountPropagation="HostToContainer"
        )
        mount = config(tmp_path, change)["mounts"][-1]
        assert mount == {
            "destination": "/v",
            "type": "bind",
            "source": "/sys",
            "options": ["rbind", "rslave", "ro"],
        }
        assert json.loads((tmp_path / "c/node.json").read_text())["host"] == [["/sys", "Directory"]]

    def test_projected_files(self, tmp_path: Path) -> None:
        """A token that only the pod's user reads, and a key of a ConfigMap under the given name."""
        sources = [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
            {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "below/ca"}]}},
        ]
        mount = config(tmp_path, mounted({"projected": {"sources": sources}}))["mounts"][-1]
        assert mount["source"] == "/bundle/volumes/v"
        assert (tmp_path / "volumes/v/token").read_bytes() == b"t"
        assert (tmp_path / "volumes/v/token").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "volumes/v/below/ca").read_bytes() == b"c"

    def test_a_secret_as_a_whole(self, tmp_path: Path) -> None:
        """Every key is a file of that name, with the mode that was asked for."""
        secret = {"secret": {"secretName": "tls", "defaultMode": 0o440}}
        node = NODE._replace(files={("secret", "tls", "tls.crt"): b"c", ("secret", "tls", "tls.key"): b"k"})
        made = pod(mounted(secret))
        bundle.write(tmp_path, made, IMAGE, node, PLACE)
        found = {
            file.name: (file.read_bytes(), file.stat().st_mode & 0o777) for file in (tmp_path / "volumes/v").iterdir()
        }
        assert found == {"tls.crt": (b"c", 0o440), "tls.key": (b"k", 0o440)}

    def test_an_audience_is_another_token(self, tmp_path: Path) -> None:
        """One that the node has not got is not replaced by the usual one."""
        token = {"serviceAccountToken": {"path": "token", "audience": "aggregator"}}
        with pytest.raises(SpecError, match="no token aggregator"):
            config(tmp_path, mounted({"projected": {"sources": [token]}}))


def test_limits(tmp_path: Path) -> None:
    """As the kubelet reckons them."""
    resources = {"limits": {"cpu": "250m", "memory": "96Mi"}, "requests": {"cpu": "10m"}}
    made = config(tmp_path, container(resources=resources))["linux"]["resources"]
    assert made["memory"] == {"limit": 96 << 20}
    assert made["cpu"] == {"shares": 10, "quota": 25_000, "period": 100_000}


def test_probes_have_the_kubelet_s_defaults(tmp_path: Path) -> None:
    """And the port of the name."""
    change = container(
        ports=[{"name": "m", "containerPort": 9}], readinessProbe={"httpGet": {"path": "/r", "port": "m"}}
    )
    config(tmp_path, change)
    assert json.loads((tmp_path / "c/node.json").read_text())["probes"]["readiness"] == {
        "path": "/r",
        "port": 9,
        "scheme": "HTTP",
        "delay_s": 0,
        "period_s": 10,
        "timeout_s": 1,
        "successes": 1,
        "failures": 3,
    }


@pytest.mark.parametrize(
    ("text", "bytes_"), [("96Mi", 96 << 20), ("1Gi", 1 << 30), ("5k", 5000), (12, 12), ("128M", 128_000_000)]
)
def test_amounts_of_memory(text: object, bytes_: int) -> None:
    assert bytes_of(text, "x") == bytes_


@pytest.mark.parametrize(("text", "thousandths"), [("250m", 250), ("0.5", 500), (2, 2000)])
def test_amounts_of_cpu(text: object, thousandths: int) -> None:
    assert millicores_of(text, "x") == thousandths


def test_expansion() -> None:
    assert expand("$(A)$(B)$$(A)$$x$", {"A": "1"}) == "1$(B)$(A)$x$"


@pytest.mark.needs("buildah")
def test_the_default_seccomp_profile() -> None:
    """It is a list of what is allowed; some of it only to who holds the capability for it."""
    plain, privileged = (runtime_default(held) for held in ([], ["CAP_SYS_ADMIN"]))
    assert plain["defaultAction"] == "SCMP_ACT_ERRNO"
    assert "SCMP_ARCH_X86_64" in plain["architectures"] or "SCMP_ARCH_AARCH64" in plain["architectures"]
    assert allowed(privileged) - allowed(plain) >= {"bpf", "perf_event_open"}
    assert {"read", "futex", "statx"} <= allowed(plain)


def allowed(profile: Mapping[str, Any]) -> set[str]:
    rules = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args")]
    return {name for rule in rules for name in rule["names"]}
