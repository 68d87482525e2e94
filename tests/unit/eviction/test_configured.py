"""The configuration in force is found, and found again when it may have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.eviction.configured import EVERY_S, Configured
from agent.sources.host import Host
from tests.unit.eviction.small_node import SmallNode

CONFIG = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nevictionHard:\n  "
FILE = "root/etc/kubelet.yaml"
WITH_FILE = ("--config=/etc/kubelet.yaml", "--root-dir=/data")


def process(*flags: str, pid: int = 42, start_ticks: int = 100) -> dict[str, str]:
    """The files of a kubelet's process."""
    stat = f"{pid} (kubelet) S 1 1 1 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 9 0 {start_ticks} 1000 50" + " 0" * 28
    words = "\0".join(("kubelet", *flags))
    return {
        f"proc/{pid}/comm": "kubelet\n",
        f"proc/{pid}/stat": f"{stat}\n",
        f"proc/{pid}/status": f"Name:\tkubelet\nNSpid:\t{pid}\n",
        f"proc/{pid}/cmdline": f"{words}\0",
    }


@pytest.fixture
def node(make_host: Callable[..., Host], calls: Any) -> SmallNode:
    return SmallNode(make_host, calls)


def found(configured: Configured, now_s: float = 0.0) -> tuple[str, dict[str, str]]:
    """The origin, and the thresholds by signal."""
    config = configured.now(now_s)
    return config.origin, {one.signal: one.text for one in config.thresholds}


def test_without_a_kubelet_there_are_the_defaults(node: SmallNode) -> None:
    """Those of Kubernetes, marked as such; that there is none is no error."""
    configured = Configured(node.host)
    origin, thresholds = found(configured)
    assert origin == "default"
    assert thresholds["nodefs.available"] == "10%"
    assert (configured.flags, configured.errors) == ({}, [])


def test_the_process_leads_to_its_file(node: SmallNode, make_host: Callable[..., Host]) -> None:
    """By its flags, which are kept; below the node's root."""
    make_host(process(*WITH_FILE) | {FILE: CONFIG + "nodefs.available: 7%\n"})
    configured = Configured(node.host)
    assert found(configured) == ("file", {"nodefs.available": "7%"})
    assert configured.flags["root-dir"] == "/data"


def test_a_setting_names_the_file(node: SmallNode, make_host: Callable[..., Host]) -> None:
    """Also where no process is to be seen, and before what the process says."""
    make_host(process("--config=/etc/other") | {FILE: CONFIG + "nodefs.available: 7%\n"})
    assert found(Configured(node.host, "/etc/kubelet.yaml")) == ("file", {"nodefs.available": "7%"})


def test_a_file_that_is_not_there_leaves_the_defaults(node: SmallNode, make_host: Callable[..., Host]) -> None:
    """And says so; one that cannot be read says why."""
    configured = Configured(node.host, "/etc/kubelet.yaml")
    assert found(configured)[0] == "default"
    assert ["the defaults are taken" in str(error) for error in configured.errors] == [True]
    make_host({FILE: "evictionHard: [\n"})
    configured = Configured(node.host, "/etc/kubelet.yaml")
    assert found(configured)[0] == "default"
    assert [error.reason for error in configured.errors] == ["malformed"]


def test_what_the_kubelet_answers_is_believed_before_its_file(node: SmallNode, make_host: Callable[..., Host]) -> None:
    """As soon as it answers, without waiting for the minute; the file is not even read."""
    make_host(process(*WITH_FILE) | {FILE: "broken: ["})
    configured = Configured(node.host)
    assert found(configured)[0] == "default"
    assert configured.errors
    node.tell_configz(evictionHard={"memory.available": "1Gi"})
    assert found(configured, 1.0) == ("configz", {"memory.available": "1Gi"})
    assert configured.errors == []
    node.tell_configz(evictionHard={"memory.available": "2Gi"})
    assert found(configured, 2.0) == ("configz", {"memory.available": "2Gi"})


def test_the_file_is_read_again_every_minute(node: SmallNode, make_host: Callable[..., Host]) -> None:
    """And not in between: the very same configuration is given."""
    make_host({FILE: CONFIG + "nodefs.available: 7%\n"})
    configured = Configured(node.host, "/etc/kubelet.yaml")
    first = configured.now(0.0)
    make_host({FILE: CONFIG + "nodefs.available: 8%\n"})
    assert configured.now(EVERY_S - 0.1) is first
    assert found(configured, EVERY_S) == ("file", {"nodefs.available": "8%"})


def test_a_kubelet_that_was_started_anew_has_other_flags(node: SmallNode, make_host: Callable[..., Host]) -> None:
    """The same PID with another start is another process."""
    make_host(process("--root-dir=/a", "--eviction-hard=memory.available<1Gi"))
    configured = Configured(node.host)
    assert found(configured) == ("file", {"memory.available": "1Gi", "allocatableMemory.available": "1Gi"})
    make_host(process("--root-dir=/b", "--eviction-hard=pid.available<100", start_ticks=101))
    assert found(configured, EVERY_S) == ("file", {"pid.available": "100"})
    assert configured.flags["root-dir"] == "/b"
