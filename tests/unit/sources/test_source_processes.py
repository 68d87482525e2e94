"""``/proc/<pid>``."""

from __future__ import annotations

import os
from collections.abc import Callable

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed, Unsupported
from agent.sources.host import Host
from agent.sources.processes import (
    ProcessStat,
    parse_process_stat,
    process_at,
    read_command,
    read_pids,
    read_process_stat,
)

STAT = b"77 (kube) let (x) S 1 77 77 0 -1 %d 5168 1 0 0 130 71 2 3 20 0 9 0 4711 174284800 2914" + b" 0" * 28 + b"\n"


def test_a_line_is_a_process() -> None:
    """The name may hold blanks and parentheses; user and system time are one."""
    assert parse_process_stat(STAT % 4194560) == ProcessStat(77, b"kube) let (x", False, 201, 4711, 2914)


def test_kernel_threads_are_known_by_their_flag() -> None:
    """They have no memory and names that change with their work."""
    assert parse_process_stat(STAT % 0x00208040).is_kernel_thread is True


@pytest.mark.parametrize("buf", [b"", b"77 (a", b"77 (a) S 1 77", b"x (a) S" + b" 1" * 30, b"77 (a) S" + b" x" * 30])
def test_a_line_that_is_not_one_is_malformed(buf: bytes) -> None:
    """Truncated or garbled."""
    with pytest.raises(Malformed, match="stat"):
        parse_process_stat(buf)


@given(st.binary() | st.lists(st.sampled_from([*STAT.split(b" "), b"(", b") ", b"\xff"])).map(b" ".join))
def test_any_bytes_give_a_process_or_malformed(buf: bytes) -> None:
    """Nothing else is raised."""
    try:
        assert isinstance(parse_process_stat(buf), ProcessStat)
    except Malformed:
        return


def test_processes_are_the_directories_with_numbers(make_host: Callable[..., Host]) -> None:
    """Of whatever procfs holds beside them."""
    files = {
        "proc/1/comm": "init\n",
        "proc/20/comm": "a b\n",
        "proc/20/stat": STAT % 0,
        "proc/meminfo": "",
        "proc/x1/comm": "",
    }
    procfs = make_host(files).procfs
    assert sorted(read_pids(procfs)) == [1, 20]
    assert read_command(procfs, 20) == b"a b"
    assert read_process_stat(procfs, 20).cpu_ticks == 201


def test_a_procfs_that_hides_processes_is_of_no_use(make_host: Callable[..., Host]) -> None:
    """Who is not shown PID 1 cannot say that a process is down."""
    with pytest.raises(Unsupported, match="hides"):
        read_pids(make_host({"proc/20/comm": "ours\n"}).procfs)


def test_a_process_belongs_to_the_procfs_it_was_made_for(make_host: Callable[..., Host]) -> None:
    """psutil's own setting is as it was before, whatever happened."""
    files = {"proc/20/stat": STAT % 0, "proc/20/statm": "100 7 3 1 0 1 0\n"}
    path = make_host(files).procfs.path
    process = process_at(path, 20)
    assert process.memory_info().rss == 7 * os.sysconf("SC_PAGE_SIZE")
    with pytest.raises(psutil.NoSuchProcess):
        process_at(path, 21)
    assert psutil.PROCFS_PATH == "/proc"
    assert process_at("/proc").pid == os.getpid()
