"""The Helm chart, by the real helm: what it renders, what it refuses, and how it changes from version to version."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent import __version__
from agent.collectors import CATALOG
from tests.deploy.chart_values import CENTRAL, MATRIX, PRESETS, SAME
from tests.deploy.rendering import (
    CHART,
    NEWEST,
    OVERLAYS,
    Object,
    Objects,
    composed,
    container_of,
    helm,
    overlay,
    pod_of,
    print_config,
    sets,
    template,
)

pytestmark = pytest.mark.needs("helm")

# What Helm says of itself on every object, and nobody selects by: kustomize has no such labels.
HELM_S_OWN = ("app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart")
OVERLAY_VALUES: dict[str, dict[str, Any]] = {
    "pull": {},
    "push": {**CENTRAL, "scrape.enabled": False},
    "both": CENTRAL,
    "air-gapped": {"spool.enabled": True, "scrape.enabled": False},
}


def comparable(objects: Objects) -> Objects:
    """Without Helm's own labels, and without the Namespace: Helm's is made by --create-namespace. Lists that Kubernetes
    merges by a key (env, volumes and mounts, by name or path) are in the order of that key, for their order means
    nothing."""
    result = {}
    for name, one in objects.items():
        if name[0] == "Namespace":
            continue
        labels = {key: value for key, value in one["metadata"]["labels"].items() if key not in HELM_S_OWN}
        result[name] = _ordered({**one, "metadata": {**one["metadata"], "labels": labels}})
    return result


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(one) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    ordered = [_ordered(one) for one in value]
    for key in ("mountPath", "name"):
        if ordered and all(isinstance(one, dict) and key in one for one in ordered):
            return sorted(ordered, key=lambda one: one[key])
    return ordered


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("name", OVERLAYS)
def test_each_overlay_is_the_chart_with_these_values(name: str) -> None:
    """kubectl and helm install equal objects."""
    assert comparable(template(*sets(OVERLAY_VALUES[name]))) == comparable(overlay(name))


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize(("components", "values"), SAME, ids=lambda one: " ".join(one) or "base")
def test_each_component_is_a_value(components: tuple[str, ...], values: dict[str, Any], tmp_path: Path) -> None:
    """What is put together of components, the chart has as values: the same objects, field by field."""
    assert comparable(template(*sets(values))) == comparable(composed(tmp_path / "k", *components))


@pytest.mark.needs("kubectl")
def test_a_difference_would_be_noticed() -> None:
    """The comparisons above can fail."""
    assert comparable(template(*sets({"agent.maxSurge": "20%"}))) != comparable(overlay("pull"))


def test_it_lints() -> None:
    """helm lint, strictly, with the defaults and with every preset."""
    for preset in (None, *PRESETS):
        values = ["--values", str(preset)] if preset else []
        done = helm("lint", "--strict", "--kube-version", f"{NEWEST}.0", str(CHART), *values)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", MATRIX, ids=lambda values: " ".join(values) or "defaults")
def test_agents_and_aggregator_accept_what_it_renders(values: dict[str, Any]) -> None:
    """With each group of values both commands start with settings that they know."""
    objects = template(*sets(values))
    config, complaint = print_config(container_of(objects))
    assert complaint == ""
    assert config["kubelet.url"].startswith("https://from-the-pod:")
    if values.get("aggregator.enabled"):
        assert print_config(container_of(objects, "StatefulSet"))[1] == ""


def test_by_default_it_is_for_clusters_that_keep_their_exporters() -> None:
    """An installation that says nothing doubles no series, has no proxy grant, no root and a policy."""
    objects = template()
    assert print_config(container_of(objects))[0]["profile"] == "beside"
    (rule,) = objects["ClusterRole", "headroom-agent"]["rules"]
    assert "nodes/proxy" not in rule["resources"]
    assert ("NetworkPolicy", "headroom-agent") in objects


def test_nodes_proxy_only_where_it_is_asked_for() -> None:
    """With it, doctor knows as well."""
    objects = template(*sets({"kubelet.nodesProxy": True}))
    (rule,) = objects["ClusterRole", "headroom-agent"]["rules"]
    assert "nodes/proxy" in rule["resources"]
    assert print_config(container_of(objects))[0]["kubelet.allow-proxy"] == "True"


def test_only_what_was_asked_for_is_added_to_nothing() -> None:
    """Root has no capability but the one that was named; the volume stays read-only."""
    objects = template(*sets({"agent.runAsRoot": True, "agent.capabilities": ["DAC_READ_SEARCH"]}))
    assert container_of(objects)["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
    assert pod_of(objects)["securityContext"]["runAsUser"] == 0
    assert "privileged" not in container_of(objects)["securityContext"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"profile": "both"}, "value must be one of 'beside', 'replace'"),
        ({"agent.colectors": {}}, "additional properties 'colectors' not allowed"),
        ({"agent.collectors": {"cpus": True}}, "additional properties 'cpus' not allowed"),
        ({"agent.collectors": {"cpu": "on"}}, "got string, want boolean"),
        ({"agent.capabilities": ["SYS_ADMIN"]}, "value must be 'DAC_READ_SEARCH'"),
        ({"kubelet.port": 0}, "minimum"),
        ({"networkPolicy.from": []}, "minItems"),
        ({"nosuch": 1}, "additional properties 'nosuch' not allowed"),
        ({"agent.capabilities": ["DAC_READ_SEARCH"]}, "set agent.runAsRoot=true too."),
        ({"agent.maxSurge": 0}, 'agent.maxSurge is "0": expected a number of nodes from 1'),
        ({"agent.maxSurge": "0%"}, 'agent.maxSurge is "0%": expected'),
        ({"cluster": "a/b"}, 'cluster is "a/b": expected a name'),
        ({"image.digest": "sha256:12"}, "expected sha256: and 64 hexadecimal digits"),
        ({"image.repository": "headroom-agent:0.1.0"}, "expected a repository without tag and digest"),
        ({"spool.maxBytes": "lots"}, 'spool.maxBytes is "lots": expected a size such as 256MiB.'),
        ({"push.enabled": True}, "push.enabled: to which aggregator?"),
        ({"push.enabled": True, "push.target": "nowhere"}, 'push.target is "nowhere": expected HOST:PORT'),
        ({**CENTRAL, "push.certificateSecret": "x"}, "give push.identity=certificate, or no certificate."),
        ({"kubelet.trust": "configMap"}, "Name it in kubelet.caConfigMap."),
        ({**CENTRAL, "aggregator.certManager.enabled": True}, "Name it in aggregator.certManager.issuerName."),
        ({"podMonitor.enabled": True, "scrape.enabled": False}, "nobody may scrape the agents"),
        ({"scrapeConfig.enabled": True}, "there is no aggregator in this release"),
        ({**CENTRAL, "scrapeConfig.enabled": True, "podMonitor.enabled": True}, "series would be there twice"),
        ({"networkPolicy.enabled": False}, "metrics name pods and processes. Give http.tokenSecret"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, dict) else "",
)
def test_wrong_values_are_refused_with_a_sentence(values: dict[str, Any], said: str) -> None:
    """At helm template, before anything is installed, with the value's name in it."""
    done = helm("template", "x", str(CHART), "--kube-version", f"{NEWEST}.0", *sets(values))
    assert done.returncode != 0
    assert done.stdout == ""
    assert said in done.stderr
    assert any(name.rpartition(".")[2] in done.stderr.replace("/", ".") for name in values)


