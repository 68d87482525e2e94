"""The agent's DaemonSet in every overlay: rendered by the real kubectl, and held against the agent that it starts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from agent import __version__
from agent.sources.kubelet.client import SERVICE_ACCOUNT_TOKEN
from agent.sources.kubelet.endpoint import HTTPS_PORT, PATHS, Endpoint, parse_endpoint
from agent.sources.kubelet.trust import SERVICE_ACCOUNT_CA
from tests.deploy.rendering import (
    OVERLAYS,
    REPOSITORY,
    Objects,
    container_of,
    environment_of,
    mounts_of,
    overlay,
    pod_of,
    print_config,
)

pytestmark = pytest.mark.needs("kubectl")
SPOOLS = ("push", "both", "air-gapped")


@pytest.fixture(scope="module", params=("base", *OVERLAYS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def rendered(name: str) -> Objects:
    return overlay(name)


@pytest.fixture(scope="module")
def pod(rendered: Objects) -> dict[str, Any]:
    return pod_of(rendered)


@pytest.fixture(scope="module")
def container(rendered: Objects) -> dict[str, Any]:
    return container_of(rendered)


def test_everything_is_rendered_into_one_namespace(rendered: Objects, name: str) -> None:
    """kubectl kustomize yields the objects, the namespaced ones in ours."""
    kinds = ["ClusterRole", "ClusterRoleBinding", "DaemonSet", "Namespace", "NetworkPolicy", "ServiceAccount"]
    central = ["PodDisruptionBudget", "Service", "StatefulSet"] if name in ("push", "both") else []
    assert sorted({kind for kind, _ in rendered}) == sorted(kinds + central)
    (namespace,) = (object_name for kind, object_name in rendered if kind == "Namespace")
    assert {one["metadata"].get("namespace", namespace) for one in rendered.values()} == {namespace}


def test_selectors_select_the_pods(rendered: Objects) -> None:
    """Labels and selectors agree; the API server would refuse the DaemonSet otherwise."""
    for kind in ("DaemonSet", "StatefulSet"):
        for spec in (one["spec"] for (of, _), one in rendered.items() if of == kind):
            labels = spec["template"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= labels.items()
            component = {"app.kubernetes.io/component": labels["app.kubernetes.io/component"]}
            policies = [one["spec"]["podSelector"] for (of, _), one in rendered.items() if of == "NetworkPolicy"]
            mine = [one["matchLabels"] for one in policies if component.items() <= one["matchLabels"].items()]
            assert len(mine) == 1
            assert mine[0].items() <= labels.items()


def test_the_agent_accepts_its_arguments_and_environment(container: dict[str, Any], name: str) -> None:
    """Every flag and variable is one that this agent has, and has the meant effect."""
    config, complaint = print_config(container)
    assert complaint == ""
    assert config["node-name"] == "from-the-pod"
    assert config["kubelet.url"] == "https://from-the-pod:10250"
    assert config["profile"] == ("replace" if name == "base" else "beside")
    paths = (config["path.procfs"], config["path.sysfs"], config["path.rootfs"], config["path.udev.data"])
    assert paths == ("/host/proc", "/host/sys", "/host/root", "/host/root/run/udev/data")
    assert bool(config["spool.dir"]) == (name in SPOOLS)
    assert (config["push.target"] != "()") == (name in ("push", "both"))


@pytest.mark.parametrize("command", ["doctor", "eviction", "spool ls"])
def test_what_is_started_in_the_pod_has_the_agent_s_settings(container: dict[str, Any], command: str) -> None:
    """``kubectl exec`` passes on the container's environment and not its flags: what doctor says is about this node."""
    theirs, complaint = print_config(container, command)
    assert complaint == ""
    ours, _ = print_config(container)
    assert {key: value for key, value in theirs.items() if key in ours} == ours


def test_a_flag_that_the_agent_lacks_would_be_noticed(container: dict[str, Any]) -> None:
    """The check above can fail."""
    _, complaint = print_config({**container, "args": [*container["args"], "--no-such-flag"]})
    assert "no such flag: --no-such-flag" in complaint


