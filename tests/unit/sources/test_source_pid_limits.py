"""How many tasks there may be and how many there are, and whose pid_max we see."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed, Unsupported
from agent.sources.host import Host
from agent.sources.loadavg import parse_task_count
from agent.sources.pid_limits import PidLimits, PidReader, sees_the_nodes_pid_max

MakeHost = Callable[..., Host]
FILES = {
    "proc/loadavg": "2.68 4.25 3.30 10/334 25478\n",
    "proc/sys/kernel/pid_max": "32768\n",
    "proc/sys/kernel/threads-max": "192731\n",
}


def test_the_smaller_of_the_two(make_host: MakeHost) -> None:
    """pid_max here, threads-max on a small machine; tasks are those of the whole node."""
    assert PidReader(make_host(FILES)).read() == PidLimits(32768, 334)
    assert PidReader(make_host(FILES | {"proc/sys/kernel/threads-max": "7681\n"})).read() == PidLimits(7681, 334)


@pytest.mark.parametrize("name", FILES)
def test_what_is_missing_or_broken(make_host: MakeHost, tmp_path: Path, name: str) -> None:
    """No limit, no signal."""
    reader = PidReader(make_host(FILES | {name: "many\n"}))
    with pytest.raises(Malformed):
        reader.read()
    (tmp_path / name).unlink()
    with pytest.raises((Gone, Malformed)):
        PidReader(make_host({})).read()


@pytest.mark.parametrize(
    ("release", "sees"),
    [("6.14.0-rc1", False), ("6.18.44-x", False), ("7.0", False), ("6.13.9", True), ("5.15.0-91-generic", True)],
)
def test_from_another_pid_namespace(make_host: MakeHost, calls: Any, release: str, sees: bool) -> None:
    """Since Linux 6.14 pid_max is that of whoever reads it; there the kubelet is believed, and nobody else."""
    host = make_host(FILES | {"proc/self": Path(str(os.getpid() + 1))})
    calls.name = calls.name._replace(release=release)
    assert sees_the_nodes_pid_max(host) is sees
    reader = PidReader(host)
    assert reader.read(30000).max == (32768 if sees else 30000)
    if not sees:
        with pytest.raises(Unsupported, match="PID namespace"):
            reader.read()


def test_in_the_nodes_own(make_host: MakeHost, calls: Any) -> None:
    """Our PIDs are those of this procfs: so is pid_max. A kernel that does not tell its version is not trusted."""
    calls.name = calls.name._replace(release="unknown")
    assert not sees_the_nodes_pid_max(make_host(FILES | {"proc/self": Path(str(os.getpid() + 1))}))
    (Path(make_host({}).procfs.path) / "self").unlink()
    assert sees_the_nodes_pid_max(make_host({"proc/self": Path(str(os.getpid()))}))


@given(st.binary())
def test_any_loadavg(buf: bytes) -> None:
    """A number, or Malformed."""
    try:
        assert isinstance(parse_task_count(buf), int)
    except Malformed:
        pass
