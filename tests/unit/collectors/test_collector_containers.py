"""container_*: names, what is reported and what is not, and when files are read again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.collectors.containers import Containers
from agent.collectors.selection import Selection
from agent.errors import Absent, Malformed
from agent.model import Collector, Writer
from agent.sources.host import Host
from agent.sources.kubelet.pods import ContainerStatus, Pod
from agent.sources.kubelet.slot import Document, Kubelet
from agent.sources.kubelet.summary import Interface, NetworkStats, NodeStats, PodStats, Summary

MakeHost = Callable[..., Host]
Collect = Callable[[Collector], Any]
APP, PAUSE = "a" * 64, "b" * 64
UID = "11111111-aaaa-4bbb-8ccc-000000000001"
POD = f"/kubepods/pod{UID}"
FILES = {
    "cpu.stat": "usage_usec 3000000\nuser_usec 1000000\nsystem_usec 2000000\n"
    "nr_periods 9\nnr_throttled 4\nthrottled_usec 500000\nnr_bursts 0\nburst_usec 0\n",
    "memory.current": "1000\n",
    "memory.stat": "anon 200\nfile 100\nfile_mapped 30\ninactive_file 400\npgfault 11\npgmajfault 3\n",
    "memory.events": "max 5\noom_kill 2\n",
    "memory.max": "max\n",
    "memory.min": "0\n",
    "io.stat": "259:0 rbytes=4096 wbytes=1 rios=2 wios=3\n",
    "pids.current": "3\n",
    "cgroup.procs": "7\n",
    "cpu.max": "max 100000\n",
    "cpu.weight": "1\n",
}
NET_DEV = (
    "Inter-|   Receive                            |  Transmit\n"
    " face |bytes packets errs drop fifo frame compressed multicast"
    "|bytes packets errs drop fifo colls carrier compressed\n"
)
NOW_S = 1_700_000_000.0
OLD_S, NEW_S = NOW_S - 3600, NOW_S - 1


class FakeKubelet(Kubelet):
    """A kubelet whose documents were taken now."""

    def knows(self, *pods: Pod, time_s: float = NOW_S) -> None:
        self.put_pods(Document(pods, 0.0, time_s))

    def sums_up(self, *pods: PodStats) -> None:
        node = NodeStats("n", None, None, None, None, None, None, None, ())
        self.put_summary(Document(Summary(node, pods), 0.0, NOW_S))


def status(name: str, container_id: str, started_s: float | None = None) -> ContainerStatus:
    return ContainerStatus(name, container_id, f"{name}:1", "", "running", "", "", None, 0, True, False, started_s)


def pod(*statuses: ContainerStatus, host_network: bool = False) -> Pod:
    return Pod(
        "ns", "web-0", UID, "n", "Running", "", host_network, 0, "", "", {}, False, UID, 0, 0, (), statuses, {}, False
    )  # fmt: skip


def stats(*interfaces: Interface) -> PodStats:
    network = NetworkStats(NOW_S, interfaces) if interfaces else None
    return PodStats("ns", "web-0", UID, None, (), None, network, (), None, None)


class Node:
    """A cgroup v2 node with one pod: an application and its sandbox."""

    def __init__(self, make_host: MakeHost, tmp_path: Path, calls: Any) -> None:
        self.calls = calls
        self.kubelet = FakeKubelet()
        self._cgroups = tmp_path / "sys/fs/cgroup"
        calls.now_s = NOW_S
        self.host = make_host(
            {"sys/fs/cgroup/cgroup.controllers": "", "proc/diskstats": "259 0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11\n"}
        )
        self.host.kubelet = self.kubelet
        self._make_host = make_host
        self.collector = Containers(self.host, {})
        for container_id in (APP, PAUSE):
            self.add(container_id)

    def add(self, container_id: str, born_s: float = OLD_S, **changes: str) -> Path:
        directory = self.directory(container_id)
        directory.mkdir(parents=True)
        self.write(container_id, born_s, **{name.replace(".", "_"): text for name, text in FILES.items()} | changes)
        return directory

    def directory(self, container_id: str) -> Path:
        return self._cgroups / f"{POD[1:]}/{container_id}"

    def write(self, container_id: str, born_s: float = OLD_S, **files: str) -> None:
        """File names with ``_`` for the dot."""
        directory = self.directory(container_id)
        for name, text in files.items():
            (directory / name.replace("_", ".", 1)).write_text(text)
        os.utime(directory, (born_s, born_s))

    def processes(self, **devices_of_pid: str) -> None:
        """``p7="eth0: 1 2 ..."``: a process, and the network that it sees."""
        self._make_host({f"proc/{pid[1:]}/net/dev": NET_DEV + text for pid, text in devices_of_pid.items()})


@pytest.fixture
def node(make_host: MakeHost, tmp_path: Path, calls: Any) -> Node:
    return Node(make_host, tmp_path, calls)


def labels(container: str, image: str, container_id: str, namespace: str = "ns", name: str = "web-0") -> str:
    return (
        f'container="{container}",id="{POD}/{container_id}",image="{image}",name="{container_id}",'
        f'namespace="{namespace}",pod="{name}"'
    )


def names(samples: Any, family: str = "container_memory_rss") -> list[str]:
    return [series[len(family) + 1 : -1] for series in samples if series.startswith(family + "{")]


def test_a_container_with_its_name(node: Node, collect: Collect) -> None:
    """Named by the kubelet; the sandbox, which is none of the pod's containers, is left out."""
    node.kubelet.knows(pod(status("app", APP, NOW_S - 60.5)))
    found = collect(node.collector)
    app = labels("app", "app:1", APP)
    assert names(found) == [app]
    assert found.errors == []
    assert {series: value for series, value in found.items() if "device" not in series} == {
        f"container_cpu_usage_seconds_total{{{app.replace(',id', ',cpu=%total%,id', 1)}}}".replace("%", '"'): 3.0,
        f"container_cpu_user_seconds_total{{{app}}}": 1.0,
        f"container_cpu_system_seconds_total{{{app}}}": 2.0,
        f"container_memory_usage_bytes{{{app}}}": 1000,
        f"container_memory_working_set_bytes{{{app}}}": 600,
        f"container_memory_rss{{{app}}}": 200,
        f"container_memory_cache{{{app}}}": 100,
        f"container_memory_mapped_file{{{app}}}": 30,
        f"container_memory_failcnt{{{app}}}": 5,
        f"container_oom_events_total{{{app}}}": 2,
        f"container_threads{{{app}}}": 3,
        f"container_processes{{{app}}}": 1,
        f"container_start_time_seconds{{{app}}}": int(NOW_S - 60.5),
        f"container_spec_cpu_period{{{app}}}": 100000,
        f"container_spec_cpu_shares{{{app}}}": 2,
        f"container_spec_memory_limit_bytes{{{app}}}": 0,
        f"container_spec_memory_reservation_limit_bytes{{{app}}}": 0,
        **{
            "container_memory_failures_total{"
            + app.replace(",id", f',failure_type="{kind}",id', 1)
            + f',scope="{scope}"}}': value
            for kind, value in (("pgfault", 11), ("pgmajfault", 3))
            for scope in ("container", "hierarchy")
        },
    }


