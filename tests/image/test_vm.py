"""The same image and manifest on a real cgroup v2 node: the virtual machine of tests/node_vm, under its systemd.

The processor is emulated and needs many times the CPU time of a real one, so the pod may use a whole core of it, and
take longer to start; nothing else is changed. There is no kubelet to ask: the node's containers are without names.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.image import bundle, sandbox
from tests.image.building import Built
from tests.image.bundle import Place
from tests.image.hosted import METRICS_PORT, NAME, NAMESPACE, node
from tests.image.pod import Pod, workload
from tests.image.rendered import AGENT, pod_spec, rendered
from tests.node_vm.guest import pods
from tests.node_vm.machine import Machine
from tests.peers import comparison
from tests.peers.comparison import told
from tests.peers.exposition import Scrape, parse
from tests.tools import differences, peers

pytestmark = pytest.mark.needs("root", "image", "node-vm", "kubectl", "node_exporter", "buildah", "openssl")

SLOWLY_S: Final = 150.0
EACH_S: Final = 2.0  # at most, of an emulated processor that others use too
STARTUP_S: Final = 120
UID: Final = "7c2f6a1e-0f5c-4d53-9d7e-3f1f0c8a2b11"
CONTAINER_ID: Final = "a9e1" * 16
SLICE: Final = f"kubepods-burstable-pod{UID.replace('-', '_')}.slice"
DIRECTORY: Final = "/opt/pod"
BUNDLE: Final = f"{DIRECTORY}/agent"
ROUNDS: Final = 3
BESIDE: Final = pods.BY_NAME["steady"]
EXPORTER: Final = "headroom-test-exporter"


class Guest:
    """The pod in the guest, and node_exporter on it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._is_up = False

    def up(self) -> None:
        """Starts the pod unless it runs, and returns when its probes say that it is ready."""
        if self._is_up:
            return
        self.sandbox("network")
        self.sandbox("up")
        probes = self.sandbox("probes")
        failed = {name: said for name, (passed, said) in probes.items() if not passed}
        assert failed == {}, self.machine.run("cat", f"{BUNDLE}/log").decode()
        self._is_up = True

    def down(self) -> Any:
        self._is_up = False
        return self.sandbox("down")

    def sandbox(self, command: str, *arguments: str, seconds: float = SLOWLY_S) -> Any:
        words = ("python3", "/opt/sandbox.py", command, BUNDLE, *arguments)
        return json.loads(self.machine.run(*words, seconds=seconds))

    def scrape(self) -> Scrape:
        status, body = self.sandbox("get", "/metrics", str(METRICS_PORT))
        assert status == 200
        return parse(body.encode())

    def exporter(self) -> Scrape:
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9100/metrics').read().decode())"
        return parse(self.machine.run("python3", "-c", ask))


@pytest.fixture(scope="module")
def pod() -> Pod:
    objects = rendered()
    (container,) = pod_spec(objects)["containers"]
    container["resources"]["limits"]["cpu"] = "1"
    container["startupProbe"]["failureThreshold"] = STARTUP_S
    return workload(objects, AGENT)


@pytest.fixture(scope="module")
def node_with_pods(node_vm: Machine, built: Built, pod: Pod, certificates: Path) -> Iterator[Guest]:
    """Another pod and node_exporter run, and everything is there for ours."""
    node_vm.put(Path(pods.__file__), "opt/pods.py")
    node_vm.put(Path(sandbox.__file__), "opt/sandbox.py")
    put_pod(node_vm, built, pod, certificates)
    node_vm.put(peers.path("node_exporter") or Path(), "opt/node_exporter")
    node_vm.run("mkdir", "-p", "/opt/no-text-files")
    flags = ("--no-collector.systemd", "--web.listen-address=127.0.0.1:9100")
    text = "--collector.textfile.directory=/opt/no-text-files"
    node_vm.run("systemd-run", f"--unit={EXPORTER}", "/opt/node_exporter", *flags, text)
    node_vm.run("python3", "/opt/pods.py", "up", BESIDE.name, seconds=SLOWLY_S)
    one = Guest(node_vm)
    yield one
    one.down()
    node_vm.run("python3", "/opt/pods.py", "down", BESIDE.name, seconds=SLOWLY_S)
    node_vm.run("systemctl", "stop", EXPORTER)
    node_vm.run("rm", "-rf", DIRECTORY, "/opt/node_exporter")


