"""The built image, run by runc as ``manifests/base`` renders it, on this machine as its node."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.image.building import Built
from tests.image.hosted import METRICS_PORT, NAME, NODE_NAME, TOKEN, Host, Hosted
from tests.image.pod import Pod, workload
from tests.image.rendered import AGENT, pod_spec, rendered
from tests.image.sandbox import SandboxError
from tests.kubelet import scripted
from tests.peers import comparison
from tests.peers.comparison import told
from tests.peers.exposition import parse
from tests.peers.processes import Served, start_node_exporter
from tests.stream.waiting import until
from tests.tools import differences, peers

pytestmark = pytest.mark.needs("root", "image", "cgroup-v1-memory", "kubectl", "node_exporter", "runc", "openssl", "ip")

ROUNDS = 5
SCRAPES = 300
NAMESPACES = ("net", "uts", "mnt", "pid", "ipc")
OWN = f'container="agent",id="{{}}",image="headroom-agent:0.1.0",name="{{}}",namespace="headroom",pod="{NAME}"'


@pytest.fixture(scope="module")
def pod() -> Pod:
    return workload(rendered(), AGENT)


@pytest.fixture(scope="module")
def host(built: Built, certificates: Path) -> Iterator[Host]:
    with Host(built, certificates) as one:
        yield one


@pytest.fixture(scope="module")
def running(host: Host, pod: Pod) -> Iterator[Hosted]:
    """The pod, once its probes have said that it is ready."""
    with host.pod(pod) as one:
        one.start()
        failed = {name: said for name, (passed, said) in one.sandbox.probes().items() if not passed}
        assert failed == {}, one.sandbox.log()
        yield one


@pytest.fixture(scope="module")
def node_exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With an empty directory of text files: without any it reports an error."""
    program = peers.path("node_exporter")
    assert program is not None, "the test says that it needs node_exporter"
    with start_node_exporter(program, f"--collector.textfile.directory={tmp_path_factory.mktemp('text')}") as one:
        yield one


def test_its_surroundings_are_those_of_the_manifest(running: Hosted) -> None:
    """Nobody, without capabilities, under seccomp, without new privileges, in namespaces of its own."""
    pid = running.sandbox.pid()
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65534"] * 4
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert [kind for kind in NAMESPACES if same(pid, kind)] == []


def same(pid: int, kind: str) -> bool:
    return os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.parametrize("path", ["/x", "/opt/headroom/x", "/host/root/tmp/x", "/host/sys/x", "/var/run/secrets/x"])
def test_nothing_is_writable(running: Hosted, path: str) -> None:
    """Neither the image's files nor the node's, whoever may write them outside."""
    code, said = running.sandbox.execute("python3", "-c", f"open({path!r}, 'w')")
    assert code == 1
    assert "Read-only file system" in said or "Permission denied" in said, said


def test_it_serves_the_node_and_omits_the_pod(running: Hosted, node_exporter: Served) -> None:
    """It serves what node_exporter serves on the host, but for docs/differences.toml: what would describe the pod."""
    ours, theirs = (parse(one.get("/metrics")) for one in (running, node_exporter))
    listed, omitted = differences.read()
    found = comparison.unlisted(comparison.shape(ours, theirs), listed)
    assert told(one for one in found if not any(entry.covers(one.series) for entry in omitted)) == ""
    assert len([name for name in ours.samples if name.startswith("node_")]) > 300


def test_every_value_is_the_node_s(running: Hosted, node_exporter: Served) -> None:
    """Every ``node_*`` value agrees with node_exporter's on the host, before and after."""
    rounds = []
    for _ in range(ROUNDS):
        before, ours, after = (parse(one.get("/metrics")) for one in (node_exporter, running, node_exporter))
        rounds.append(comparison.values(ours, before, after))
    listed = [entry for entry in differences.read()[0] if entry.kind == "value"]
    assert told(comparison.unlisted(comparison.steady(rounds), listed)) == ""


def test_it_serves_the_node_s_containers(running: Hosted) -> None:
    """The one that is known here is itself: found below the node's cgroups, named by the kubelet, with its limits."""
    labels = OWN.format(running.runc.path(running.slot), running.slot.container_id)
    until(lambda: f"container_memory_working_set_bytes{{{labels}}}" in samples(running))
    served = samples(running)
    usage = running.sandbox.usage()
    assert served[f"container_spec_memory_limit_bytes{{{labels}}}"] == usage["memory_limit_bytes"] == 96 << 20
    assert served[f"container_spec_cpu_quota{{{labels}}}"] == 25_000
    assert abs(served[f"container_memory_working_set_bytes{{{labels}}}"] - usage["memory_working_set_bytes"]) < 4 << 20