def test_block_devices(node: Node, collect: Collect) -> None:
    """By the name of the device, and with its numbers."""
    node.kubelet.knows(pod(status("app", APP)))
    found = collect(node.collector)
    app = labels("app", "app:1", APP).replace(",id", ',device="/dev/nvme0n1",id', 1)
    numbered = app.replace(",name=", ',major="259",minor="0",name=').replace(",pod=", ',operation="Read",pod=')
    assert found[f"container_blkio_device_usage_total{{{numbered}}}"] == 4096
    for name, value in (("reads_bytes", 4096), ("writes_bytes", 1), ("reads", 2), ("writes", 3)):
        assert found[f"container_fs_{name}_total{{{app}}}"] == value


def test_only_what_can_be_known(node: Node, collect: Collect) -> None:
    """No throttling without a quota, no pressure without its files, no swap limit without the file."""
    found = collect(node.collector)
    assert not any("cfs" in series or "pressure" in series or "swap" in series for series in found)
    new = "c" * 64
    node.add(new, cpu_max="50000 100000\n", cpu_pressure="some total=5000000\nfull total=1\n")
    found = collect(node.collector)
    app = labels("", "", new, "", "")
    assert names(found, "container_cpu_cfs_throttled_seconds_total") == [app]
    assert found[f"container_cpu_cfs_throttled_seconds_total{{{app}}}"] == 0.5
    assert found[f"container_spec_cpu_quota{{{app}}}"] == 50000
    assert found[f"container_pressure_cpu_waiting_seconds_total{{{app}}}"] == 5.0
    assert names(found, "container_pressure_cpu_stalled_seconds_total") == [app]
    assert names(found, "container_pressure_io_waiting_seconds_total") == []


