"""The files of one container's cgroup, v1 and v2, on literal bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.cgroup import directory, v1, v2
from agent.sources.cgroup.directory import Directory, File
from agent.sources.cgroup.flat import FlatKeys, parse_limit, read_count
from agent.sources.cgroup.hierarchy import Hierarchy
from agent.sources.cgroup.processes import Processes
from agent.sources.cgroup.usage import UNLIMITED, Spec, Throttling
from agent.sources.host import Host
from agent.sources.pressure import Pressure
from agent.sources.root import Root

MakeHost = Callable[..., Host]
ID = "a" * 64
POD = "kubepods/pod7"
V1_FILES = {
    "memory": {
        "memory.usage_in_bytes": "1000\n",
        "memory.stat": "cache 1\nrss 2\npgfault 11\npgmajfault 3\ntotal_cache 100\ntotal_rss 200\n"
        "total_mapped_file 30\ntotal_swap 7\ntotal_inactive_file 400\n",
        "memory.max_usage_in_bytes": "2000\n",
        "memory.failcnt": "5\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "memory.soft_limit_in_bytes": "4096\n",
    },
    "cpuacct": {"cpuacct.usage": "123456789\n", "cpuacct.stat": "user 5\nsystem 7\n"},
    "cpu": {
        "cpu.shares": "10\n",
        "cpu.cfs_period_us": "100000\n",
        "cpu.cfs_quota_us": "50000\n",
        "cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 1500\n",
    },
    "pids": {"pids.current": "3\n", "cgroup.procs": "1\n2\n"},
    "blkio": {
        "blkio.throttle.io_service_bytes": "254:0 Read 4096\n254:0 Write 0\nTotal 4096\n",
        "blkio.throttle.io_serviced": "254:0 Read 1\n254:0 Write 0\nTotal 1\n",
    },
}
V2_FILES = {
    "cpu.stat": "usage_usec 300\nuser_usec 100\nsystem_usec 200\nnr_periods 9\nnr_throttled 4\nthrottled_usec 15\n"
    "nr_bursts 1\nburst_usec 2\n",
    "memory.current": "1000\n",
    "memory.stat": "anon 200\nfile 100\nfile_mapped 30\ninactive_file 4000\npgfault 11\npgmajfault 3\n",
    "memory.events": "low 0\nhigh 0\nmax 5\noom 2\noom_kill 2\noom_group_kill 0\n",
    "memory.swap.current": "7\n",
    "memory.peak": "2000\n",
    "memory.max": "max\n",
    "memory.swap.max": "0\n",
    "memory.min": "0\n",
    "io.stat": "259:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n8:0 \n",
    "pids.current": "3\n",
    "cgroup.procs": "0\n0\n",
    "cpu.max": "40000 100000\n",
    "cpu.weight": "39\n",
    "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=52\nfull avg10=0.00 avg60=0.00 total=48\n",
}
LIMITED = Spec(100000, 50000, 10, None, None, None)
UNLIMITED_SPEC = LIMITED._replace(cpu_quota_usec=None)


def write(base: Path, files: dict[str, str]) -> None:
    base.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (base / name).write_text(content)


@pytest.fixture
def on_v1(make_host: MakeHost, tmp_path: Path) -> v1.V1:
    host = make_host({})
    for controller, files in V1_FILES.items():
        write(tmp_path / f"sys/fs/cgroup/{controller}/{POD}/{ID}", files)
    hierarchy = Hierarchy(1, {controller: f"fs/cgroup/{controller}" for controller in V1_FILES})
    return v1.V1(host.sysfs, hierarchy, Processes(host.procfs), 100)


@pytest.fixture
def on_v2(make_host: MakeHost, tmp_path: Path) -> v2.V2:
    host = make_host({})
    write(tmp_path / f"sys/fs/cgroup/{POD}/{ID}", V2_FILES)
    return v2.V2(host.sysfs, Hierarchy(2, {"": "fs/cgroup"}), Processes(host.procfs))


def test_usage_on_v1(on_v1: v1.V1) -> None:
    """Each number from its file; ticks as nanoseconds; the hierarchical counters of memory.stat."""
    usage = on_v1.open(f"/{POD}/{ID}").usage()
    assert usage is not None
    assert usage._asdict() == {
        "cpu_usage_ns": 123456789,
        "cpu_user_ns": 50_000_000,
        "cpu_system_ns": 70_000_000,
        "memory_usage_bytes": 1000,
        "memory_working_set_bytes": 600,
        "memory_rss_bytes": 200,
        "memory_cache_bytes": 100,
        "memory_mapped_file_bytes": 30,
        "page_faults": 11,
        "major_page_faults": 3,
        "threads": 3,
        "io_bytes": {("254:0", "Read"): 4096, ("254:0", "Write"): 0},
    }


def test_detail_and_spec_on_v1(on_v1: v1.V1) -> None:
    """What this kernel does not count is None: bursts, a swap limit, pressure, open files of unseen processes."""
    container = on_v1.open(f"/{POD}/{ID}")
    container.usage()
    detail = container.detail(LIMITED)
    assert detail.throttling == Throttling(9, 4, 1500, None, None)
    assert container.detail(UNLIMITED_SPEC).throttling is None
    assert (detail.memory_swap_bytes, detail.memory_max_usage_bytes, detail.limit_hits, detail.oom_kills) == (
        7,
        2000,
        5,
        2,
    )
    assert (detail.processes, detail.io_operations) == (2, {("254:0", "Read"): 1, ("254:0", "Write"): 0})
    assert (detail.cpu_pressure, detail.memory_pressure, detail.io_pressure) == (None, None, None)
    assert container.spec() == Spec(100000, 50000, 10, 9223372036854771712, None, 4096)


def test_usage_on_v2(on_v2: v2.V2) -> None:
    """Microseconds as nanoseconds; a working set is never below 0; a device without counters has none."""
    usage = on_v2.open(f"/{POD}/{ID}").usage()
    assert usage is not None
    assert (usage.cpu_usage_ns, usage.cpu_user_ns, usage.cpu_system_ns) == (300_000, 100_000, 200_000)
    assert (usage.memory_usage_bytes, usage.memory_working_set_bytes) == (1000, 0)
    assert (usage.memory_rss_bytes, usage.memory_cache_bytes, usage.memory_mapped_file_bytes) == (200, 100, 30)
    assert (usage.page_faults, usage.major_page_faults, usage.threads) == (11, 3, 3)
    assert usage.io_bytes == {("259:0", "Read"): 4096, ("259:0", "Write"): 0}


def test_detail_and_spec_on_v2(on_v2: v2.V2) -> None:
    """Kills from memory.events, pressure only where its file is, shares from the weight, ``max`` is no limit."""
    container = on_v2.open(f"/{POD}/{ID}")
    container.usage()
    detail = container.detail(LIMITED)
    assert detail.throttling == Throttling(9, 4, 15_000, 1, 2_000)
    assert (detail.memory_swap_bytes, detail.memory_max_usage_bytes, detail.limit_hits, detail.oom_kills) == (
        7,
        2000,
        5,
        2,
    )
    assert detail.processes == 2
    assert detail.io_operations == {("259:0", "Read"): 1, ("259:0", "Write"): 0}
    assert (detail.cpu_pressure, detail.memory_pressure) == (Pressure(52, 48), None)
    assert container.spec() == Spec(100000, 40000, 2 + 38 * 262142 // 9999, UNLIMITED, 0, 0)


def test_cruns_inner_cgroup(on_v2: v2.V2, tmp_path: Path) -> None:
    """Its processes are the container's, and its limits where the outer cgroup has none; counters are the outer's."""
    outer = tmp_path / f"sys/fs/cgroup/{POD}/{ID}"
    write(
        outer,
        {"cpu.max": "max 100000\n", "cgroup.procs": "", "cpu.stat": "usage_usec 300\nuser_usec 1\nsystem_usec 2\n"},
    )
    write(outer / "container", {**V2_FILES, "cgroup.procs": "7\n8\n9\n", "memory.max": "5000\n", "cpu.weight": "1\n"})
    container = on_v2.open(f"/{POD}/{ID}")
    usage = container.usage()
    assert usage is not None
    assert usage.cpu_usage_ns == 300_000
    spec = container.spec()
    assert (spec.cpu_quota_usec, spec.memory_limit_bytes, spec.cpu_shares) == (40000, 5000, 2 + 38 * 262142 // 9999)
    detail = container.detail(spec)
    assert (detail.processes, detail.throttling) == (3, Throttling(9, 4, 15_000, 1, 2_000))


def test_a_container_without_a_process_says_nothing(on_v1: v1.V1, on_v2: v2.V2, tmp_path: Path) -> None:
    """Not started yet, or over: no zeros."""
    for base, node in (("pids/", on_v1), ("", on_v2)):
        (tmp_path / f"sys/fs/cgroup/{base}{POD}/{ID}/pids.current").write_text("0\n")
        assert node.open(f"/{POD}/{ID}").usage() is None


def test_a_half_made_container_is_none(on_v1: v1.V1, tmp_path: Path) -> None:
    """Gone while one of the trees that the pod is in lacks it; a controller that the pod is not in is only absent."""
    (tmp_path / "sys/fs/cgroup/cpu/kubepods").rename(tmp_path / "sys/fs/cgroup/cpu/elsewhere")
    container = on_v1.open(f"/{POD}/{ID}")
    assert container.spec().cpu_shares is None
    (tmp_path / f"sys/fs/cgroup/blkio/{POD}/{ID}").rename(tmp_path / "moved")
    with pytest.raises(Gone):
        on_v1.open(f"/{POD}/{ID}")


def test_a_removed_container_is_gone(on_v2: v2.V2, tmp_path: Path) -> None:
    """A file that was there and is not any more takes the container with it; so does another of the same name."""
    container = on_v2.open(f"/{POD}/{ID}")
    path = tmp_path / f"sys/fs/cgroup/{POD}/{ID}"
    path.rename(tmp_path / "old")
    write(path, V2_FILES)
    for name in V2_FILES:
        os.unlink(tmp_path / "old" / name)
    with pytest.raises(Gone):
        container.usage()


@pytest.mark.parametrize("bad", ["", "x\n", "1 2\n"])
def test_a_number_that_is_none(on_v2: v2.V2, tmp_path: Path, bad: str) -> None:
    """Malformed, with the file's path."""
    (tmp_path / f"sys/fs/cgroup/{POD}/{ID}/memory.current").write_text(bad)
    with pytest.raises(Malformed, match=r"memory\.current"):
        on_v2.open(f"/{POD}/{ID}").usage()


