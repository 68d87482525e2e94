"""Containers beside their floor: 250 real cgroups, CPU per collection and memory per container.

The floor of CPU is what any program must pay that keeps nothing open: open, read and close of the very files that a
collection reads, in the same process and run. The cgroups are made on v1 below every controller's root, with one
sleeping process in each, and removed afterwards. Memory is the working set of a process in a memory cgroup of its own,
with 250 containers and with 10; the files were looked at before, as a kubelet has on every node, so that the kernel's
inodes of them are charged to whoever came first.
"""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from agent.collectors.containers import Containers
from agent.exposition.render import Renderer
from agent.model import Writer
from agent.sources.host import Host
from benchmarks.measured import V1
from benchmarks.node import Row

CONTAINERS, FEW, ROUNDS, COLLECTIONS = 250, 10, 25, 4
CPU_MS_MAX, FLOOR_RATIO_MAX, KIB_MAX = 16.0, 2.0, 32.0
CONTROLLERS: Final = ("memory", "cpuacct", "cpu", "pids", "blkio")
Files = tuple[tuple[str, str], ...]
HOT: Final[Files] = (
    ("memory", "memory.usage_in_bytes"),
    ("memory", "memory.stat"),
    ("cpuacct", "cpuacct.usage"),
    ("cpuacct", "cpuacct.stat"),
    ("pids", "pids.current"),
    ("blkio", "blkio.throttle.io_service_bytes_recursive"),
)
DETAIL: Final[Files] = (
    ("memory", "memory.max_usage_in_bytes"),
    ("memory", "memory.failcnt"),
    ("memory", "memory.oom_control"),
    ("pids", "cgroup.procs"),
    ("blkio", "blkio.throttle.io_serviced_recursive"),
)
SPEC: Final[Files] = (
    ("cpu", "cpu.shares"),
    ("cpu", "cpu.cfs_period_us"),
    ("cpu", "cpu.cfs_quota_us"),
    ("memory", "memory.limit_in_bytes"),
    ("memory", "memory.memsw.limit_in_bytes"),
    ("memory", "memory.soft_limit_in_bytes"),
)


def possible() -> bool:
    """Whether cgroups can be made here."""
    return os.geteuid() == 0 and all((V1 / controller / "cgroup.procs").exists() for controller in CONTROLLERS)


@contextlib.contextmanager
def tree(containers: int) -> Iterator[tuple[str, list[str]]]:
    """A cgroup root with two containers to a pod, and their paths."""
    root = f"/headroom-bench-{os.getpid()}"
    pods = [f"{root}/kubepods/burstable/pod{i // 2:08x}-0000-4000-8000-000000000000" for i in range(containers)]
    paths = [f"{pod}/{i:064x}" for i, pod in enumerate(pods)]
    sleepers: list[subprocess.Popen[bytes]] = []
    try:
        for path in paths:
            sleepers.append(subprocess.Popen(["sleep", "1000"]))
            for controller in CONTROLLERS:
                directory = V1 / controller / path[1:]
                directory.mkdir(parents=True)
                os.utime(directory, (0, 0))  # not young any more
                (directory / "cgroup.procs").write_text(str(sleepers[-1].pid))
        yield root, paths
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
        for controller in CONTROLLERS:
            for name, _, _ in os.walk(V1 / controller / root[1:], topdown=False):
                os.rmdir(name)


def cpu_ms(*works: Callable[[], object]) -> list[float]:
    """The median CPU time of each, in user and kernel mode, taken in turns so that all meet the same weather."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for work, times in zip(works, taken, strict=True):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
    return [statistics.median(times) * 1000 for times in taken]


def floor(paths: list[str], files: Files) -> Callable[[], None]:
    names = [f"{V1}/{controller}{path}/{name}" for path in paths for controller, name in files]

    def read() -> None:
        for name in names:
            fd = os.open(name, os.O_RDONLY)
            os.read(fd, 8192)
            os.close(fd)

    return read


def cpu() -> list[Row]:
    """A collection of the files that are read at every one, and one of all files but the limits."""
    with tree(CONTAINERS) as (root, paths):
        collector = Containers(Host.at("/proc", "/sys", "/", cgroup_root=root), {})
        collector.collect(Writer())

        def hot() -> None:
            collector.collect(Writer())

        def whole() -> None:
            collector.expire()
            collector.collect(Writer())

        gc.collect()
        gc.freeze()  # as the agent does once it is wired
        ours, peer, ours_whole, peer_whole = cpu_ms(hot, floor(paths, HOT), whole, floor(paths, (*HOT, *DETAIL, *SPEC)))
    name = f"CPU per collection of {CONTAINERS} containers"
    return [
        Row(f"{name}: six hot files (peer: open/read/close)", "ms", ours, peer, FLOOR_RATIO_MAX, CPU_MS_MAX),
        Row(f"{name}: every file (peer: open/read/close)", "ms", ours_whole, peer_whole, FLOOR_RATIO_MAX),
    ]


def memory() -> Row:
    """What 240 containers more cost a process that collects and renders them."""
    group = V1 / "memory" / f"headroom-bench-memory-{os.getpid()}"
    group.mkdir()
    try:
        many, few = (_working_set_bytes(group, containers) for containers in (CONTAINERS, FEW))
    finally:
        group.rmdir()
    each_kib = (many - few) / (CONTAINERS - FEW) / 1024
    return Row("memory per container: cgroup working set (peer: the goal)", "KiB", each_kib, KIB_MAX, 1.0)


def _working_set_bytes(group: Path, containers: int) -> int:
    with tree(containers) as (root, paths):
        floor(paths, (*HOT, *DETAIL, *SPEC))()
        command = [sys.executable, "-m", "benchmarks.containers", str(group), root]
        said = subprocess.run(command, check=True, capture_output=True, env={**os.environ, "MALLOC_ARENA_MAX": "1"})
    return int(said.stdout)


def _measured(group: Path, root: str) -> int:
    """In a process of its own: joins the group, collects and renders, and says what that took."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
    collector, renderer = Containers(Host.at("/proc", "/sys", "/", cgroup_root=root), {}), Renderer()
    gc.collect()
    gc.freeze()
    for _ in range(COLLECTIONS):
        out = Writer()
        collector.collect(out)
        renderer.render(out.blocks, "text")
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int((group / "memory.usage_in_bytes").read_text()) - int(stat["total_inactive_file"])


def rows() -> list[Row]:
    """Nothing where no cgroups can be made."""
    return [*cpu(), memory()] if possible() else []


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(_measured(Path(sys.argv[1]), sys.argv[2]))
    else:
        for row in rows():
            print(f"{row.what}: {row.ours:.2f} {row.unit}, {row.peer:.2f}, {row.ratio:.2f} {row.goal} met={row.met}")
