"""The aggregator's StatefulSet and what agents need to reach it, as kubectl renders them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.rendering import (
    Objects,
    composed,
    container_of,
    environment_of,
    mounts_of,
    overlay,
    pod_of,
    print_config,
)

pytestmark = pytest.mark.needs("kubectl")
AGGREGATOR = "headroom-aggregator"


@pytest.fixture(scope="module")
def rendered() -> Objects:
    return overlay("both")


@pytest.fixture(scope="module")
def container(rendered: Objects) -> dict[str, Any]:
    return container_of(rendered, "StatefulSet")


def test_the_aggregator_accepts_its_arguments_and_environment(container: dict[str, Any]) -> None:
    """Every flag and variable is one that it has; agents are known by tokens, and nobody is believed."""
    config, complaint = print_config(container)
    assert complaint == ""
    assert (config["grpc-listen"], config["http-listen"]) == (":9911", ":9912")
    assert (config["grpc.token-review"], config["insecure"]) == ("True", "False")


def test_agents_and_aggregator_mean_the_same(rendered: Objects, container: dict[str, Any]) -> None:
    """The audience, the account, the cluster, the name and the port: what one says, the other expects."""
    theirs, _ = print_config(container)
    agents = container_of(rendered)
    ours, _ = print_config(agents)
    sources = [volume["projected"]["sources"] for volume in pod_of(rendered)["volumes"] if "projected" in volume]
    audiences = {one["serviceAccountToken"].get("audience") for all in sources for one in all if len(all) == 1}
    assert audiences == {theirs["grpc.token-audience"]}
    assert theirs["grpc.token-account"] == f"headroom:{pod_of(rendered)['serviceAccountName']}"
    assert theirs["cluster"] == ours["cluster"]
    service = rendered["Service", AGGREGATOR]
    host, _, port = environment_of(agents)["HEADROOM_PUSH_TARGET"].partition(":")
    assert host == f"{AGGREGATOR}.{service['metadata']['namespace']}.svc"
    assert theirs["grpc-listen"] == f":{port}"


def test_the_service_is_that_of_the_pod(rendered: Objects, container: dict[str, Any]) -> None:
    """Headless, over the ports that are served, and the one that the StatefulSet names."""
    service = rendered["Service", AGGREGATOR]["spec"]
    assert service["clusterIP"] == "None"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == ports
    stateful_set = rendered["StatefulSet", AGGREGATOR]["spec"]
    assert stateful_set["serviceName"] == AGGREGATOR
    labels = stateful_set["template"]["metadata"]["labels"]
    budget = rendered["PodDisruptionBudget", AGGREGATOR]["spec"]
    assert service["selector"].items() <= labels.items()
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert budget["maxUnavailable"] == 1, "a drain of the node of the only one must end"


def test_it_fits_the_restricted_level(rendered: Objects, container: dict[str, Any]) -> None:
    """Everything that Pod Security asks for at its strictest: no volume of the node, no root, no capability."""
    pod = pod_of(rendered, "StatefulSet")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} == {
        *("secret", "projected", "emptyDir")
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_what_it_writes_and_reads_is_mounted(rendered: Objects, container: dict[str, Any]) -> None:
    """The store on a volume of its own, the certificate, and where it looks for its token by itself."""
    config, _ = print_config(container)
    paths = {mount["mountPath"] for mount in container["volumeMounts"]}
    claims = {
        claim["metadata"]["name"] for claim in rendered["StatefulSet", AGGREGATOR]["spec"]["volumeClaimTemplates"]
    }
    data = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in claims}
    assert data == {config["data-dir"]}
    for key in ("grpc.tls-cert", "grpc.tls-key", "grpc.token-review-token-file", "grpc.token-review-ca-file"):
        assert config[key].rpartition("/")[0] in paths, key
    secrets = [
        v["secret"]["secretName"] for _, v in mounts_of(pod_of(rendered, "StatefulSet"), container) if "secret" in v
    ]
    assert secrets == ["headroom-aggregator-tls"]


def test_it_may_review_tokens_and_nothing_else(rendered: Objects) -> None:
    """One verb on one resource; the agents' account has no part of it."""
    (rule,) = rendered["ClusterRole", AGGREGATOR]["rules"]
    assert rule == {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    (subject,) = rendered["ClusterRoleBinding", AGGREGATOR]["subjects"]
    assert subject["name"] == pod_of(rendered, "StatefulSet")["serviceAccountName"] != "headroom-agent"


def test_only_agents_stream_and_only_prometheus_scrapes(rendered: Objects) -> None:
    """And it connects to the API server alone."""
    policy = rendered["NetworkPolicy", AGGREGATOR]["spec"]
    allowed = {rule["ports"][0]["port"]: rule["from"] for rule in policy["ingress"]}
    assert set(allowed) == {"grpc", "http"}
    (agents,) = allowed["grpc"]
    labels = rendered["DaemonSet", "headroom-agent"]["spec"]["template"]["metadata"]["labels"]
    assert agents["podSelector"]["matchLabels"].items() <= labels.items()
    assert sorted(port["port"] for rule in policy["egress"] for port in rule["ports"]) == [443, 6443]


def test_agents_read_no_private_key_of_the_aggregator(rendered: Objects) -> None:
    """A node may read what its pods mount: the CA is in a ConfigMap of its own, and no Secret is mounted by agents."""
    volumes = pod_of(rendered)["volumes"]
    assert [volume for volume in volumes if "secret" in volume] == []
    assert [volume["configMap"]["name"] for volume in volumes if "configMap" in volume] == ["headroom-aggregator-ca"]


def test_certificates_instead_of_tokens(tmp_path: Path) -> None:
    """mutual-tls takes the tokens and what reviews them away, and both ends accept their settings."""
    objects = composed(tmp_path / "k", "beside", "push", "aggregator", "mutual-tls")
    ours, complaint = print_config(container_of(objects))
    assert complaint == ""
    assert (ours["push.token-file"], ours["push.tls-cert"]) == ("", "/etc/headroom/pki/tls.crt")
    theirs, complaint = print_config(container_of(objects, "StatefulSet"))
    assert complaint == ""
    assert (theirs["grpc.token-review"], theirs["grpc.tls-client-ca"]) == ("False", "/etc/headroom/agents-ca/ca.crt")
    for kind in ("DaemonSet", "StatefulSet"):
        mounted = [mount["mountPath"] for mount, _ in mounts_of(pod_of(objects, kind), container_of(objects, kind))]
        assert not {"/var/run/secrets/headroom"} & set(mounted)
    assert [v for v in pod_of(objects, "StatefulSet")["volumes"] if "projected" in v] == []
