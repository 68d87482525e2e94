"""The recorded idle node: its cgroup files against our values, and cAdvisor's series of that moment against ours.

One moment, one kubelet (cgroup v1, cgroupfs driver, cgroup root /rkube), eight pods, static and all but one on the
node's network. cAdvisor's values are up to 27 s older than the files, so values are compared with the files and only
what does not move, limits and start times, with cAdvisor.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Final

import pytest

from agent.collectors.containers import Containers
from agent.exposition.render import Renderer
from agent.model import Writer
from agent.sources.host import Host
from agent.sources.kubelet.configz import parse_configz
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.slot import Document, Kubelet
from agent.sources.kubelet.summary import parse_summary
from tests.tools.lay_out_kubelet import BODIES
from tests.tools.recorded import archive_of, unpack

Series = dict[str, dict[frozenset[tuple[str, str]], float]]

_BE, _BU = "/rkube/kubepods/besteffort", "/rkube/kubepods/burstable"
DROPPED: Final = {
    "the node: node_* tells it": ("/",),
    "slices: sums of what is in them": ("/rkube/kubepods", _BE, _BU),
    "pods: sums of their containers": (
        f"{_BE}/pod5aec0c3c7a78fd6d453df4c47fb6d52c",
        f"{_BE}/podac3e731b8dabfebd862cac7923cbdb57",
        f"{_BU}/pod2e1bc3882531684334b4d889f8ab39dc",
        f"{_BU}/pod41b543941e901395479a3ee447f942b2",
        f"{_BU}/podcd9834f0d4407c6a908aea40a1b4d2bd",
        f"{_BU}/podd31a0bf92d34d3543710c140b409692e",
        "/rkube/kubepods/pod182c0ca9581296edab57fcee364ccd64",
    ),
    "sandboxes: they only carry their pod's network": (
        f"{_BE}/pod5aec0c3c7a78fd6d453df4c47fb6d52c/ca83a8f52caedb9ead9bc22e9009e2bea75a2ebb67b81d8c872b1bb03c631271",
        f"{_BE}/podac3e731b8dabfebd862cac7923cbdb57/6990982fb4e45b0d994f9fce0db119a32f7476296c4bdd0a79dba74a6e58b531",
        f"{_BU}/pod2e1bc3882531684334b4d889f8ab39dc/141435dab740335baa2de6829866fd21809e762c7dfdc3688de282b8f222224a",
        f"{_BU}/pod41b543941e901395479a3ee447f942b2/6189a6ad26f6d0e8787fd37bd411f9cfb4e7350020cd04f4fdf1406a093fba38",
        f"{_BU}/podcd9834f0d4407c6a908aea40a1b4d2bd/d064b6acfb24f3fc0baf46d18ad3e331cfa609c85a89aa472e3d0e57ed01a380",
        f"{_BU}/podd31a0bf92d34d3543710c140b409692e/734c81a043c3cab7b4a0a2586bf0d8732d4b9bb358cc9203125928771e3a463c",
        "/rkube/kubepods/pod182c0ca9581296edab57fcee364ccd64/"
        "42696f57f9bb19202de89bc29153706eb2d41ae96afe53db9966f36d04b4d5bc",
    ),
}
DROPPED_IDS: Final = frozenset(path for paths in DROPPED.values() for path in paths)

# Each family, and where its value is: controller, file, key of the line (or the whole file), divisor.
FILES: Final = {
    "container_cpu_usage_seconds_total": ("cpuacct", "cpuacct.usage", "", 10**9),
    "container_cpu_user_seconds_total": ("cpuacct", "cpuacct.stat", "user", 100),
    "container_cpu_system_seconds_total": ("cpuacct", "cpuacct.stat", "system", 100),
    "container_cpu_cfs_periods_total": ("cpu", "cpu.stat", "nr_periods", 1),
    "container_cpu_cfs_throttled_periods_total": ("cpu", "cpu.stat", "nr_throttled", 1),
    "container_cpu_cfs_throttled_seconds_total": ("cpu", "cpu.stat", "throttled_time", 10**9),
    "container_cpu_cfs_burst_periods_total": ("cpu", "cpu.stat", "nr_bursts", 1),
    "container_cpu_cfs_burst_seconds_total": ("cpu", "cpu.stat", "burst_time", 10**9),
    "container_memory_usage_bytes": ("memory", "memory.usage_in_bytes", "", 1),
    "container_memory_max_usage_bytes": ("memory", "memory.max_usage_in_bytes", "", 1),
    "container_memory_rss": ("memory", "memory.stat", "total_rss", 1),
    "container_memory_cache": ("memory", "memory.stat", "total_cache", 1),
    "container_memory_swap": ("memory", "memory.stat", "total_swap", 1),
    "container_memory_mapped_file": ("memory", "memory.stat", "total_mapped_file", 1),
    "container_memory_failcnt": ("memory", "memory.failcnt", "", 1),
    "container_oom_events_total": ("memory", "memory.oom_control", "oom_kill", 1),
    "container_threads": ("pids", "pids.current", "", 1),
    "container_spec_cpu_period": ("cpu", "cpu.cfs_period_us", "", 1),
    "container_spec_cpu_quota": ("cpu", "cpu.cfs_quota_us", "", 1),
    "container_spec_cpu_shares": ("cpu", "cpu.shares", "", 1),
}
# Families whose value is made of more than one number.
MADE: Final = {
    "container_memory_working_set_bytes",
    "container_memory_failures_total",
    "container_spec_memory_limit_bytes",
    "container_spec_memory_reservation_limit_bytes",
    "container_start_time_seconds",
}
COMPARED: Final = frozenset(FILES) | MADE
UNMOVED: Final = sorted(name for name in COMPARED if "_spec_" in name)
NETWORK_BY_SUMMARY: Final = {
    "container_network_receive_bytes_total": "rx_bytes",
    "container_network_receive_errors_total": "rx_errors",
    "container_network_transmit_bytes_total": "tx_bytes",
    "container_network_transmit_errors_total": "tx_errors",
}
# Ours, but not in this recording, and why.
NOT_RECORDED: Final = {
    "no cgroup.procs and no processes were recorded": ("container_processes", "container_file_descriptors"),
    "memory.memsw.limit_in_bytes was not recorded": ("container_spec_memory_swap_limit_bytes",),
    "no PSI on cgroup v1": tuple(
        f"container_pressure_{resource}_{how}_seconds_total"
        for resource in ("cpu", "memory", "io")
        for how in ("waiting", "stalled")
    ),
    "no container of this node did any block I/O": (
        "container_blkio_device_usage_total",
        "container_fs_reads_bytes_total",
        "container_fs_writes_bytes_total",
        "container_fs_reads_total",
        "container_fs_writes_total",
    ),
    "the summary, which stands in for the processes, does not count packets": (
        "container_network_receive_packets_total",
        "container_network_receive_packets_dropped_total",
        "container_network_transmit_packets_total",
        "container_network_transmit_packets_dropped_total",
    ),
}


def body(name: str) -> bytes:
    return gzip.decompress((BODIES / "idle" / f"{name}.gz").read_bytes())


def parse(text: str) -> Series:
    """Series by family and labels; nothing here needs an escape."""
    found: Series = {}
    for name, labels, value in re.findall(r"^(\w+)\{(.*)\} (\S+)", text, re.MULTILINE):
        found.setdefault(name, {})[frozenset(re.findall(r'(\w+)="([^"]*)"', labels))] = float(value)
    return found


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("idle")
    unpack(archive_of("kubelet-idle"), directory)
    return directory


@pytest.fixture(scope="module")
def ours(node: Path) -> Series:
    """What we say, with the kubelet's bodies as of a minute later: the recording has the directories' birth not."""
    host = Host.at(f"{node}/proc", f"{node}/sys", f"{node}/root", f"{node}/calls.json")
    later_s = host.calls.time_s() + 60
    host.kubelet = Kubelet(
        Document(parse_pods(body("pods.json")), 0.0, later_s),
        Document(parse_summary(body("stats_summary.json")), 0.0, later_s),
        Document(parse_configz(body("configz.json")), 0.0, later_s),
    )
    out = Writer()
    Containers(host, {}).collect(out)
    assert out.errors == []
    return parse(Renderer().render(out.blocks, "text").decode())


@pytest.fixture(scope="module")
def cadvisors() -> Series:
    return parse(body("metrics_cadvisor.txt").decode())


def read(node: Path, controller: str, path: str, file: str, key: str) -> int:
    text = (node / "sys/fs/cgroup" / controller / path.lstrip("/") / file).read_text()
    return int(dict(line.split() for line in text.splitlines())[key] if key else text)


def test_the_label_sets_are_cadvisors(ours: Series, cadvisors: Series) -> None:
    """For every family compared: exactly the recorded label sets, without the dropped ids."""
    for name in COMPARED:
        theirs = {labels for labels in cadvisors[name] if dict(labels)["id"] not in DROPPED_IDS}
        assert set(ours[name]) == theirs, name


def test_every_dropped_id_was_there(cadvisors: Series) -> None:
    """The list of dropped ids has no id that cAdvisor did not have, and what is left are the eight containers."""
    ids = {dict(labels)["id"] for labels in cadvisors["container_memory_rss"]}
    assert ids >= DROPPED_IDS
    assert len(ids - DROPPED_IDS) == 8


def test_nothing_is_forgotten(ours: Series) -> None:
    """Every family of ours is compared here, or stands with its reason among those that cannot be."""
    not_recorded = {name for names in NOT_RECORDED.values() for name in names}
    assert set(ours) == COMPARED | set(NETWORK_BY_SUMMARY)
    assert {family.name for family in Containers.families} == set(ours) | not_recorded


@pytest.mark.parametrize("name", sorted(FILES))
def test_values_are_those_of_the_files(name: str, node: Path, ours: Series) -> None:
    """Every value equals the number in the file that it came from."""
    controller, file, key, divisor = FILES[name]
    for labels, value in ours[name].items():
        assert value == read(node, controller, dict(labels)["id"], file, key) / divisor, labels


def test_values_made_of_several_numbers(node: Path, ours: Series) -> None:
    """The working set is usage without inactive file pages; faults and limits are the files' too."""
    for labels, value in ours["container_memory_working_set_bytes"].items():
        path = dict(labels)["id"]
        used = read(node, "memory", path, "memory.usage_in_bytes", "")
        assert value == used - read(node, "memory", path, "memory.stat", "total_inactive_file")
    for labels, value in ours["container_memory_failures_total"].items():
        said = dict(labels)
        assert value == read(node, "memory", said["id"], "memory.stat", said["failure_type"]), said
    for name, file in (
        ("container_spec_memory_limit_bytes", "memory.limit_in_bytes"),
        ("container_spec_memory_reservation_limit_bytes", "memory.soft_limit_in_bytes"),
    ):
        for labels, value in ours[name].items():
            limit = read(node, "memory", dict(labels)["id"], file, "")
            assert value == (0 if limit > 2**62 else limit), (name, labels)


