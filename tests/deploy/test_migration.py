"""The shipped scrape configurations in a real Prometheus: whom rules select, and that nothing is counted twice.

Debian's Prometheus is built without Kubernetes discovery, so the tests put what that would find in its place, labels
and all; the block itself is held to its documented shape. The interval is a second instead of fifteen.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jsonschema
import pytest
import yaml

from tests.deploy.rendering import MANIFESTS, REPOSITORY, composed, program
from tests.kubelet.bodies import cadvisor
from tests.kubelet.scripted import ScriptedKubelet
from tests.peers.processes import Served, start_agent, start_node_exporter, start_prometheus
from tests.stream.waiting import until
from tests.tools import peers
from tests.tools.golden import WITH_KUBELET
from tests.tools.recorded import archive_of, unpack

CONFIGURATIONS = sorted((MANIFESTS / "prometheus").glob("*.yaml"))
HERE, RECORDED = "worker-1", "worker-2"  # this machine, and one that was recorded with its kubelet
KNOWN = (b'headroom_kubelet_requests_total{path="/pods",code="200"}', b"headroom_pod_ephemeral_storage_used_bytes{")
DISCOVERY = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["role", "namespaces", "selectors"],
        "properties": {
            "role": {"const": "pod"},
            "namespaces": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"names": {"type": "array", "items": {"type": "string"}}},
            },
            "selectors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"role": {"const": "pod"}, "label": {"type": "string"}},
                },
            },
        },
    },
}
pytestmark = pytest.mark.needs("prometheus")


def query(name: str, number: int = 0) -> str:
    """A query of docs/migrate.md, as it stands there: the one below that heading."""
    section = (REPOSITORY / "docs/migrate.md").read_text().partition(f"# {name}\n")[2]
    return re.findall(r"```promql\n(.*?)```", section, re.DOTALL)[number]


def discovered(config: dict[str, Any], targets: dict[str, str], *more: dict[str, Any]) -> dict[str, Any]:
    """The configuration with what Kubernetes would find: for each node, the address of its agent."""
    found = [_target(node, address) for node, address in targets.items()]
    for job in config["scrape_configs"]:
        job.pop("kubernetes_sd_configs")
        job["static_configs"] = found
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": [*config["scrape_configs"], *more]}


def _target(node: str, address: str) -> dict[str, Any]:
    meta = {
        "namespace": "headroom",
        "pod_name": f"headroom-agent-{node}",
        "pod_node_name": node,
        "pod_container_name": "agent",
        "pod_container_port_name": "metrics",
        "pod_phase": "Running",
        "pod_label_app_kubernetes_io_component": "agent",
    }
    return {"targets": [address], "labels": {f"__meta_kubernetes_{name}": value for name, value in meta.items()}}


def shipped(profile: str) -> dict[str, Any]:
    return dict(yaml.safe_load((MANIFESTS / "prometheus" / f"{profile}.yaml").read_text()))


class Cadvisor(BaseHTTPRequestHandler):
    """The recorded kubelet's ``/metrics/cadvisor``, for Prometheus."""

    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Cluster(NamedTuple):
    """Two nodes. On one is node_exporter, for the other there is what its kubelet says; on both are the agents."""

    agents: Callable[[str], dict[str, str]]
    exporters: tuple[dict[str, Any], ...]


def address_of(served: Served) -> str:
    return f"127.0.0.1:{served.address[1]}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        kubelet = ScriptedKubelet()
        stack.callback(kubelet.stop)
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Cadvisor,), {"page": cadvisor("idle")}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        program_of = peers.path("node_exporter")
        assert program_of is not None, "the tests say that they need node_exporter"
        node_exporter = stack.enter_context(start_node_exporter(program_of))
        (recorded,) = WITH_KUBELET
        node = unpack(archive_of(recorded.name), tmp_path_factory.mktemp("node"))
        settings = {**node.settings, "kubelet.cgroup-root": recorded.settings["kubelet.cgroup-root"]}
        flags = [f"--{key}={value}" for key, value in settings.items()]

        def agents(profile: str) -> dict[str, str]:
            name = f"--node-name={os.uname().nodename}"
            here = stack.enter_context(start_agent("--profile", profile, name))
            there = start_agent(
                *("--profile", profile, f"--node-name={RECORDED}", f"--kubelet.url={kubelet.url}", *flags)
            )
            stack.enter_context(there)
            until(lambda: all(one in there.get("/metrics") for one in KNOWN))
            return {HERE: address_of(here), RECORDED: address_of(there)}

        exporters = (
            {"job_name": "node-exporter", "static_configs": [{"targets": [address_of(node_exporter)]}]},
            {
                "job_name": "kubelet",
                "honor_labels": True,
                "metrics_path": "/metrics/cadvisor",
                "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}],
            },
        )
        yield Cluster(agents, exporters)