def test_without_a_kubelet(node: Node, collect: Collect) -> None:
    """The id is the name, and the sandbox is one more leaf."""
    assert names(collect(node.collector)) == [labels("", "", APP, "", ""), labels("", "", PAUSE, "", "")]


def test_with_the_summary_alone(node: Node, collect: Collect) -> None:
    """It knows the pod by its uid, but no container by its id."""
    node.kubelet.sums_up(stats())
    assert names(collect(node.collector)) == [labels("", "", APP), labels("", "", PAUSE)]


def test_a_container_that_the_kubelet_has_not_named_yet(node: Node, collect: Collect) -> None:
    """It is reported in its pod without a name, not taken for the sandbox, until a later document names it."""
    new = "c" * 64
    node.kubelet.knows(pod(status("app", APP)))
    node.add(new, NEW_S)
    assert names(collect(node.collector)) == [labels("app", "app:1", APP), labels("", "", new)]
    node.kubelet.knows(pod(status("app", APP), status("side", new)))
    assert names(collect(node.collector)) == [labels("app", "app:1", APP), labels("side", "side:1", new)]


def test_the_kubelet_is_asked_again_for_a_new_container(node: Node, collect: Collect) -> None:
    """Until a document that came late enough named it, or did not: then it is a sandbox, or nobody's, for good."""
    asked = []

    def look(*statuses: ContainerStatus, time_s: float) -> None:
        node.kubelet.knows(pod(*statuses), time_s=time_s)
        assert node.kubelet.unnamed is False  # nobody has looked yet
        collect(node.collector)
        asked.append(node.kubelet.unnamed)

    collect(node.collector)
    assert node.kubelet.unnamed is False  # of a kubelet that has not said anything yet
    look(status("app", APP), time_s=NOW_S)
    new, pause = "c" * 64, "d" * 64
    node.add(new, NEW_S)
    node.add(pause, NEW_S)
    collect(node.collector)
    asked.append(node.kubelet.unnamed)
    look(status("app", APP), status("side", new), time_s=NEW_S + 10)
    look(status("app", APP), status("side", new), time_s=NEW_S + 11)
    assert asked == [False, True, True, False]


def test_the_kubelet_is_not_asked_for_ever_about_a_pod_that_is_gone(node: Node, collect: Collect) -> None:
    """Nor about one without a ``/pods``; nor when the container itself is gone."""
    node.kubelet.knows()
    collect(node.collector)
    assert node.kubelet.unnamed is False
    new = node.add("c" * 64, NEW_S)
    collect(node.collector)
    assert node.kubelet.unnamed is True
    new.rename(new.parent.parent / "gone")
    collect(node.collector)
    assert node.kubelet.unnamed is False


def test_the_kubelet_is_asked_who_it_is_that_may_be_unwanted(node: Node, collect: Collect) -> None:
    """A namespace that nobody told yet may be one to report; one that is known not to be is not asked about."""
    collector = Containers(node.host, {"selection": Selection({"namespace-include": "shop"})})
    node.kubelet.knows()
    node.add("c" * 64, NEW_S)
    assert names(collect(collector)) == []
    assert node.kubelet.unnamed is True
    node.kubelet.knows(pod())
    collect(collector)
    assert node.kubelet.unnamed is False


def test_an_unknown_pod_has_no_sandbox(node: Node, collect: Collect) -> None:
    """What the kubelet does not list at all is reported by its ids."""
    node.kubelet.knows()
    assert names(collect(node.collector)) == [labels("", "", APP, "", ""), labels("", "", PAUSE, "", "")]


def test_one_without_a_process_is_not_reported(node: Node, collect: Collect) -> None:
    """No zeros of what has not started or is over; it is back as soon as it runs."""
    node.kubelet.knows(pod(status("app", APP)))
    assert names(collect(node.collector)) != []
    node.write(APP, pids_current="0\n")
    assert names(collect(node.collector)) == []
    node.write(APP, pids_current="1\n")
    assert names(collect(node.collector)) != []