def test_the_kubelet_is_asked_with_the_pod_s_token(running: Hosted) -> None:
    """At the node's address, with the mounted token, verified by the mounted CA."""
    until(lambda: {path for path, _ in running.kubelet.requests} >= scripted.DOCUMENTS.keys())
    assert {headers["authorization"] for _, headers in running.kubelet.requests} == {f"Bearer {TOKEN.decode()}"}


def test_it_stays_within_its_limits(running: Hosted, pod: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    """Over hundreds of scrapes memory never reaches the limit, nothing is killed, and one scrape is not throttled.

    Scraped every second it would stay within what the manifest requests, too.
    """
    limits = pod.containers[0].limits
    assert limits.memory_bytes
    assert limits.millicores
    assert limits.shares_millicores
    used = running.sandbox.scrape("/metrics", METRICS_PORT, SCRAPES)
    after = used["after"]
    each_ms = (after["cpu_us"] - used["before"]["cpu_us"]) / SCRAPES / 1000
    peak_mib = after["memory_peak_bytes"] / 2**20
    with capsys.disabled():
        print(f"\n{SCRAPES} scrapes of the pod: at most {peak_mib:.1f} MiB, {each_ms:.1f} ms CPU each")
    assert used["statuses"] == [200]
    assert after["memory_limit_bytes"] == limits.memory_bytes
    assert after["memory_peak_bytes"] < limits.memory_bytes
    assert (after["memory_limit_hits"], after["oom_kills"]) == (0, 0)
    assert each_ms < limits.millicores / 10, "of the 100 ms of a period"
    assert each_ms < limits.shares_millicores, "thousandths of a second, each second"


def test_doctor_says_what_this_pod_lacks(running: Hosted, pod: Pod) -> None:
    """With the pod's own settings it looks at the node, and names what a pod cannot see."""
    code, said = doctor(running, pod)
    assert code == 0, said
    assert "lost  network namespace           a pod's" in said
    assert f"ok    host name                   a pod's: nodename is the configured {NODE_NAME}" in said
    assert "ok    kubelet /pods               by get on nodes/pods" in said


def doctor(one: Hosted, pod: Pod) -> tuple[int, str]:
    words = [word.replace("$(NODE_IP)", "127.0.0.1") for word in pod.containers[0].arguments]
    return one.sandbox.execute("headroom", "doctor", *words[1:])


AGGREGATOR: Mapping[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "aggregator",
            "image": "headroom-agent",
            "args": ["aggregator", "--insecure", "--data-dir=/data"],
            "startupProbe": {"httpGet": {"path": "/healthz", "port": 9912}, "periodSeconds": 1, "failureThreshold": 30},
            "securityContext": {"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
    ],
    "volumes": [{"name": "data", "emptyDir": {}}],
}


def test_the_aggregator_runs_too(host: Host) -> None:
    """The same image, as nobody on a read-only root filesystem: it serves, and ends in order."""
    template = {"metadata": {}, "spec": AGGREGATOR}
    made = workload([{"kind": "StatefulSet", "metadata": {"name": "a"}, "spec": {"template": template}}], "a")
    with host.pod(made) as one:
        one.start()
        assert one.sandbox.probe("startup") == (True, "200 ok")
        status, nodes = one.sandbox.get("/api/v1/nodes", 9912)
        ended = one.sandbox.down()
    assert (status, json.loads(nodes)["nodes"]) == (200, [])
    assert ended["seconds"] is not None
    assert ended["log"].splitlines()[-1].endswith("msg=stopped")


def test_what_comes_first_runs_first(host: Host) -> None:
    """An init container with rights of its own prepares a volume; the other one starts when it has ended well."""
    spec = json.loads(json.dumps(AGGREGATOR))
    spec["initContainers"] = [
        {
            "name": "prepare",
            "image": "headroom-agent",
            "command": ["python3", "-c", "import os; os.mkdir('/data/a'); os.chown('/data/a', 65534, 65534)"],
            "securityContext": {
                "runAsNonRoot": False,
                "runAsUser": 0,
                "runAsGroup": 0,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]},
            },
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
    ]
    spec["containers"][0]["args"] = ["aggregator", "--insecure", "--data-dir=/data/a"]
    template = {"metadata": {}, "spec": spec}
    made = workload([{"kind": "StatefulSet", "metadata": {"name": "a"}, "spec": {"template": template}}], "a")
    with host.pod(made) as one:
        one.start()
        assert one.sandbox.probe("startup") == (True, "200 ok")
    with host.pod(made) as one:
        one.first[0].run()
        with pytest.raises(SandboxError, match=r"(?s)prepare: exit status 1: .*FileExistsError"):
            one.start()
        assert not one.sandbox.is_running()