@pytest.fixture
def guest(node_with_pods: Guest) -> Guest:
    """With our pod, ready."""
    node_with_pods.up()
    return node_with_pods


def put_pod(machine: Machine, built: Built, pod: Pod, certificates: Path) -> None:
    """The bundle and the image's files."""
    cgroup = f"{SLICE}:cri-containerd:{CONTAINER_ID}"
    place = Place(NAMESPACE, NAME, UID, CONTAINER_ID, cgroup, DIRECTORY, f"{DIRECTORY}/rootfs")
    with tempfile.TemporaryDirectory() as local:
        made = node(certificates)._replace(name="node-vm", unified=True)
        bundle.write(Path(local), pod, built.image("pull"), made, place)
        machine.put(Path(local), DIRECTORY.lstrip("/"))
    packed = subprocess.run(["tar", "-C", str(built.rootfs("pull")), "-cf", "-", "."], capture_output=True, check=True)
    machine.run("mkdir", "-p", f"{DIRECTORY}/rootfs")
    machine.run("tar", "-C", f"{DIRECTORY}/rootfs", "-xf", "-", stdin=packed.stdout, seconds=SLOWLY_S)


def test_it_serves_the_node(guest: Guest) -> None:
    """What node_exporter serves there, but for docs/differences.toml: what would describe the pod."""
    ours, theirs = guest.scrape(), guest.exporter()
    listed, omitted = differences.read()
    found = comparison.unlisted(comparison.shape(ours, theirs), listed)
    assert told(one for one in found if not any(entry.covers(one.series) for entry in omitted)) == ""


def test_every_value_is_the_node_s(guest: Guest) -> None:
    """Every ``node_*`` value agrees with node_exporter's, before and after."""
    rounds = []
    for _ in range(ROUNDS):
        before, ours, after = guest.exporter(), guest.scrape(), guest.exporter()
        rounds.append(comparison.values(ours, before, after))
    listed = [entry for entry in differences.read()[0] if entry.kind == "value"]
    assert told(comparison.unlisted(comparison.steady(rounds), listed)) == ""


def test_it_serves_the_node_s_containers(guest: Guest) -> None:
    """Another pod's and its own, by their cgroups, with their limits."""
    served = guest.scrape().samples
    limits = {f"/kubepods.slice/kubepods-burstable.slice/{SLICE}/cri-containerd-{CONTAINER_ID}.scope": 96 << 20}
    for container in BESIDE.containers:
        limits[BESIDE.container_cgroup(container.name)] = (container.memory_mib or 0) << 20
    of = {name: value for name, value in served.items() if name.startswith("container_spec_memory_limit_bytes")}
    for cgroup, limit in limits.items():
        assert [value for name, value in of.items() if f'id="{cgroup}"' in name] == [limit]


@pytest.mark.parametrize("scrapes", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_it_stays_within_its_limits(guest: Guest, pod: Pod, scrapes: int, capsys: pytest.CaptureFixture[str]) -> None:
    """However often it is scraped memory never reaches the limit, nothing is killed, and CPU is what it may have."""
    limits = pod.containers[0].limits
    used = guest.sandbox("scrape", "/metrics", str(METRICS_PORT), str(scrapes), seconds=scrapes * EACH_S)
    after, cpu_us = used["after"], used["after"]["cpu_us"] - used["before"]["cpu_us"]
    with capsys.disabled():
        peak_mib, cores = after["memory_peak_bytes"] / 2**20, cpu_us / 1e6 / used["seconds"]
        print(f"\n{scrapes} scrapes of the pod on cgroup v2: at most {peak_mib:.1f} MiB, {cores:.2f} cores")
    assert used["statuses"] == [200]
    assert after["memory_limit_bytes"] == limits.memory_bytes
    assert after["memory_peak_bytes"] < after["memory_limit_bytes"]
    assert (after["memory_limit_hits"], after["oom_kills"]) == (0, 0)
    assert cpu_us / 1000 / used["seconds"] < (limits.millicores or 0) * 1.1


def test_sigterm_ends_it_within_its_grace_period(guest: Guest, pod: Pod) -> None:
    """It ends by itself, on an emulated processor too. Whoever needs it afterwards starts it again."""
    ended = guest.down()
    assert ended["seconds"] is not None, f"it did not end within {pod.grace_s} s"
    assert ended["log"].splitlines()[-1].endswith("msg=stopped")
