"""The recorded cgroup v2 node (systemd driver, PSI): every value against the file it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from agent.collectors.containers import Containers
from agent.exposition.render import Renderer
from agent.model import Writer
from agent.sources.host import Host
from tests.containers.test_recorded_cadvisor import Series, parse
from tests.tools.recorded import archive_of, unpack

# Each family, and where its value is: file, key of the line (or the whole file), divisor.
FILES: Final = {
    "container_cpu_usage_seconds_total": ("cpu.stat", "usage_usec", 10**6),
    "container_cpu_user_seconds_total": ("cpu.stat", "user_usec", 10**6),
    "container_cpu_system_seconds_total": ("cpu.stat", "system_usec", 10**6),
    "container_cpu_cfs_periods_total": ("cpu.stat", "nr_periods", 1),
    "container_cpu_cfs_throttled_periods_total": ("cpu.stat", "nr_throttled", 1),
    "container_cpu_cfs_throttled_seconds_total": ("cpu.stat", "throttled_usec", 10**6),
    "container_memory_usage_bytes": ("memory.current", "", 1),
    "container_memory_max_usage_bytes": ("memory.peak", "", 1),
    "container_memory_rss": ("memory.stat", "anon", 1),
    "container_memory_cache": ("memory.stat", "file", 1),
    "container_memory_mapped_file": ("memory.stat", "file_mapped", 1),
    "container_memory_swap": ("memory.swap.current", "", 1),
    "container_memory_failcnt": ("memory.events", "max", 1),
    "container_oom_events_total": ("memory.events", "oom_kill", 1),
    "container_threads": ("pids.current", "", 1),
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cgroup2")
    unpack(archive_of("cgroup2"), directory)
    return directory


@pytest.fixture(scope="module")
def ours(node: Path) -> Series:
    host = Host.at(f"{node}/proc", f"{node}/sys", f"{node}/root", f"{node}/calls.json")
    out = Writer()
    Containers(host, {}).collect(out)
    assert out.errors == []
    return parse(Renderer().render(out.blocks, "text").decode())


def cgroup(node: Path, labels: frozenset[tuple[str, str]]) -> Path:
    return node / "sys/fs/cgroup" / dict(labels)["id"].lstrip("/")


def test_every_leaf_is_there(node: Path, ours: Series) -> None:
    """All containers and sandboxes of the four pods, and nothing else."""
    leaves = {f"/{path.relative_to(node / 'sys/fs/cgroup')}" for path in node.rglob("cri-containerd-*.scope")}
    assert len(leaves) == 10
    assert {dict(labels)["id"] for labels in ours["container_memory_rss"]} == leaves


@pytest.mark.parametrize("name", sorted(FILES))
def test_values_are_those_of_the_files(name: str, node: Path, ours: Series) -> None:
    """Every value equals the number in the file that it came from."""
    file, key, divisor = FILES[name]
    for labels, value in ours[name].items():
        text = (cgroup(node, labels) / file).read_text()
        assert value == int(dict(line.split() for line in text.splitlines())[key] if key else text) / divisor


@pytest.mark.parametrize("resource", ["cpu", "memory", "io"])
@pytest.mark.parametrize(("how", "line"), [("waiting", "some"), ("stalled", "full")])
def test_pressure(resource: str, how: str, line: str, node: Path, ours: Series) -> None:
    """In seconds, of every leaf."""
    found = ours[f"container_pressure_{resource}_{how}_seconds_total"]
    assert len(found) == 10
    for labels, value in found.items():
        text = (cgroup(node, labels) / f"{resource}.pressure").read_text()
        total = next(said for said in text.splitlines() if said.startswith(line)).rpartition("total=")[2]
        assert value == int(total) / 10**6


def test_the_working_set(node: Path, ours: Series) -> None:
    """Usage without inactive file pages."""
    for labels, value in ours["container_memory_working_set_bytes"].items():
        stat = dict(line.split() for line in (cgroup(node, labels) / "memory.stat").read_text().splitlines())
        used = int((cgroup(node, labels) / "memory.current").read_text())
        assert value == max(0, used - int(stat["inactive_file"]))


def test_what_happened_on_this_node(ours: Series) -> None:
    """It had kills, throttling, quotas and limits: none of the claims above is about zeros alone."""
    for name in (
        "container_oom_events_total",
        "container_cpu_cfs_throttled_periods_total",
        "container_spec_cpu_quota",
        "container_spec_memory_limit_bytes",
        "container_pressure_cpu_waiting_seconds_total",
        "container_fs_writes_bytes_total",
    ):
        assert max(ours[name].values()) > 0, name
    assert len(ours["container_cpu_cfs_periods_total"]) == len(ours["container_spec_cpu_quota"]) < 10
