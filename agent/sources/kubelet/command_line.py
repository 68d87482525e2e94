"""The kubelet's process, and those of its flags that decide about evictions and places. They are never exported.

Source: <procfs>/<pid>/cmdline, comm, stat and status, proc_pid_cmdline(5). Units: as they are written. Errors: those
of ``Root``; Unsupported where procfs hides other users' processes; Malformed. Cost: 10 us per process of the node to
find it; then 10 us to see that it is still the same.

A kubelet inside another program (k3s) has no process of its own, and no flags that could be read here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.errors import Denied, Gone
from agent.sources.processes import read_command, read_pids, read_process_stat
from agent.sources.root import Root

COMMAND: Final = b"kubelet"
Flags = dict[str, str]
"""By their names, without dashes in front. What is not given is not in it; a list is joined by commas."""

_LISTS: Final = frozenset(
    {
        "eviction-hard",
        "eviction-soft",
        "eviction-soft-grace-period",
        "eviction-minimum-reclaim",
        "enforce-node-allocatable",
    }
)
_TEXTS: Final = frozenset(
    {
        "cgroup-driver",
        "cgroup-root",
        "config",
        "config-dir",
        "container-runtime-endpoint",
        "eviction-pressure-transition-period",
        "hostname-override",
        "node-ip",
        "root-dir",
    }
)
_BOOLS: Final = frozenset({"experimental-allocatable-ignore-eviction"})
KNOWN: Final = _LISTS | _TEXTS | _BOOLS


class KubeletProcess(NamedTuple):
    """``start_ticks`` tells it from a later one with the same PID."""

    pid: int
    start_ticks: int
    flags: Flags


def parse_command_line(buf: bytes) -> Flags:
    """Shape: ``kubelet\\0--config=x\\0--root-dir\\0y\\0``. Any bytes are a command line; only known flags are kept."""
    words = [word.decode("utf-8", "replace") for word in buf.rstrip(b"\0").split(b"\0")][1:]
    flags: Flags = {}
    position = 0
    while position < len(words) and words[position] != "--":
        name, has_value, value = _flag(words[position])
        position += 1
        if name not in KNOWN:
            continue
        if not has_value and name in _BOOLS:
            value = "true"
        elif not has_value:
            value = words[position] if position < len(words) else ""
            position += 1
        flags[name] = f"{flags[name]},{value}" if name in _LISTS and name in flags else value
    return flags


def _flag(word: str) -> tuple[str, bool, str]:
    """``--x_y=z`` is ``("x-y", True, "z")``. A word that is no long flag has the empty name."""
    if not word.startswith("--"):
        return "", False, ""
    name, has_value, value = word[2:].partition("=")
    return name.replace("_", "-"), bool(has_value), value


def find_kubelet(procfs: Root) -> KubeletProcess | None:
    """The node's kubelet; one in a container with PIDs of its own (a node inside a node) is not this node's."""
    for pid in read_pids(procfs):
        try:
            if read_command(procfs, pid) != COMMAND or _is_nested(procfs, pid):
                continue
            start_ticks = read_process_stat(procfs, pid).start_ticks
            buf = procfs.read_once(f"{pid}/cmdline")
        except (Gone, Denied):
            continue
        if buf:  # else it is ending
            return KubeletProcess(pid, start_ticks, parse_command_line(buf))
    return None


def is_running(procfs: Root, process: KubeletProcess) -> bool:
    """Whether it is still that process: while it is, its flags and the files it read at its start are the same."""
    try:
        stat = read_process_stat(procfs, process.pid)
    except (Gone, Denied):
        return False
    return (stat.command, stat.start_ticks) == (COMMAND, process.start_ticks)


def _is_nested(procfs: Root, pid: int) -> bool:
    """NSpid has a PID for each namespace from this procfs's inwards. Since: 4.1."""
    for line in procfs.read_once(f"{pid}/status").splitlines():
        if line.startswith(b"NSpid:"):
            return len(line.split()) > 2
    return False