def test_flat_keys_find_their_places_again() -> None:
    """Keys that moved, came or went are found; one that is not there is None."""
    keys = FlatKeys("f", "b", "d")
    assert keys(b"a 1\nb 2\nd 4\n") == [2, 4]
    assert keys(b"a 5\nb 6\nd 7\n") == [6, 7]
    assert keys(b"b 8\na 9\nd 1\n") == [8, 1]
    assert keys(b"b 8\na 9\n") == [8, None]
    assert keys(b"") == [None, None]
    with pytest.raises(Malformed):
        keys(b"b 8\nd\n")
    with pytest.raises(Malformed):
        keys(b"b 8\nd x\n")


def test_reading_past_a_page(tmp_path: Path) -> None:
    """A list of many tasks is read to its end, and a file that is not kept open is read by its path."""
    (tmp_path / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in range(10_000)))
    assert len(Directory(str(tmp_path)).read("cgroup.procs").split()) == 10_000


def test_without_descriptors_to_spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is opened by its path when no more may be kept."""
    monkeypatch.setattr(directory, "kept_max", lambda: 0)
    (tmp_path / "n").write_text("7\n")
    before = len(os.listdir("/proc/self/fd"))
    here = Directory(str(tmp_path))
    file = File(here, "n")
    assert len(os.listdir("/proc/self/fd")) == before
    assert (read_count(here, "n"), file.read(), here.list(), here.stat("m")) == (7, b"7\n", {"n"}, None)
    with pytest.raises(Gone):
        Directory(f"{tmp_path}/nowhere")


def test_descriptors_are_let_go(tmp_path: Path) -> None:
    """A directory and a file that nobody holds are closed."""
    (tmp_path / "n").write_text("7\n")
    before = len(os.listdir("/proc/self/fd"))
    here = Directory(str(tmp_path))
    file = File(here, "n")
    assert len(os.listdir("/proc/self/fd")) == before + 2
    del here, file
    assert len(os.listdir("/proc/self/fd")) == before


WANTED = frozenset((b"rbytes", b"wbytes"))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_struct_or_malformed(buf: bytes) -> None:
    """No other exception, whatever the kernel says."""
    for parse in (v1.parse_io, lambda b: v2.parse_io(b, WANTED), FlatKeys("f", "a"), lambda b: parse_limit(b, "f", 1)):
        try:
            parse(buf)
        except Malformed:
            continue


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_flat_keys_do_not_depend_on_what_they_saw(first: bytes, second: bytes) -> None:
    """The remembered places never change an answer."""
    used = FlatKeys("f", "0", "1")

    def said(keys: FlatKeys, buf: bytes) -> object:
        try:
            return keys(buf)
        except Malformed:
            return Malformed

    said(used, first)
    assert said(used, second) == said(FlatKeys("f", "0", "1"), second)


def test_processes_of_a_procfs(make_host: MakeHost) -> None:
    """Open files are counted by listing where the size of the directory does not tell; a pid is found by its cgroup."""
    host = make_host(
        {
            "proc/7/fd/0": "",
            "proc/7/fd/1": "",
            "proc/7/cgroup": f"4:memory:/kubepods/pod7/{ID}\n0::/\n",
            "proc/8/cgroup": f"0::/../../kubepods-pod7.slice/cri-containerd-{'b' * 64}.scope\n",
            "proc/9/comm": "x",
        }
    )
    processes = Processes(host.procfs)
    assert processes.file_descriptors([b"7"]) == 2
    assert processes.file_descriptors([b"7", b"123"]) == 2  # that one ended
    assert processes.file_descriptors([b"7", b"9"]) is None  # that one did not let us look
    assert processes.file_descriptors([b"123"]) is None  # hidden
    assert processes.by_container({ID, "b" * 64, "c" * 64}) == {ID: 7, "b" * 64: 8}


def test_a_reader_with_pids_of_its_own(tmp_path: Path) -> None:
    """v1 lists nobody then, which is not a count; v2 has a line for everyone."""
    (tmp_path / "self").symlink_to("1")  # we are somebody else in this procfs
    processes = Processes(Root(str(tmp_path)))
    assert (processes.count([], 1), processes.count([b"0", b"0"], 2)) == (None, 2)
    assert processes.file_descriptors([b"0"]) is None


def test_our_own_open_files() -> None:
    """On the running kernel: as many as there are, but for the one that looking takes."""
    counted = Processes(Root("/proc")).file_descriptors([str(os.getpid()).encode()])
    assert counted is not None
    assert abs(counted - len(os.listdir("/proc/self/fd"))) <= 1
