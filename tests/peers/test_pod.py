"""The agent as a pod that is not on the host's network: what it says about the node is what the node says."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers import comparison
from tests.peers.comparison import Found, told
from tests.peers.exposition import parse
from tests.peers.processes import AGENT_SERVING, REPOSITORY, Served
from tests.tools import differences

pytestmark = pytest.mark.needs("root", "netns", "node_exporter")

HOSTNAME = "a-pod-of-its-own"
CLONE_NEWNET = 0x40000000
TREES = {"procfs": "proc", "sysfs": "sys", "rootfs": "root", "udev.data": "root/run/udev/data"}
KINDS = ("net", "uts", "mnt", "pid")
NAMESPACES = ("unshare", "--net", "--uts", "--mount", "--pid", "--fork")


class Pod(Served):
    """The agent in namespaces of its own. Only a thread that enters its network reaches its loopback address."""

    def terminate(self) -> None:
        """``unshare`` only waits for the agent, which is PID 1 of its namespace: the agent is told."""
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)

    def connect(self) -> socket.socket:
        made: list[socket.socket | OSError] = []

        def enter() -> None:
            libc = ctypes.CDLL(None, use_errno=True)
            try:
                with open(f"/proc/{self.process.pid}/ns/net") as namespace:
                    if libc.setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                made.append(socket.create_connection(self.address, timeout=10))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]


@pytest.fixture(scope="module")
def pod(textfiles: Path) -> Iterator[Pod]:
    with tempfile.TemporaryDirectory(prefix="headroom-pod-") as scratch:
        os.chmod(scratch, 0o755)
        command = (
            *(*NAMESPACES, sys.executable, "-m", "tests.peers.pod", scratch, HOSTNAME),
            *("agent.cli", "agent", "--listen", "127.0.0.1:0", "--node-name", os.uname().nodename),
            *(f"--path.{name}={scratch}/{tree}" for name, tree in TREES.items()),
            f"--collector.textfile.directory={textfiles}",  # mounted at the same path: it is a label value
        )
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with Pod(command, environment).listen(AGENT_SERVING) as running:
            yield running


def test_it_runs_as_nobody_in_a_place_of_its_own(pod: Pod) -> None:
    """The surroundings are what the claims below are about: another network, host name, PID and user."""
    pid = pod.process.pid
    child = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
    assert {os.readlink(f"/proc/{child}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS} == {
        False
    }
    status = Path(f"/proc/{child}/status").read_text()
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in status
    assert "\nCapEff:\t0000000000000000\n" in status


def test_it_serves_the_node_and_omits_the_pod(pod: Pod, node_exporter: Served) -> None:
    """It serves what node_exporter serves on the host, but for docs/differences.toml: what would describe the pod."""
    ours, theirs = (parse(one.get("/metrics")) for one in (pod, node_exporter))
    listed, omitted = differences.read()
    found = comparison.unlisted(comparison.shape(ours, theirs), listed)
    pods = {one.series for one in found if one.kind == "missing" and any(entry.covers(one.series) for entry in omitted)}
    assert told(one for one in found if one.series not in pods) == ""


def test_what_it_omits_it_really_omits(pod: Pod, node_exporter: Served) -> None:
    """No series that is listed as the pod's own is served from a pod, and the host has each of them."""
    omitted = differences.read()[1]
    served, host = (parse(one.get("/metrics")).samples for one in (pod, node_exporter))
    assert [series for series in served if any(one.covers(series) for one in omitted)] == []
    assert [one for one in omitted if not one.when and not any(map(one.covers, host))] == []


def test_every_value_it_serves_is_the_host_s(pod: Pod, three_scrapes: Callable[[Served], list[list[Found]]]) -> None:
    """Every ``node_*`` value agrees with node_exporter's on the host."""
    listed = [entry for entry in differences.read()[0] if entry.kind == "value"]
    assert told(comparison.unlisted(comparison.steady(three_scrapes(pod)), listed)) == ""


def test_the_node_has_its_own_name(pod: Pod) -> None:
    """The pod's host name is nowhere; the nodename is the configured one."""
    body = pod.get("/metrics").decode()
    assert HOSTNAME not in body
    assert f'nodename="{os.uname().nodename}"' in body
