"""``manifests/base``: rendered by the real kubectl, and held against the agent that it starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent import __version__
from agent.sources.kubelet.client import SERVICE_ACCOUNT_TOKEN
from agent.sources.kubelet.endpoint import HTTPS_PORT, PATHS, Endpoint, parse_endpoint
from agent.sources.kubelet.trust import SERVICE_ACCOUNT_CA
from tests.tools import peers

REPOSITORY = Path(__file__).parent.parent
BASE = REPOSITORY / "manifests" / "base"

pytestmark = pytest.mark.needs("kubectl")


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    command = [str(peers.path("kubectl")), "kustomize", str(BASE)]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, check=True).stdout))


@pytest.fixture(scope="module")
def pod(rendered: list[dict[str, Any]]) -> dict[str, Any]:
    daemon_set = next(document for document in rendered if document["kind"] == "DaemonSet")
    return dict(daemon_set["spec"]["template"]["spec"])


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


def print_config(container: dict[str, Any]) -> tuple[dict[str, str], str]:
    """The agent's effective settings under the container's arguments and environment, and what it complained about."""
    given = {entry["name"]: entry.get("value", "from-the-pod") for entry in container.get("env", ())}
    arguments = [re.sub(r"\$\((\w+)\)", lambda match: given[match[1]], argument) for argument in container["args"]]
    command = [sys.executable, "-m", "agent.cli", *arguments, "--print-config"]
    environment = {**os.environ, **given}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    lines = (line.partition("  # ")[0].partition(" = ") for line in done.stdout.splitlines())
    return {key: value.strip("'") for key, _, value in lines}, done.stderr


def test_everything_is_rendered_into_one_namespace(rendered: list[dict[str, Any]]) -> None:
    """kubectl kustomize yields the five objects, the namespaced ones in ours."""
    kinds = ["ClusterRole", "ClusterRoleBinding", "DaemonSet", "Namespace", "ServiceAccount"]
    assert sorted(document["kind"] for document in rendered) == kinds
    (namespace,) = (document["metadata"]["name"] for document in rendered if document["kind"] == "Namespace")
    assert {document["metadata"].get("namespace", namespace) for document in rendered} == {namespace}


def test_the_selector_selects_the_pods(rendered: list[dict[str, Any]]) -> None:
    """Labels and selector agree; the API server would refuse the DaemonSet otherwise."""
    spec = next(document["spec"] for document in rendered if document["kind"] == "DaemonSet")
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_agent_accepts_its_arguments_and_environment(container: dict[str, Any]) -> None:
    """Every flag and variable is one that this agent has, and has the meant effect."""
    config, complaint = print_config(container)
    assert complaint == ""
    assert config["node-name"] == "from-the-pod"
    assert (config["path.procfs"], config["path.sysfs"], config["path.rootfs"]) == (
        "/host/proc",
        "/host/sys",
        "/host/root",
    )
    assert config["path.udev.data"] == "/host/root/run/udev/data"


def test_a_flag_that_the_agent_lacks_would_be_noticed(container: dict[str, Any]) -> None:
    """The check above can fail."""
    _, complaint = print_config({**container, "args": [*container["args"], "--no-such-flag"]})
    assert "no such flag: --no-such-flag" in complaint


def test_every_path_that_the_agent_is_given_is_mounted_read_only(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    """Each --path flag points at or below a mount of the same tree of the node, read-only."""
    sources = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"] if mount["name"] in sources}
    assert {path: sources[mount["name"]] for path, mount in mounts.items()} == {
        "/host/proc": "/proc",
        "/host/sys": "/sys",
        "/host/root": "/",
    }
    assert all(mount["readOnly"] for mount in mounts.values())
    assert mounts["/host/root"]["mountPropagation"] == "HostToContainer"
    paths = [value for value in print_config(container)[0].values() if value.startswith("/host")]
    assert all(any(path == mount or path.startswith(f"{mount}/") for mount in mounts) for path in paths)


def test_probes_ask_the_port_that_is_served(container: dict[str, Any]) -> None:
    """The probes reach the listener, at the two paths for probes."""
    (port,) = container["ports"]
    assert print_config(container)[0]["listen"] == f":{port['containerPort']}"
    paths = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert {container[name]["httpGet"]["port"] for name in paths} == {port["name"]}


def test_the_pod_has_no_privileges(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Nothing of the node's namespaces, no root, no capability, nothing writable, bounded resources."""
    assert not {"hostPID", "hostNetwork", "hostIPC"} & pod.keys()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert set(container["resources"]) == {"requests", "limits"}


def test_the_agent_finds_its_token_and_the_ca(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Where it looks without being told, read-only; the token is one that expires."""
    (volume,) = (volume for volume in pod["volumes"] if "projected" in volume)
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == volume["name"])
    token, ca = volume["projected"]["sources"]
    assert mount["readOnly"] is True
    assert f"{mount['mountPath']}/{token['serviceAccountToken']['path']}" == SERVICE_ACCOUNT_TOKEN
    assert token["serviceAccountToken"]["expirationSeconds"] == 3600
    assert ca["configMap"]["name"] == "kube-root-ca.crt"
    assert f"{mount['mountPath']}/{ca['configMap']['items'][0]['path']}" == SERVICE_ACCOUNT_CA


@pytest.mark.parametrize("address", ["10.0.0.5", "fd00:1::5", "2001:db8:1:2:3:4:5:6"])
def test_the_agent_asks_the_kubelet_of_its_node(container: dict[str, Any], address: str) -> None:
    """By the node's address, IPv4 or IPv6, as the pod's environment spells it."""
    (entry,) = (entry for entry in container["env"] if entry["name"] == "NODE_IP")
    assert entry["valueFrom"]["fieldRef"]["fieldPath"] == "status.hostIP"
    given = {**container, "env": [{"name": "NODE_IP", "value": address}]}
    url = print_config(given)[0]["kubelet.url"]
    assert parse_endpoint(url) == Endpoint(True, address, HTTPS_PORT)


def test_the_agent_may_ask_what_it_asks_and_nothing_else(rendered: list[dict[str, Any]], pod: dict[str, Any]) -> None:
    """The role grants get on the subresource of each path, to the account that the pods run as."""
    objects = {document["kind"]: document for document in rendered}
    (rule,) = objects["ClusterRole"]["rules"]
    assert (rule["apiGroups"], rule["verbs"]) == ([""], ["get"])
    assert sorted(rule["resources"]) == sorted(path.grant for path in PATHS)
    binding = objects["ClusterRoleBinding"]
    assert binding["roleRef"]["name"] == objects["ClusterRole"]["metadata"]["name"]
    (subject,) = binding["subjects"]
    account = objects["ServiceAccount"]["metadata"]
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
    assert subject["name"] == pod["serviceAccountName"]


def test_it_runs_on_every_node_and_stays(pod: dict[str, Any]) -> None:
    """All taints are tolerated, and the class keeps it from being evicted first."""
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "system-node-critical"


def test_no_service_can_configure_the_agent(pod: dict[str, Any]) -> None:
    """A Service named headroom would set variables that the agent takes for settings, and refuses."""
    assert pod["enableServiceLinks"] is False


def test_the_image_is_this_version(container: dict[str, Any]) -> None:
    """The manifests of a version run that version."""
    assert container["image"] == f"headroom-agent:{__version__}"