def test_the_node_is_mounted_read_only(pod: dict[str, Any], container: dict[str, Any], name: str) -> None:
    """Each --path flag points at or below a mount of the same tree of the node, read-only; only a spool is written."""
    of_node = {
        mount["mountPath"]: (mount, volume["hostPath"]["path"])
        for mount, volume in mounts_of(pod, container)
        if "hostPath" in volume
    }
    spool = {"/var/lib/headroom/spool": "/var/lib/headroom/spool"} if name in SPOOLS else {}
    trees = {"/host/proc": "/proc", "/host/sys": "/sys", "/host/root": "/"}
    assert {path: source for path, (_, source) in of_node.items()} == trees | spool
    assert all(mount.get("readOnly") is (path in trees) or path in spool for path, (mount, _) in of_node.items())
    assert of_node["/host/root"][0]["mountPropagation"] == "HostToContainer"
    paths = [value for value in print_config(container)[0].values() if value.startswith("/host")]
    assert all(any(path == mount or path.startswith(f"{mount}/") for mount in trees) for path in paths)


def test_probes_ask_the_port_that_is_served(container: dict[str, Any]) -> None:
    """The probes reach the listener, at the two paths for probes."""
    (port,) = container["ports"]
    assert print_config(container)[0]["listen"] == f":{port['containerPort']}"
    paths = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert {container[name]["httpGet"]["port"] for name in paths} == {port["name"]}


def test_the_pod_has_no_privileges(pod: dict[str, Any], container: dict[str, Any], name: str) -> None:
    """Nothing of the node's namespaces, no root, no capability, bounded resources. Root makes the spool's directory
    ours before the agent starts, with the one capability for that and no other mount."""
    assert not {"hostPID", "hostNetwork", "hostIPC"} & pod.keys()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65534
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    unprivileged = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    assert container["securityContext"] == {**unprivileged, "capabilities": {"drop": ["ALL"]}}
    assert pod["automountServiceAccountToken"] is False
    assert set(container["resources"]) == {"requests", "limits"}
    assert len(pod.get("initContainers", ())) == (name in SPOOLS)
    for first in pod.get("initContainers", ()):
        root = {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}
        only = {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}
        assert first["securityContext"] == unprivileged | root | only
        assert [mount["name"] for mount in first["volumeMounts"]] == ["spool"]