def test_sigterm_ends_it_within_its_grace_period(host: Host, pod: Pod) -> None:
    """It is scraped until then, stops by itself, says so, and leaves nothing."""
    with host.pod(pod) as one:
        one.start()
        assert one.sandbox.probe("startup")[0]
        one.get("/metrics")
        ended = one.sandbox.down()
    assert ended["seconds"] is not None, f"it did not end within {pod.grace_s} s"
    assert ended["seconds"] < pod.grace_s / 2
    assert ended["log"].splitlines()[-1].endswith("msg=stopped")


def samples(one: Hosted) -> Mapping[str, float]:
    return parse(one.get("/metrics")).samples


def ready(one: Hosted) -> tuple[int, str]:
    """Starts it, and asks what its readiness probe asks, once."""
    one.start()
    assert one.sandbox.probe("startup")[0]
    return one.sandbox.get("/readyz", METRICS_PORT)


def changed(change: Callable[[dict[str, Any]], None]) -> Pod:
    """The rendered pod with a change to its specification."""
    objects = rendered()
    change(pod_spec(objects))
    return workload(objects, AGENT)


def without(volume: str) -> Pod:
    """The pod of somebody who left out a volume."""

    def drop(spec: dict[str, Any]) -> None:
        for mounts in (spec["volumes"], spec["containers"][0]["volumeMounts"]):
            mounts[:] = [one for one in mounts if one["name"] != volume]

    return changed(drop)


def elsewhere(spec: dict[str, Any]) -> None:
    """Points the node's /proc at a place that there is not."""
    (volume,) = (one for one in spec["volumes"] if one["name"] == "proc")
    volume["hostPath"]["path"] = "/no/such/place"


class TestWhatIsMissing:
    """The pod runs, says what it cannot see, and is ready only if its main job works."""

    def test_an_unreadable_token(self, host: Host, pod: Pod) -> None:
        """Containers without names, and everything else; the log and doctor name the file."""

        def close(place: Path) -> None:
            os.chown(place / "volumes/kubelet-access/token", 0, 0)

        with host.pod(pod, change=close) as one:
            said = ready(one)
            code, found = doctor(one, pod)
            assert one.kubelet.requests == []
        assert said == (200, "ready\n")
        assert code == 0
        assert "lost  kubelet /pods" in found
        assert "/var/run/secrets/kubernetes.io/serviceaccount/token" in found, found
        assert "Permission denied" in found

    def test_a_kubelet_that_refuses(self, host: Host, pod: Pod) -> None:
        """Doctor names the grant that is missing; what the kubelet alone knows is absent, and counted."""
        with host.pod(pod) as one:
            one.kubelet.script = dict.fromkeys(scripted.DOCUMENTS, scripted.forbidden)
            said = ready(one)
            refused = 'headroom_kubelet_requests_total{code="403",path="/pods"}'
            until(lambda: refused in samples(one))
            served = samples(one)
            code, found = doctor(one, pod)
            log = one.sandbox.log()
        assert said == (200, "ready\n")
        assert code == 0
        assert "nodes/pods" in found
        assert "forbidden" in found.lower()
        assert "path=/pods" in log
        assert [name for name in served if name.startswith("headroom_pod_")] == []

    def test_without_the_node_s_sys(self, host: Host) -> None:
        """CPU and memory are there, so it is ready; containers and devices are absent, and said."""
        with host.pod(without("sys")) as one:
            said = ready(one)
            served = samples(one)
            code, found = doctor(one, without("sys"))
        assert said == (200, "ready\n")
        assert code == 0
        assert "node_memory_MemTotal_bytes" in served
        assert [name for name in served if name.startswith(("container_", "node_network_up"))] == []
        assert "/host/sys" in found

    def test_without_the_node_s_proc(self, host: Host) -> None:
        """Its main job cannot be done: it runs, answers, and is not ready; doctor fails and says why."""
        with host.pod(without("proc")) as one:
            said = ready(one)
            alive = one.sandbox.probe("liveness")
            code, found = doctor(one, without("proc"))
            assert one.sandbox.is_running()
        assert said[0] == 503
        assert said[1].startswith("no kernel file of the node can be read")
        assert alive == (True, "200 ok")
        assert code == 1
        assert "fail  collector meminfo" in found

    def test_a_directory_that_the_node_lacks(self, host: Host) -> None:
        """The kubelet does not start such a pod at all; nor is it started here."""
        pod = changed(elsewhere)
        with (
            host.pod(pod) as one,
            pytest.raises(SandboxError, match=r"FailedMount: .*/no/such/place"),
        ):
            one.start()
