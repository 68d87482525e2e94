"""What a container's files say, as the series that an agent has to make of them; and what an agent served."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.containers.lives import Kind, Reading, Series, Values
from tests.containers.runc import CGROUPS

NAMING: Final = ("container", "id", "image", "name", "namespace", "pod")
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
MICRO: Final = 1e-6
NANO: Final = 1e-9
DISK: Final = "259:0"  # of the virtual machine


class Source(NamedTuple):
    """A file with one number, or in the line of ``key`` the one after ``prefix``; ``scale`` makes it the metric's."""

    kind: Kind
    file: str
    key: str = ""
    scale: float = 1.0
    prefix: str = ""


CPU: Final = Series("container_cpu_usage_seconds_total", (("cpu", "total"),))
PERIODS: Final = Series("container_cpu_cfs_periods_total")
THROTTLED: Final = Series("container_cpu_cfs_throttled_periods_total")
OOM: Final = Series("container_oom_events_total")
MEMORY: Final = Series("container_memory_usage_bytes")
LIMIT: Final = Series("container_spec_memory_limit_bytes")
STARTED: Final = Series("container_start_time_seconds")
ALWAYS: Final = (CPU, MEMORY, LIMIT, STARTED, Series("container_threads"))

V1: Final[dict[Series, Source]] = {
    CPU: Source("grows", "cpuacct/cpuacct.usage", scale=NANO),
    Series("container_cpu_user_seconds_total"): Source("grows", "cpuacct/cpuacct.stat", "user", TICK_S),
    Series("container_cpu_system_seconds_total"): Source("grows", "cpuacct/cpuacct.stat", "system", TICK_S),
    PERIODS: Source("grows late", "cpu/cpu.stat", "nr_periods"),
    THROTTLED: Source("grows late", "cpu/cpu.stat", "nr_throttled"),
    Series("container_cpu_cfs_throttled_seconds_total"): Source("grows late", "cpu/cpu.stat", "throttled_time", NANO),
    Series("container_memory_failcnt"): Source("grows late", "memory/memory.failcnt"),
    OOM: Source("grows late", "memory/memory.oom_control", "oom_kill"),
    MEMORY: Source("floats", "memory/memory.usage_in_bytes"),
    Series("container_memory_max_usage_bytes"): Source("floats", "memory/memory.max_usage_in_bytes"),
    Series("container_memory_rss"): Source("floats", "memory/memory.stat", "total_rss"),
    Series("container_memory_cache"): Source("floats", "memory/memory.stat", "total_cache"),
    Series("container_memory_mapped_file"): Source("floats", "memory/memory.stat", "total_mapped_file"),
    Series("container_memory_swap"): Source("floats", "memory/memory.stat", "total_swap"),
    Series("container_threads"): Source("floats", "pids/pids.current"),
    Series("container_processes"): Source("floats", "pids/pids.current"),
    **{
        Series("container_memory_failures_total", (("failure_type", kind), ("scope", scope))): Source(
            "grows", "memory/memory.stat", f"total_{kind}"
        )
        for kind in ("pgfault", "pgmajfault")
        for scope in ("container", "hierarchy")
    },
}
V2: Final[dict[Series, Source]] = {
    CPU: Source("grows", "cpu.stat", "usage_usec", MICRO),
    Series("container_cpu_user_seconds_total"): Source("grows", "cpu.stat", "user_usec", MICRO),
    Series("container_cpu_system_seconds_total"): Source("grows", "cpu.stat", "system_usec", MICRO),
    PERIODS: Source("grows late", "cpu.stat", "nr_periods"),
    THROTTLED: Source("grows late", "cpu.stat", "nr_throttled"),
    Series("container_cpu_cfs_throttled_seconds_total"): Source("grows late", "cpu.stat", "throttled_usec", MICRO),
    Series("container_memory_failcnt"): Source("grows late", "memory.events", "max"),
    OOM: Source("grows late", "memory.events", "oom_kill"),
    MEMORY: Source("floats", "memory.current"),
    Series("container_memory_max_usage_bytes"): Source("floats", "memory.peak"),
    Series("container_memory_rss"): Source("floats", "memory.stat", "anon"),
    Series("container_memory_cache"): Source("floats", "memory.stat", "file"),
    Series("container_memory_mapped_file"): Source("floats", "memory.stat", "file_mapped"),
    Series("container_memory_swap"): Source("floats", "memory.swap.current"),
    Series("container_threads"): Source("floats", "pids.current"),
    Series("container_processes"): Source("floats", "pids.current"),
    **{
        Series("container_memory_failures_total", (("failure_type", kind), ("scope", scope))): Source(
            "grows", "memory.stat", kind
        )
        for kind in ("pgfault", "pgmajfault")
        for scope in ("container", "hierarchy")
    },
    **{
        Series(f"container_pressure_{what}_{name}_seconds_total"): Source(
            "grows late", f"{what}.pressure", key, MICRO, "total="
        )
        for what in ("cpu", "memory", "io")
        for name, key in (("waiting", "some"), ("stalled", "full"))
    },
    **{
        Series(f"container_fs_{name}", (("device", "/dev/nvme0n1"),)): Source(kind, "io.stat", DISK, prefix=prefix)
        for name, kind, prefix in (
            ("reads_bytes_total", "grows", "rbytes="),
            ("writes_bytes_total", "grows", "wbytes="),
            ("reads_total", "grows late", "rios="),
            ("writes_total", "grows late", "wios="),
        )
    },
}


def kinds(sources: Mapping[Series, Source]) -> dict[Series, Kind]:
    return {series: source.kind for series, source in sources.items()}


def value(text: str, source: Source) -> float | None:
    """The number in a file's text; None when it has no such key."""
    if not source.key:
        return int(text) * source.scale
    for line in text.splitlines():
        key, *words = line.split()
        if key == source.key:
            numbers = (word.removeprefix(source.prefix) for word in words if word.startswith(source.prefix))
            return next((int(number) * source.scale for number in numbers), None)  # a disk may have none
    return None


def read_v1(path: str) -> Reading | None:
    """The cgroup at this path, as far as its files are still there; None when it is not."""
    directory = f"{CGROUPS}/memory{path}"
    try:
        inode = os.stat(directory).st_ino
        values = {series: found for series, source in V1.items() if (found := _read_v1(path, source)) is not None}
        same = os.stat(directory).st_ino == inode
    except OSError:
        return None
    return Reading(inode, values if same else {})


def _read_v1(path: str, source: Source) -> float | None:
    controller, _, file = source.file.partition("/")
    try:
        return value(Path(f"{CGROUPS}/{controller}{path}/{file}").read_text(), source)
    except (OSError, ValueError):
        return None


def served(body: bytes) -> dict[str, Values]:
    """The series of containers by their cgroup. All that is said of one cgroup is said under the same names."""
    text = "".join(line for line in body.decode().splitlines(keepends=True) if line.startswith("container_"))
    found: defaultdict[str, dict[Series, float]] = defaultdict(dict)
    names: dict[str, tuple[str, ...]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            path, name = sample.labels["id"], tuple(sample.labels[label] for label in NAMING)
            assert names.setdefault(path, name) == name, (names[path], name)
            more = tuple(sorted(item for item in sample.labels.items() if item[0] not in NAMING))
            found[path][Series(sample.name, more)] = sample.value
            assert not sample.labels["name"] or sample.labels["name"] in path.rpartition("/")[2], (path, name)
    return dict(found)
