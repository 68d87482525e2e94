"""What whole pods use, on v2 (v1: tests/unit/eviction/test_direct.py)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import Absent
from agent.sources.cgroup.pod_usage import PodUsage
from agent.sources.host import Host

MakeHost = Callable[..., Host]
A, B, C = ("a" * 64, "b" * 64, "c" * 64)
TOP = "sys/fs/cgroup/kubepods.slice"
ONE = f"{TOP}/kubepods-pod11111111_a.slice"
TWO = f"{TOP}/kubepods-burstable.slice/kubepods-burstable-pod22222222_b.slice"
FILES = {
    "sys/fs/cgroup/cgroup.controllers": "memory\n",
    f"{ONE}/memory.current": "900\n",
    f"{ONE}/memory.stat": "anon 1\ninactive_file 100\n",
    f"{ONE}/cgroup.procs": "",
    f"{ONE}/cri-containerd-{A}.scope/cgroup.procs": "11\n12\n",
    f"{ONE}/cri-containerd-{B}.scope/cgroup.procs": "13\n",
    f"{TWO}/memory.current": "50\n",
    f"{TWO}/memory.stat": "anon 1\ninactive_file 100\n",
    f"{TWO}/crio-{C}.scope/cgroup.procs": "",
    f"{TWO}/crio-{C}.scope/container/cgroup.procs": "0\n0\n0\n",
}


def test_working_sets(make_host: MakeHost) -> None:
    """Usage less inactive file, never below 0."""
    assert PodUsage(make_host(FILES)).memory() == {"11111111-a": 800, "22222222-b": 0}


def test_processes(make_host: MakeHost) -> None:
    """Of all leaves, and of what crun puts below them; from another PID namespace v2 lists each as 0."""
    host = make_host(FILES | {"proc/self": Path(str(os.getpid() + 1))})
    assert PodUsage(host).processes() == {"11111111-a": 3, "22222222-b": 3}
    assert PodUsage(host).processes({B, C}) == {"11111111-a": 1, "22222222-b": 3}


def test_a_pod_that_goes_is_left_out(make_host: MakeHost, tmp_path: Path) -> None:
    """It costs only itself; without any there is no answer."""
    host = make_host(FILES)
    usage = PodUsage(host)
    (tmp_path / TWO / "memory.current").unlink()
    assert usage.memory() == {"11111111-a": 800}
    shutil.rmtree(tmp_path / TOP)
    with pytest.raises(Absent):
        usage.memory()
