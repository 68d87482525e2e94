"""The node's memory as the kubelet counts it, of v1 and v2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Absent, Gone, Malformed, Unsupported
from agent.sources.cgroup.tree import Tree
from agent.sources.host import Host
from agent.sources.node_memory import GroupMemory, MemoryReader, NodeMemory, parse_total

MakeHost = Callable[..., Host]
MEMINFO = {"proc/meminfo": "MemTotal:          10 kB\nMemFree:           5 kB\n"}
V1 = MEMINFO | {
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "900\n",
    "sys/fs/cgroup/memory/memory.stat": "inactive_file 7\ntotal_inactive_file 100\n",
    "sys/fs/cgroup/memory/kubepods/memory.usage_in_bytes": "500\n",
    "sys/fs/cgroup/memory/kubepods/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/kubepods/memory.stat": "inactive_file 7\ntotal_inactive_file 50\n",
}
V2 = MEMINFO | {
    "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
    "sys/fs/cgroup/memory.stat": "anon 200\nfile 300\nkernel 99\ninactive_file 100\n",
    "sys/fs/cgroup/kubepods.slice/memory.current": "500\n",
    "sys/fs/cgroup/kubepods.slice/memory.max": "800\n",
    "sys/fs/cgroup/kubepods.slice/memory.stat": "anon 1\nfile 2\ninactive_file 50\n",
}


def reader(host: Host) -> MemoryReader:
    return MemoryReader(host, Tree(host))


def test_v1(make_host: MakeHost) -> None:
    """The root's own usage, less what all cgroups hold in inactive file; the largest number is no limit."""
    memory = reader(make_host(V1))
    assert memory.node() == NodeMemory(10240, 900, 100)
    assert memory.kubepods() == GroupMemory(None, 500, 50)
    assert memory.kubepods().working_set_bytes == 450


def test_v2(make_host: MakeHost) -> None:
    """Of the root anon and file, without kernel memory; of kubepods everything it is charged for."""
    memory = reader(make_host(V2))
    assert memory.node() == NodeMemory(10240, 500, 100)
    assert memory.node().working_set_bytes == 400
    assert memory.kubepods() == GroupMemory(800, 500, 50)


def test_an_unlimited_v2(make_host: MakeHost) -> None:
    """``max`` is no limit."""
    memory = reader(make_host(V2 | {"sys/fs/cgroup/kubepods.slice/memory.max": "max\n"}))
    assert memory.kubepods().limit_bytes is None


def test_a_working_set_is_never_below_0(make_host: MakeHost) -> None:
    """As the two files are read one after the other."""
    assert NodeMemory(10, 5, 7).working_set_bytes == GroupMemory(None, 5, 7).working_set_bytes == 0


def test_it_is_read_anew(make_host: MakeHost) -> None:
    """Files are kept open, what they say is not."""
    memory = reader(make_host(V1))
    memory.node()
    make_host({"sys/fs/cgroup/memory/memory.usage_in_bytes": "901\n"})
    assert memory.node().usage_bytes == 901


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        ("sys/fs/cgroup/memory/memory.stat", Gone),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", Gone),
        ("proc/meminfo", Gone),
    ],
)
def test_a_missing_file(make_host: MakeHost, tmp_path: Path, missing: str, error: type[Exception]) -> None:
    """It is no 0."""
    host = make_host(V1)
    (tmp_path / missing).unlink()
    with pytest.raises(error):
        reader(host).node()


def test_no_pods_and_no_cgroups(make_host: MakeHost) -> None:
    """Absent says that nothing is wrong; without the memory controller it is the machine that cannot tell."""
    host = make_host(MEMINFO | {"sys/fs/cgroup/memory/memory.stat": "total_inactive_file 1\n"})
    with pytest.raises(Absent):
        reader(host).kubepods()


def test_no_memory_controller(make_host: MakeHost) -> None:
    """The machine cannot tell."""
    host = make_host(MEMINFO | {"sys/fs/cgroup/pids/cgroup.procs": ""})
    with pytest.raises(Unsupported):
        reader(host).node()


def test_a_stat_without_the_keys(make_host: MakeHost) -> None:
    """Malformed on both versions."""
    for files, root in ((V1, "sys/fs/cgroup/memory"), (V2, "sys/fs/cgroup")):
        host = make_host(files | {f"{root}/memory.stat": "pgfault 1\n"})
        with pytest.raises(Malformed):
            reader(host).node()
        make_host({f"{root}/memory.stat": files[f"{root}/memory.stat"]})


@given(st.binary() | st.binary().map(lambda tail: b"MemTotal: " + tail))
def test_any_meminfo(buf: bytes) -> None:
    """Bytes, or Malformed."""
    try:
        assert parse_total(buf) % 1024 == 0
    except Malformed:
        pass