class Prometheus:
    """A real one, asked until it answers."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def ask(self, expression: str) -> list[dict[str, str]]:
        answer = self._served.json(f"/api/v1/query?query={quote(expression)}")
        assert answer["status"] == "success"
        return [{**one["metric"], "": one["value"][1]} for one in answer["data"]["result"]]

    def targets(self) -> list[dict[str, Any]]:
        return list(self._served.json("/api/v1/targets?state=active")["data"]["activeTargets"])

    def scraped(self) -> bool:
        """Every target, and well."""
        targets = self.targets()
        return bool(targets) and all(one["health"] == "up" for one in targets)


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Prometheus]]:
    with ExitStack() as stack:

        def start(config: dict[str, Any]) -> Prometheus:
            started = start_prometheus(Path(program("prometheus")), tmp_path, config)
            one = Prometheus(stack.enter_context(started))
            until(one.scraped)
            return one

        yield start


Start = Callable[[dict[str, Any]], Prometheus]


@pytest.mark.needs("node_exporter")
def test_beside_the_exporters_nothing_is_counted_twice(cluster: Cluster, prometheus: Start) -> None:
    """With node_exporter and cAdvisor still scraped, the query of docs/migrate.md finds nothing, and both are there."""
    one = prometheus(discovered(shipped("beside"), cluster.agents("beside"), *cluster.exporters))
    assert one.ask("headroom_eviction_available_bytes")
    assert one.ask("container_start_time_seconds{container!=''}")
    assert one.ask("node_uname_info")
    assert one.ask(query("Is anything counted twice?")) == []
    names = {series["__name__"] for series in one.ask('{job="headroom"}')} - {"up"}
    others = {series["__name__"] for series in one.ask('{job=~"node-exporter|kubelet"}')}
    assert {name for name in names & others if not name.startswith(("scrape_", "process_"))} == set()


@pytest.mark.needs("node_exporter")
def test_in_place_of_exporters_that_are_still_scraped_everything_is(cluster: Cluster, prometheus: Start) -> None:
    """The query is no formality: who switches to replace and forgets the old jobs is told so, node by node and
    container by container."""
    one = prometheus(discovered(shipped("replace"), cluster.agents("replace"), *cluster.exporters))
    found = one.ask(query("Is anything counted twice?"))
    assert {row["twice"] for row in found} == {"node_*", "container_*"}
    assert {row["of"] for row in found if row["twice"] == "node_*"} == {os.uname().nodename}
    containers = {series["id"] for series in one.ask('container_start_time_seconds{container!="",instance=~"127.+"}')}
    assert {row["of"] for row in found if row["twice"] == "container_*"} == containers
    assert {row[""] for row in found} == {"2"}


@pytest.mark.needs("node_exporter")
def test_replaced_exporters_leave_the_same_nodes_and_containers(
    cluster: Cluster, prometheus: Start, tmp_path: Path
) -> None:
    """With the old jobs gone nothing is counted twice, and the second query counts what it did before."""
    agents = cluster.agents("replace")
    after = prometheus(discovered(shipped("replace"), agents))
    assert after.ask(query("Is anything counted twice?")) == []
    counted = {row["of"]: row[""] for row in after.ask(query("Is anything counted twice?", 1))}
    (tmp_path / "before").mkdir()
    before = {"global": {"scrape_interval": "1s"}, "scrape_configs": list(cluster.exporters)}
    with start_prometheus(Path(program("prometheus")), tmp_path / "before", before) as served:
        old = Prometheus(served)
        until(old.scraped)
        assert {row["of"]: row[""] for row in old.ask(query("Is anything counted twice?", 1))} == counted


def test_rules_that_select_by_job_and_path_find_our_series(cluster: Cluster, prometheus: Start) -> None:
    """As node-mixin and kubernetes-mixin select: by job, metrics_path, instance, node, and the series' own names. The
    agent's pod is in no label of what is about other pods."""
    one = prometheus(discovered(shipped("replace"), cluster.agents("replace")))
    (load,) = one.ask(f'node_load1{{job="node-exporter",instance="{HERE}",node="{HERE}"}}')
    assert (load["namespace"], load["pod"], load["container"]) == ("headroom", f"headroom-agent-{HERE}", "agent")
    assert one.ask('node_exporter_build_info{job="node-exporter"}')
    where = 'job="kubelet",metrics_path="/metrics/cadvisor"'
    containers = one.ask(f'container_memory_working_set_bytes{{{where},container!="",image!=""}}')
    assert {row["node"] for row in containers} == {RECORDED}
    assert {row["namespace"] for row in containers} >= {"default"}
    assert [row for row in one.ask(f'{{{where},namespace="headroom"}}') if row["__name__"] not in SCRAPE] == []
    of_node = one.ask('container_start_time_seconds{job="kubelet",namespace=""}') + one.ask(
        'headroom_eviction_available_bytes{job="headroom"}'
    )
    assert of_node
    assert [row for row in of_node if {"namespace", "pod", "container", "endpoint"} & row.keys()] == []
    of_pods = one.ask('headroom_pod_ephemeral_storage_used_bytes{job="headroom"}')
    assert {row["namespace"] for row in of_pods} >= {"default"}
    assert not any("exported_namespace" in row for row in of_pods)