def test_the_agent_finds_its_token_and_the_ca(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Where it looks without being told, read-only; the token is one that expires."""
    (mount, volume), *_ = (
        pair for pair in mounts_of(pod, container) if SERVICE_ACCOUNT_TOKEN.startswith(pair[0]["mountPath"] + "/")
    )
    token, ca = volume["projected"]["sources"]
    assert mount["readOnly"] is True
    assert f"{mount['mountPath']}/{token['serviceAccountToken']['path']}" == SERVICE_ACCOUNT_TOKEN
    assert token["serviceAccountToken"]["expirationSeconds"] == 3600
    assert ca["configMap"]["name"] == "kube-root-ca.crt"
    assert f"{mount['mountPath']}/{ca['configMap']['items'][0]['path']}" == SERVICE_ACCOUNT_CA


def test_every_file_that_is_named_is_mounted(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Certificates, tokens and directories that a setting names are below a mount that has them."""
    trees = [mount["mountPath"] for mount, _ in mounts_of(pod, container)]
    named = [value for name, value in environment_of(container).items() if value.startswith("/")]
    assert [path for path in named if not any(path == t or path.startswith(f"{t}/") for t in trees)] == []


@pytest.mark.parametrize("address", ["10.0.0.5", "fd00:1::5", "2001:db8:1:2:3:4:5:6"])
def test_the_agent_asks_the_kubelet_of_its_node(container: dict[str, Any], address: str) -> None:
    """By the node's address, IPv4 or IPv6, as the pod's environment spells it."""
    (entry,) = (entry for entry in container["env"] if entry["name"] == "NODE_IP")
    assert entry["valueFrom"]["fieldRef"]["fieldPath"] == "status.hostIP"
    others = [{"name": "NODE_IP", "value": address} if one is entry else one for one in container["env"]]
    url = print_config({**container, "env": others})[0]["kubelet.url"]
    assert parse_endpoint(url) == Endpoint(True, address, HTTPS_PORT)


def test_the_agent_may_ask_what_it_asks_and_nothing_else(rendered: Objects, pod: dict[str, Any]) -> None:
    """The role grants get on the subresource of each path, to the account that the pods run as."""
    (rule,) = rendered["ClusterRole", "headroom-agent"]["rules"]
    assert (rule["apiGroups"], rule["verbs"]) == ([""], ["get"])
    assert sorted(rule["resources"]) == sorted(path.grant for path in PATHS)
    binding = rendered["ClusterRoleBinding", "headroom-agent"]
    assert binding["roleRef"]["name"] == "headroom-agent"
    (subject,) = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == (pod["serviceAccountName"], "headroom")
    assert ("ServiceAccount", subject["name"]) in rendered


def test_it_runs_on_every_node_and_stays(pod: dict[str, Any]) -> None:
    """All taints are tolerated, and the class keeps it from being evicted first."""
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "system-node-critical"


def test_an_update_leaves_no_node_unwatched(rendered: Objects, container: dict[str, Any]) -> None:
    """The new pod is ready before the old one ends, which needs that nothing of the two collides: no host port."""
    strategy = rendered["DaemonSet", "headroom-agent"]["spec"]["updateStrategy"]
    assert strategy["type"] == "RollingUpdate"
    assert strategy["rollingUpdate"]["maxUnavailable"] == 0
    assert re.fullmatch(r"[1-9]\d?%", strategy["rollingUpdate"]["maxSurge"])
    assert not any("hostPort" in port for port in container["ports"])


def test_no_service_can_configure_the_agent(pod: dict[str, Any]) -> None:
    """A Service named headroom would set variables that the agent takes for settings, and refuses."""
    assert pod["enableServiceLinks"] is False


def test_the_image_is_this_version(pod: dict[str, Any]) -> None:
    """The manifests of a version run that version."""
    images = {one["image"] for one in (*pod["containers"], *pod.get("initContainers", ()))}
    assert images == {f"headroom-agent:{__version__}"}


def test_policies_let_in_who_scrapes_and_out_what_is_asked(rendered: Objects, name: str) -> None:
    """Both ways: nobody but Prometheus, and nobody at all where nobody scrapes; to the kubelet, and where there is a
    target, to that and to the DNS."""
    policy = rendered["NetworkPolicy", "headroom-agent"]["spec"]
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    assert len(policy["ingress"]) == (name not in ("push", "air-gapped"))
    for rule in policy["ingress"]:
        assert rule["ports"] == [{"protocol": "TCP", "port": "metrics"}]
        assert rule["from"]
    out = sorted(port["port"] for rule in policy["egress"] for port in rule["ports"])
    assert out == sorted([10250, *([9911, 53, 53] if name in ("push", "both") else [])])


def test_resources_are_what_was_measured(container: dict[str, Any], name: str) -> None:
    """README's table: the request covers the whole agent with 100 containers, the limit twice one with 250; CPU covers
    a scrape of everything with 250 containers every 15 s and the watch."""
    readme = (REPOSITORY / "README.md").read_text()

    def measured(row: str) -> float:
        line = next(line for line in readme.splitlines() if line.startswith(f"| {row}"))
        return float(line.split("|")[2].split()[0])

    whole_mib = measured("whole agent, kubelet over TLS, 100 containers, after 300 scrapes: RSS")
    each_mib = measured("memory per container") / 1024
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert _mib(requests["memory"]) >= whole_mib
    assert _mib(limits["memory"]) >= 2 * (whole_mib + 150 * each_mib)
    scrape_ms = measured("CPU per scrape, everything by default, gzip") + measured(
        "CPU per collection of 250 containers: every file"
    )
    share = scrape_ms / 15_000 + measured("eviction watch: share of a core") / 100
    assert _cores(requests["cpu"]) >= share
    assert _cores(limits["cpu"]) >= 10 * share
    if name in SPOOLS:
        assert _mib(requests["memory"]) > 32


def _mib(text: str) -> float:
    assert text.endswith("Mi")
    return float(text.removesuffix("Mi"))


def _cores(text: str) -> float:
    return float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)
