"""A node of a few files, whose signals a test sets, and a kubelet that says what the test tells it to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from agent.eviction.watch import Watch
from agent.sources.calls import FilesystemSpace
from agent.sources.host import Host
from agent.sources.kubelet.configz import Configz, parse_configz
from agent.sources.kubelet.pods import parse_pods
from agent.sources.kubelet.slot import Document, Kubelet
from agent.sources.kubelet.summary import parse_summary

MakeHost = Callable[..., Host]
GIB: Final = 1 << 30
MIB: Final = 1 << 20
BLOCKS: Final = 100_000  # of 4096 bytes: 1 % is a round number of them
FILES: Final = {
    "proc/meminfo": f"MemTotal: {GIB // 1024} kB\nMemFree: 1000 kB\nMemAvailable: 2000 kB\n",
    "proc/loadavg": "0.1 0.1 0.1 1/100 4242\n",
    "proc/sys/kernel/pid_max": "32768\n",
    "proc/sys/kernel/threads-max": "192731\n",
    "proc/vmstat": "oom_kill 0\n",
    "proc/1/comm": "init\n",
    "proc/1/mountinfo": "1 0 254:0 / / rw - ext4 /dev/vda rw\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB // 2}\n",
    "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
    "root/var/lib/kubelet/x": "",
}


def space(percent: float, files_percent: float = 50) -> FilesystemSpace:
    """So much of it is available."""
    left = int(BLOCKS * percent / 100)
    return FilesystemSpace(4096, BLOCKS, left, left, 1000, int(10 * files_percent), False)


def configz_of(**settings: Any) -> Configz:
    return parse_configz(json.dumps({"kubeletconfig": settings}).encode())


class SmallNode:
    """``at`` sets the clocks. Memory has 1 GiB, half of it used; half of the one filesystem is available."""

    def __init__(self, make_host: MakeHost, calls: Any, files: dict[str, str] | None = None) -> None:
        self.calls = calls
        self.calls.space = space(50)
        self.kubelet = Kubelet()
        self._make_host = make_host
        self.host = make_host(FILES | (files or {}))
        self.host.kubelet = self.kubelet

    def watch(self) -> Watch:
        return Watch(self.host)

    def write(self, **files: str) -> None:
        """By the last part of the path, with ``_`` for what cannot be in a name."""
        named = {path.rpartition("/")[2].replace(".", "_"): path for path in FILES}
        self._make_host({named[name]: content for name, content in files.items()})

    def use_memory(self, size: int) -> None:
        self.write(memory_usage_in_bytes=f"{size}\n")

    def at(self, monotonic_s: float) -> None:
        self.calls.now_s += monotonic_s - self.calls.now_monotonic_s
        self.calls.now_monotonic_s = monotonic_s

    def later(self, seconds: float = 1.0) -> None:
        self.at(self.calls.now_monotonic_s + seconds)

    def tell_pods(self, *items: Any) -> None:
        self.kubelet.put_pods(self._document(parse_pods(json.dumps({"items": items}).encode())))

    def tell_summary(self, node: Any = None, pods: Sequence[Any] = ()) -> None:
        said = {"node": node or {}, "pods": list(pods)}
        self.kubelet.put_summary(self._document(parse_summary(json.dumps(said).encode())))

    def tell_configz(self, **settings: Any) -> None:
        self.kubelet.put_configz(self._document(configz_of(**settings)))

    def _document(self, value: Any) -> Any:
        return Document(value, self.calls.now_monotonic_s, self.calls.now_s)