def test_an_older_kubernetes_is_refused() -> None:
    """The chart says from which version on it works."""
    done = helm("template", "x", str(CHART), "--kube-version", "1.28.9")
    assert done.returncode != 0
    assert "requires kubeVersion: >=1.29.0" in done.stderr


def test_tokens_that_name_no_node_are_refused() -> None:
    """Before Kubernetes 1.30 every agent would be denied: said before it is installed. Certificates do there."""
    command = ("template", "x", str(CHART), "--kube-version", "1.29.9", *sets(CENTRAL))
    done = helm(*command)
    assert done.returncode != 0
    assert "before Kubernetes 1.30 a token does not say on which node its pod is" in done.stderr
    assert helm(*command, *sets({"push.identity": "certificate"})).returncode == 0


def test_every_value_is_in_the_schema_and_explained_by_a_default() -> None:
    """The schema knows each value of values.yaml and no other, at every depth that is closed; collectors are ours."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]["agent"]["properties"]["collectors"]["properties"]) == {e.name for e in CATALOG}
    found = []

    def walk(place: str, of: Object, given: Object) -> None:
        assert of["additionalProperties"] is False, place
        found.extend(f"{place}{name}" for name in set(of["properties"]) ^ set(given) if name != "global")
        for name, one in of["properties"].items():
            if one.get("additionalProperties") is False and name not in ("collectors", "resources"):
                walk(f"{place}{name}.", one, given[name])

    walk("", schema, values)
    assert found == []


def test_it_is_of_this_version() -> None:
    """The chart of a version installs that version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_a_package_renders_as_the_directory_does(tmp_path: Path) -> None:
    """What is carried across a gap is one file, with the presets in it."""
    done = helm("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.iterdir()
    assert package.name == f"headroom-{__version__}.tgz"
    assert template(chart=package) == template()
    with tarfile.open(package) as archive:
        names = set(archive.getnames())
    assert {f"headroom/presets/{preset.name}" for preset in PRESETS} <= names


@pytest.mark.parametrize(
    "values", [{}, CENTRAL, {"spool.enabled": True}], ids=lambda values: " ".join(values) or "defaults"
)
def test_the_next_version_can_take_over(values: dict[str, Any], tmp_path: Path) -> None:
    """An upgrade replaces what this version installed: same objects, and of what can never be changed nothing is."""
    later = shutil.copytree(CHART, tmp_path / "headroom")
    chart = yaml.safe_load((later / "Chart.yaml").read_text())
    (later / "Chart.yaml").write_text(yaml.safe_dump({**chart, "version": "0.2.0", "appVersion": "0.2.0"}))
    before, after = template(*sets(values)), template(*sets(values), "--is-upgrade", chart=later)
    assert before.keys() == after.keys()
    assert {name: immutable(one) for name, one in before.items()} == {
        name: immutable(one) for name, one in after.items()
    }
    assert container_of(after)["image"] == "headroom-agent:0.2.0"


@pytest.mark.parametrize(
    "change", [{"profile": "replace"}, {"podMonitor.enabled": True}, {"agent.podLabels": {"a": "b"}}, CENTRAL]
)
def test_values_can_be_changed_by_an_upgrade(change: dict[str, Any]) -> None:
    """No value touches what can never be changed of an object that is there."""
    before, after = template(), template(*sets(change), "--is-upgrade")
    assert before.keys() <= after.keys()
    assert [name for name in before if immutable(before[name]) != immutable(after[name])] == []


def immutable(document: Object) -> Object:
    """What the API server refuses to change."""
    spec = document.get("spec", {})
    match document["kind"]:
        case "DaemonSet":
            return {"selector": spec["selector"]}
        case "StatefulSet":
            free = ("template", "replicas", "updateStrategy", "minReadySeconds", "persistentVolumeClaimRetentionPolicy")
            return {name: value for name, value in spec.items() if name not in free}
        case "Service":
            return {"clusterIP": spec["clusterIP"]}
        case "ClusterRoleBinding":
            return {"roleRef": document["roleRef"]}
    return {}


def test_two_releases_do_not_meet(tmp_path: Path) -> None:
    """Neither in their names nor in what they select."""
    one, other = template(release="headroom"), template(release="second")
    assert one.keys().isdisjoint(other.keys())
    selectors = [next(v for (k, _), v in o.items() if k == "DaemonSet")["spec"]["selector"] for o in (one, other)]
    assert selectors[0] != selectors[1]