def test_a_removed_container_leaves_nothing(node: Node, collect: Collect, tmp_path: Path) -> None:
    """No ghost, no zero and no error, and its descriptors are closed."""
    node.kubelet.knows(pod(status("app", APP)))
    collect(node.collector)
    before = len(os.listdir("/proc/self/fd"))
    node.directory(APP).rename(tmp_path / "gone")
    found = collect(node.collector)
    assert (dict(found), found.errors) == ({}, [])
    assert len(os.listdir("/proc/self/fd")) < before


def test_a_recreated_container_starts_anew(node: Node, collect: Collect, tmp_path: Path) -> None:
    """The same path, another cgroup: everything is the new one's, limits and start time too."""
    node.kubelet.knows(pod(status("app", APP)))
    collect(node.collector)
    node.directory(APP).rename(tmp_path / "gone")
    node.add(APP, OLD_S + 7, memory_max="4096\n", memory_current="77\n")
    found = collect(node.collector)
    app = labels("app", "app:1", APP)
    assert found[f"container_memory_usage_bytes{{{app}}}"] == 77
    assert found[f"container_spec_memory_limit_bytes{{{app}}}"] == 4096
    assert found[f"container_start_time_seconds{{{app}}}"] == OLD_S + 7


def test_what_is_read_when(node: Node, collect: Collect) -> None:
    """Usage at every collection, details after ten seconds, limits within a minute."""
    node.kubelet.knows(pod(status("app", APP)))
    app = labels("app", "app:1", APP)
    three = [f"container_{name}{{{app}}}" for name in ("memory_rss", "processes", "spec_memory_limit_bytes")]

    def said() -> list[float]:
        found = collect(node.collector)
        return [found[series] for series in three]

    assert said() == [200, 1, 0]
    changed = {"memory_stat": FILES["memory.stat"].replace("anon 200", "anon 999"), "memory_max": "4096\n"}
    node.write(APP, cgroup_procs="7\n8\n", **changed)
    assert said() == [999, 1, 0]
    node.calls.now_monotonic_s += 10
    assert said()[:2] == [999, 2]
    node.calls.now_monotonic_s += 60
    assert said() == [999, 2, 4096]


def test_a_young_container_is_read_from_scratch(node: Node, collect: Collect) -> None:
    """A runtime sets limits after it put the first process in: they are seen at the next collection."""
    new = "c" * 64
    node.add(new, NEW_S, memory_max="max\n")
    series = f"container_spec_memory_limit_bytes{{{labels('', '', new, '', '')}}}"
    assert collect(node.collector)[series] == 0
    node.write(new, NEW_S, memory_max="4096\n")
    assert collect(node.collector)[series] == 4096


def test_one_bad_file_costs_its_container(node: Node, collect: Collect) -> None:
    """The others are reported, and the error says which file."""
    node.write(APP, memory_events="oom_kill many\n")
    found = collect(node.collector)
    assert names(found) == [labels("", "", PAUSE, "", "")]
    assert [type(error) for error in found.errors] == [Malformed]