SCRAPE = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"}


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("profile", ["beside", "replace"])
def test_the_pod_monitor_means_the_same(profile: str, cluster: Cluster, prometheus: Start, tmp_path: Path) -> None:
    """Its endpoints, as the operator turns them into jobs, give targets with the labels of the plain configuration, but
    for ``endpoint``, which the operator puts on each."""
    components = ["podmonitor"] if profile == "beside" else ["podmonitor", "podmonitor-replace"]
    monitor = composed(tmp_path / "k", *components)["PodMonitor", "headroom-agent"]
    jobs = [operator_job(number, one) for number, one in enumerate(monitor["spec"]["podMetricsEndpoints"])]
    plain = shipped(profile)
    agents = cluster.agents(profile)
    by_operator = discovered({"scrape_configs": jobs}, agents)["scrape_configs"]
    one = prometheus(discovered(plain, agents, *by_operator))
    pools: dict[str, list[str]] = {}
    for target in one.targets():
        labels = {name: value for name, value in target["labels"].items() if name != "endpoint"}
        said = json.dumps([target["scrapeUrl"], labels], sort_keys=True)
        pools.setdefault("operator" if target["scrapePool"].startswith("podMonitor") else "plain", []).append(said)
    assert sorted(pools["operator"]) == sorted(pools["plain"])
    honored = [
        {job["metrics_path"]: job.get("honor_labels", False) for job in all} for all in (jobs, plain["scrape_configs"])
    ]
    assert honored[0] == honored[1]


def operator_job(number: int, endpoint: dict[str, Any]) -> dict[str, Any]:
    """A scrape job as the Prometheus operator makes it of an endpoint: its own labels, then the endpoint's rules."""
    own = [
        {"source_labels": ["job"], "target_label": "__tmp_prometheus_job_name"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        {"target_label": "job", "replacement": "headroom/headroom-agent"},
        {"target_label": "endpoint", "replacement": endpoint["port"]},
    ]
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    rules = [{names.get(key, key): value for key, value in rule.items()} for rule in endpoint["relabelings"]]
    return {
        "job_name": f"podMonitor/headroom/headroom-agent/{number}",
        "kubernetes_sd_configs": [],
        "metrics_path": endpoint["path"],
        "honor_labels": endpoint.get("honorLabels", False),
        "relabel_configs": [*own, *rules],
    }


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda path: path.stem)
def test_promtool_accepts_them(file: Path, tmp_path: Path) -> None:
    """Every field but the discovery's, whose shape is checked here."""
    config = yaml.safe_load(file.read_text())
    for job in config["scrape_configs"]:
        if "kubernetes_sd_configs" in job:
            jsonschema.validate(job.pop("kubernetes_sd_configs"), DISCOVERY)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