@pytest.mark.parametrize("name", UNMOVED)
def test_limits_are_cadvisors(name: str, ours: Series, cadvisors: Series) -> None:
    """What does not move has the very values that cAdvisor gave."""
    assert ours[name] == {labels: cadvisors[name][labels] for labels in ours[name]}


def test_start_times_are_cadvisors(ours: Series, cadvisors: Series) -> None:
    """Ours is when the container started, cAdvisor's when its cgroup was made: less than two seconds earlier."""
    theirs = cadvisors["container_start_time_seconds"]
    for labels, value in ours["container_start_time_seconds"].items():
        assert 0 <= value - theirs[labels] < 2, labels


@pytest.mark.parametrize("name", sorted(NETWORK_BY_SUMMARY))
def test_network_of_the_one_pod_that_has_its_own(name: str, ours: Series, cadvisors: Series) -> None:
    """That pod has cAdvisor's labels, but for the sandbox's image, and the summary's values."""
    stats = next(pod for pod in parse_summary(body("stats_summary.json")).pods if pod.name == "bu-rootfs-rnode")
    assert stats.network is not None
    said = {i.name: getattr(i, NETWORK_BY_SUMMARY[name]) for i in stats.network.interfaces}
    [labels] = ours[name]
    assert ours[name][labels] == said["eth0"]
    image = ("image", "docker.io/local/pause:1")
    assert (labels - {("image", "")}) | {image} in cadvisors[name]
    assert dict(labels)["id"] in DROPPED["sandboxes: they only carry their pod's network"]


def test_help_and_type_are_cadvisors() -> None:
    """HELP and TYPE of every family that the recording has."""
    text = body("metrics_cadvisor.txt").decode()
    helps, types = (dict(re.findall(rf"^# {kind} (\w+) (.*)$", text, re.MULTILINE)) for kind in ("HELP", "TYPE"))
    for family in Containers.families:
        if family.name in helps:
            assert (family.name, family.help, family.type) == (family.name, helps[family.name], types[family.name])
    assert len({family.name for family in Containers.families} & helps.keys()) >= 37


def test_without_a_kubelet_every_leaf_goes_by_its_id(node: Path) -> None:
    """Sandboxes cannot be told apart then: 15 leaves, none with a container's or a pod's name."""
    host = Host.at(f"{node}/proc", f"{node}/sys", f"{node}/root", f"{node}/calls.json")
    out = Writer()
    Containers(host, {}).collect(out)
    found = [dict(labels) for labels in parse(Renderer().render(out.blocks, "text").decode())["container_memory_rss"]]
    assert len(found) == 15
    assert {(said["container"], said["pod"], said["namespace"], said["image"]) for said in found} == {("", "", "", "")}
    assert all(said["id"].endswith(said["name"]) and len(said["name"]) == 64 for said in found)
