"""What the manifests reserve is what the processes take: measured here, on the real ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aggregator import certificates
from tests.deploy.rendering import Objects, container_of, overlay
from tests.kubelet.scripted import ScriptedKubelet, make_certificates, server_context
from tests.peers.processes import REPOSITORY, Served, start_agent
from tests.stream.waiting import until

pytestmark = pytest.mark.needs("kubectl", "openssl")
SCRAPES = 40
NODE = ("--cluster", "prod", "--node-name", "worker-1", "--push.interval", "100ms")


@pytest.fixture(scope="module")
def kubelet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """Flags for an agent that asks a kubelet over TLS, as every agent of a cluster does."""
    place = tmp_path_factory.mktemp("kubelet")
    make_certificates(place)
    one = ScriptedKubelet(server_context(place, "signed"))
    yield ("--kubelet.url", one.url, "--kubelet.ca-file", f"{place}/ca.pem")
    one.stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("tls"), "server", "worker-1")


@pytest.fixture(scope="module")
def aggregator(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    listen = ("--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
    data = ("--data-dir", str(tmp_path_factory.mktemp("data")))
    command = (sys.executable, "-m", "agent.cli", "aggregator", *listen, *data, *certificates.flags(place))
    with Served(command, {**os.environ, "PYTHONPATH": str(REPOSITORY)}) as running:
        yield running


def resident_mib(process: Served) -> float:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) / 1024


def check(objects: Objects, kind: str, taken_mib: float) -> None:
    """The request covers it, and the limit twice that; both are no more than thrice what they are for."""
    resources = container_of(objects, kind)["resources"]
    request, limit = (float(resources[what]["memory"].removesuffix("Mi")) for what in ("requests", "limits"))
    assert taken_mib <= request <= 3 * taken_mib, f"{taken_mib:.1f} MiB taken"
    assert 2 * taken_mib <= limit <= 10 * taken_mib, f"{taken_mib:.1f} MiB taken"


def scraped(agent: Served) -> float:
    for _ in range(SCRAPES):
        agent.get("/metrics")
    return resident_mib(agent)


def test_an_agent_that_is_scraped(kubelet: tuple[str, ...]) -> None:
    """Everything of this machine, with a kubelet over TLS."""
    with start_agent(*kubelet) as agent:
        check(overlay("base"), "DaemonSet", scraped(agent))


def test_an_agent_that_spools(kubelet: tuple[str, ...], tmp_path: Path) -> None:
    """The same, writing ten records a second."""
    with start_agent(*kubelet, *NODE, "--spool.dir", str(tmp_path)) as agent:
        check(overlay("air-gapped"), "DaemonSet", scraped(agent))


def test_an_agent_that_pushes_and_its_aggregator(
    kubelet: tuple[str, ...], aggregator: Served, place: Path, tmp_path: Path
) -> None:
    """The same, streaming them over TLS; and the process at the other end, whose request is for more than one node."""
    port = aggregator.wait_for(r"msg=serving.*grpc=(\S+)")[1].rpartition(":")[2]
    target = ("--push.target", f"127.0.0.1:{port}", "--push.tls-ca", f"{place}/ca.pem", "--spool.dir", str(tmp_path))
    pair = ("--push.tls-cert", f"{place}/worker-1.pem", "--push.tls-key", f"{place}/worker-1.key")
    with start_agent(*kubelet, *NODE, *target, *pair) as agent:
        until(lambda: b"headroom_push_connected 1" in agent.get("/metrics/headroom"))
        check(overlay("both"), "DaemonSet", scraped(agent))
        check(overlay("both"), "StatefulSet", resident_mib(aggregator))