def test_keys_are_the_same_objects(node: Node) -> None:
    """While nothing came or went, every family passes the keys object of before, which makes rendering cheap."""

    def keys() -> list[Any]:
        out = Writer()
        node.collector.collect(out)
        return [block.keys for block in out.blocks]

    node.processes(p1="", p7=" eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
    first, second = keys(), keys()
    assert len(first) > 25
    assert all(a is b for a, b in zip(first, second, strict=True))


def test_a_node_without_pods(make_host: MakeHost) -> None:
    """Nothing to collect, which is no error."""
    with pytest.raises(Absent):
        Containers(make_host({"sys/fs/cgroup/cgroup.controllers": ""}), {}).collect(Writer())
    with pytest.raises(Absent):
        Containers(make_host({}), {}).collect(Writer())


RECEIVED = "container_network_receive_bytes_total"


def network(samples: Any) -> dict[str, float]:
    return {series: value for series, value in samples.items() if series.startswith("container_network")}


def of_sandbox(device: str) -> str:
    return labels("", "", PAUSE).replace(",name=", f',interface="{device}",name=', 1)


def test_a_pods_network(node: Node, collect: Collect) -> None:
    """In the sandbox's name, from inside the pod's namespace; loopback and veth are left out."""
    node.kubelet.knows(pod(status("app", APP)))
    devices = "lo: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
    node.processes(p1="", p7=devices + "vethx: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n")
    eth0 = of_sandbox("eth0")
    assert network(collect(node.collector)) == {
        f"container_network_receive_bytes_total{{{eth0}}}": 1,
        f"container_network_receive_packets_total{{{eth0}}}": 2,
        f"container_network_receive_errors_total{{{eth0}}}": 3,
        f"container_network_receive_packets_dropped_total{{{eth0}}}": 4,
        f"container_network_transmit_bytes_total{{{eth0}}}": 9,
        f"container_network_transmit_packets_total{{{eth0}}}": 10,
        f"container_network_transmit_errors_total{{{eth0}}}": 11,
        f"container_network_transmit_packets_dropped_total{{{eth0}}}": 12,
    }


def test_a_device_that_a_pod_names_as_it_likes(node: Node, collect: Collect) -> None:
    """Who may rename devices in its own namespace must not spoil the page: bytes that are no UTF-8 are spelled out."""
    node.kubelet.knows(pod(status("app", APP)))
    node.processes(p1="", p7="")
    path = node.host.procfs / "7/net/dev"
    with open(path, "ab") as file:
        file.write(b"\xff: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
    assert collect(node.collector)[f"{RECEIVED}{{{of_sandbox(chr(92) * 2 + 'xff')}}}"] == 1


def test_the_nodes_network_is_no_pods(node: Node, collect: Collect, tmp_path: Path) -> None:
    """Left out when the kubelet says so, and when the pod's process sees the node's own devices."""
    eth0 = "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
    node.kubelet.knows(pod(status("app", APP), host_network=True))
    node.kubelet.sums_up(stats(Interface("eth0", 1, 1, 1, 1)))
    node.processes(p1="", p7=eth0)
    assert network(collect(node.collector)) == {}
    node.kubelet.knows(pod(status("app", APP)))
    os.unlink(tmp_path / "proc/7/net/dev")
    os.link(tmp_path / "proc/1/net/dev", tmp_path / "proc/7/net/dev")
    assert network(collect(node.collector)) == {}


def test_the_summary_stands_in(node: Node, collect: Collect) -> None:
    """Where no process is seen: bytes and errors, of a pod that the kubelet says has a network of its own."""
    node.kubelet.sums_up(stats(Interface("eth0", 5, 0, None, 7), Interface("lo", 1, 1, 1, 1)))
    assert network(collect(node.collector)) == {}  # nobody said whose network it is
    node.kubelet.knows(pod(status("app", APP)))
    eth0 = of_sandbox("eth0")
    assert network(collect(node.collector)) == {
        f"container_network_receive_bytes_total{{{eth0}}}": 5,
        f"container_network_receive_errors_total{{{eth0}}}": 0,
        f"container_network_transmit_errors_total{{{eth0}}}": 7,
    }


def test_a_pid_that_became_a_strangers(node: Node, collect: Collect, tmp_path: Path) -> None:
    """Another namespace behind the same pid is not read as the pod's; the pod's own process is looked for anew."""
    node.kubelet.knows(pod(status("app", APP)))
    line = "eth0: {} 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
    node.processes(p1="", p7=line.format(1), p9=line.format(3))
    series = f"{RECEIVED}{{{of_sandbox('eth0')}}}"
    assert collect(node.collector)[series] == 1
    (tmp_path / "proc/7/net/dev").rename(tmp_path / "kept")
    node.processes(p7=line.format(2))
    assert series not in collect(node.collector)
    node.write(PAUSE, cgroup_procs="9\n")
    assert collect(node.collector)[series] == 3


def test_an_unnamed_pods_network(node: Node, collect: Collect) -> None:
    """Without a kubelet it is the pod's cgroup that has it, as nobody knows which leaf the sandbox is."""
    node.processes(p1="", p7="eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
    found = network(collect(node.collector))
    assert f'{RECEIVED}{{container="",id="{POD}",image="",interface="eth0",name="",namespace="",pod=""}}' in found
    assert len(found) == 8
